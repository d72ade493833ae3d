"""How good what a model makes is, in numbers. NumPy at the border, arrays in memory."""
