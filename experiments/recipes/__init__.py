"""Recipes: one short file an experiment."""
