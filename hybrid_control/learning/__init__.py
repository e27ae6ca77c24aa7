"""Learning: spiking networks trained by gradients, and initial states that an ANN sets.

`mirror.Mirror` is a NIR graph as a torch module with the engine's equations; `training.fit` trains one. These need
torch, which this package itself does not import. `initial_states` fits a map to the potentials at which a ring settles;
`conversion` makes a spiking network of a trained ReLU network.
"""
