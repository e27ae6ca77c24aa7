"""How the closed directions of a planner of contract 2 are learnt: scenes, recorded drives, labels, a
network, its training and test.

torch is imported in `network`, `backbone`, `train` and `export` alone.
"""
