"""Datasets: decoded once, sampled as a function of (seed, step)."""
