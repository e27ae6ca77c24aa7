"""The parts that come with the co-simulator, a file per kind."""

from hybrid_control.cosim.parts.ann import AnnPart
from hybrid_control.cosim.parts.codes import (
    DecoderPart,
    EncoderPart,
    FramesPart,
    PopulationEncoderPart,
    PopulationVectorPart,
    gaussian,
)
from hybrid_control.cosim.parts.fusion import GatedFusion, WeightedFusion
from hybrid_control.cosim.parts.gym import GymPlant
from hybrid_control.cosim.parts.plant import (
    CompiledPlant,
    CompiledPlantPart,
    FunctionPart,
    Plant,
    PlantPart,
    plant_part,
)
from hybrid_control.cosim.parts.snn import EnginePart, SnnPart
from hybrid_control.cosim.parts.source import ArraySource

__all__ = [
    "AnnPart",
    "ArraySource",
    "CompiledPlant",
    "CompiledPlantPart",
    "DecoderPart",
    "EncoderPart",
    "EnginePart",
    "FramesPart",
    "FunctionPart",
    "GatedFusion",
    "GymPlant",
    "Plant",
    "PlantPart",
    "PopulationEncoderPart",
    "PopulationVectorPart",
    "SnnPart",
    "WeightedFusion",
    "gaussian",
    "plant_part",
]
