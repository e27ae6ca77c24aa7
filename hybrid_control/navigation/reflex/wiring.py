"""Where the tick finds what it reads and writes: addresses and settings into its context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from hybrid_control.navigation.reflex.context import INPUTS
from hybrid_control.navigation.reflex.evasion import outline_of
from hybrid_control.navigation.reflex.guard import GUARD_MARGIN
from hybrid_control.navigation.reflex.network import GAINED, SPIKE_LAYOUT
from hybrid_control.parameters import Value
from hybrid_control.realtime import Mailbox
from hybrid_control.snn import Engine
from hybrid_control.snn.backends.numba.kernels import K_NEW, K_THRESHOLD, K_V


def connect(
    c: NDArray[Any],
    engine: Engine,
    boxes: Mapping[str, Mailbox],
    settings: Mapping[str, Value],
    name: str,
) -> None:
    """Fill a new CONTEXT, (1,). name: of the network, for the error. ValueError where it lacks what the tick needs."""
    for box, mailbox in boxes.items():
        c[f"{box}_box"] = mailbox.address
    c["arena"] = engine.address
    for place, (node, size) in INPUTS.items():
        if node not in engine.input_names or engine.input(node).size != size:
            raise ValueError(
                f"{name}: the reflex needs an Input {node!r} of {size}; there are {engine.input_names}"
            )
        c[f"{place}_in"] = engine.input(node).ctypes.data
    for population in SPIKE_LAYOUT:
        node = population.name
        if node not in engine.graph.nodes or engine.spikes(node).size != population.size:
            raise ValueError(f"{name}: the reflex needs a spiking population {node!r} of {population.size}")
        c[f"{node}_out"] = engine.spikes(node).ctypes.data
    for gain, projection in GAINED.items():
        c[f"{gain}_at"] = engine.projection_gain(projection).ctypes.data
    for row, number in (("keep", K_V), ("take", K_NEW), ("threshold", K_THRESHOLD)):
        values = engine.coefficient("ring", number)
        c[f"ring_{row}_at"], c["ring_rows"] = values.ctypes.data, values.size
    c["dt"] = 1.0 / float(settings["rate"])
    c["goal_tolerance"] = float(settings["goal_tolerance"])
    c["stop_without_planner"] = settings["without_planner"] == "stop"
    guard = c["guard"]
    for name, value in outline_of(settings)._asdict().items():
        guard["outline"][name] = value
    guard["outline"]["margin"] = GUARD_MARGIN
    guard["yaw_acceleration"] = float(settings["max_yaw_acceleration"])
    guard["holonomic"] = bool(settings["holonomic"])
    guard["radius"] = float(settings["min_turning_radius"])
    guard["response"] = float(settings["response_time"])
    c["hover_height"] = float(settings["hover_height"]) if settings["holonomic"] else 0.0
    c["vertical_clearance"] = float(settings["vertical_clearance"])
    c["max_climb"] = float(settings["max_climb"])
    c["backend"] = settings["backend"] != "numba"
    c["stop_without_board"] = settings["without_board"] == "stop"
    c["takes_states"] = bool(settings["planner_states"])
    c["board_timeout"] = float(settings["board_timeout"])
    for node in ("approach", "far", "goal", "mid", "near") if settings["backend"] != "numba" else ():
        c[f"{node}_spikes"] = engine.spikes(node).ctypes.data
