"""Co-simulation: any ANN, any SNN, one clock (docs/cosim.md)."""

from hybrid_control.cosim.hybrid import Hybrid, HybridError, load
from hybrid_control.cosim.link import LinkOptions
from hybrid_control.cosim.part import Message, Part, PartError, Port, Runs, Updates
from hybrid_control.cosim.results import Results
from hybrid_control.cosim.scheduler import EventScheduler
from hybrid_control.cosim.simulator import HybridCoSimulator, run

__all__ = [
    "EventScheduler",
    "Hybrid",
    "HybridCoSimulator",
    "HybridError",
    "LinkOptions",
    "Message",
    "Part",
    "PartError",
    "Port",
    "Results",
    "Runs",
    "Updates",
    "load",
    "run",
]
