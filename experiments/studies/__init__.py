"""Studies: what was found out with the library."""
