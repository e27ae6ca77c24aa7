"""How the planner's model is made: images and labels from the simulator, a network, its export and its test.

torch is imported in `network` and `train` alone; labels, dataset and evaluation do without.
"""
