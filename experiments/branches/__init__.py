"""Trees behind leaves: a data source outside the library, with its own measure."""
