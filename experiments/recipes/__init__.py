"""Recipes: one short file for each experiment, and tables of their networks."""
