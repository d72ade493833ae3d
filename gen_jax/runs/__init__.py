"""A run's folder: checkpoints, metrics, pictures, and how to load them again."""
