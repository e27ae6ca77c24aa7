"""The back end of this processor: the network compiled into one block of memory, stepped by numba's code."""
