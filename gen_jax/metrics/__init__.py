"""Metrics: the quality of samples in numbers. They take and return NumPy arrays."""
