"""CoLaNET: a spiking classifier that learns on the spot, each sample once, by local rules and without a gradient."""

from hybrid_control.colanet.classifier import CoLaNET, Snapshot
from hybrid_control.colanet.files import load, save
from hybrid_control.colanet.settings import ACTIVATIONS, CELLS, MNIST, ONE_BY_ONE, PICTURES, Settings

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "MNIST",
    "ONE_BY_ONE",
    "PICTURES",
    "CoLaNET",
    "Settings",
    "Snapshot",
    "load",
    "save",
]
