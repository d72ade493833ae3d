"""Objectives: one family a file; each takes modules and returns a Game."""
