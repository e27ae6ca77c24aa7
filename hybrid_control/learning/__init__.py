"""Networks that learn, and networks made of trained ones. What needs torch imports it; this package does not.

`mirror.Mirror` is a NIR graph as a torch module with the engine's equations; `training.fit` trains one.
`conversion.convert` makes a spiking network of a ReLU network.
"""
