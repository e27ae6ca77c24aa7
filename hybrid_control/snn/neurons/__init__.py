"""Neuron types, one file for each or for a family that shares its step; every file of this folder is one.

NIR's own neurons are used as NIR's own dataclasses. The others are NIR nodes too, so they are stored in the same
files; a tool that does not know them refuses the file instead of running something else. Times are in seconds.
"""

import importlib
import pkgutil

from hybrid_control.snn.neurons.model import MODELS, NeuronModel, model_of, neuron, register
from hybrid_control.snn.nir.sparse import SparseLinear

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

NEURON_PARAMETERS = {kind: model.parameters for kind, model in MODELS.items()}
SPIKING_TYPES = tuple(kind for kind, model in MODELS.items() if model.spiking)

__all__ = [
    "MODELS",
    "NEURON_PARAMETERS",
    "SPIKING_TYPES",
    "NeuronModel",
    "SparseLinear",
    "model_of",
    "neuron",
    "register",
]
