"""Losses: elementwise terms, what adversaries play for, and likelihoods."""
