"""Estimates beside exact values, on data whose density is known."""
