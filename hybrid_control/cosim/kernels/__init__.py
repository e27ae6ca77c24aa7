"""The compiled part of the co-simulation: links as rings, who runs when, and what the parts do.

`records` has what all of it works on; nothing here raises or touches a Python object.
"""
