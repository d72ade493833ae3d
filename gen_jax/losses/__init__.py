"""Losses: elementwise terms, losses of adversaries, and likelihoods."""
