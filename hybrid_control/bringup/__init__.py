"""Bring-up: one description of the graph of nodes, for `hybrid-control up` and for the launch files alike."""
