"""Studies made with the library: truth, the comparison of families, the twin."""
