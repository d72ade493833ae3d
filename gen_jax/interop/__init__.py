"""Weights and models to and from other libraries."""
