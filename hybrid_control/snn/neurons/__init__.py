"""Neuron types, one file for each or for a family that shares its step; every file of this folder is one.

NIR's own neurons are used as NIR's own dataclasses. The others are NIR nodes too, so they are stored in the same
files; a tool that does not know them refuses the file instead of running something else. Times are in seconds.
"""

import importlib
import pkgutil

from hybrid_control.snn.neurons.model import MODELS, NeuronModel, is_spiking, model_of, neuron, register

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

__all__ = ["MODELS", "NeuronModel", "is_spiking", "model_of", "neuron", "register"]
