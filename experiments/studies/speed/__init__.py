"""Compare the training speed of gen_jax and PyTorch: see `side_by_side.py`."""
