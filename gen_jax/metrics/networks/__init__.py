"""Networks whose features compare images, and their weights."""
