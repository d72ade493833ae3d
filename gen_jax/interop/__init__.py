"""Interoperation: weights and models to and from other libraries."""
