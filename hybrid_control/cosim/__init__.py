"""Co-simulation: any ANN, any SNN, one clock (docs/cosim.md)."""

from hybrid_control.cosim.compare import first_divergence
from hybrid_control.cosim.debugger import Debugger
from hybrid_control.cosim.hybrid import Hybrid, HybridError, load
from hybrid_control.cosim.link import LinkOptions
from hybrid_control.cosim.part import Message, MessagePart, Part, PartError, Port, Runs, Updates
from hybrid_control.cosim.results import Results
from hybrid_control.cosim.scheduler import EventScheduler
from hybrid_control.cosim.simulator import HybridCoSimulator, run
from hybrid_control.cosim.tracefile import Trace
from hybrid_control.cosim.tracefile import read as read_trace

__all__ = [
    "Debugger",
    "EventScheduler",
    "Hybrid",
    "HybridCoSimulator",
    "HybridError",
    "LinkOptions",
    "Message",
    "MessagePart",
    "Part",
    "PartError",
    "Port",
    "Results",
    "Runs",
    "Trace",
    "Updates",
    "first_divergence",
    "load",
    "read_trace",
    "run",
]
