"""Entry points for absl flags, and the recipes: one short file an experiment."""
