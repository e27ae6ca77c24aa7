"""Learning: spiking networks trained by gradients. Needs torch, which this package itself does not import.

`mirror.Mirror` is a NIR graph as a torch module with the engine's equations; `training.fit` trains one.
"""
