"""Networks that images are compared on, and their weights."""
