"""The parts that come with the co-simulator, a file per kind."""

from hybrid_control.cosim.parts.ann import AnnPart
from hybrid_control.cosim.parts.codes import DecoderPart, EncoderPart
from hybrid_control.cosim.parts.fusion import GatedFusion, WeightedFusion
from hybrid_control.cosim.parts.plant import FunctionPart, Plant, PlantPart
from hybrid_control.cosim.parts.snn import SnnPart
from hybrid_control.cosim.parts.source import ArraySource

__all__ = [
    "AnnPart",
    "ArraySource",
    "DecoderPart",
    "EncoderPart",
    "FunctionPart",
    "GatedFusion",
    "Plant",
    "PlantPart",
    "SnnPart",
    "WeightedFusion",
]
