"""A closed-loop task for all patterns of a hybrid: an arm of two joints reaches and tracks (docs/cosim.md)."""
