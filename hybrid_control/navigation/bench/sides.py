"""The two sides of the robot as named numbers: what shapes the reflex's weights, and the planner's last layer.

The ring has no preferred heading, so neither have the numbers: a kernel is given by how it changes with the angle
between two headings, the same for all 72 and for both sides. Where every number is 0 the weights are the hand-built
ones to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import nir
import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.navigation.bench.map_planner import Readout
from hybrid_control.navigation.reflex.network import build_network
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.snn import Network

WEIGHTS, PLANNER = "weights.", "planner."  # how names of the two sides' numbers begin; the others are gains


class Number(NamedTuple):
    """A number that may be changed: where a search of it starts, how wide its first steps are, and its limits."""

    name: str
    start: float
    step: float
    low: float
    high: float


class Shape(NamedTuple):
    """A change of the weights of some projections: name, projections, and what is added of it, (post, pre), for 1."""

    name: str
    projections: tuple[str, ...]
    added: Callable[[FloatArray], FloatArray]


def _hat(angle: FloatArray, places: Sequence[float], k: int) -> FloatArray:
    """1 at the k-th of some places in degrees, 0 from the next ones on, linear in between; angle in degrees."""
    return np.interp(angle, places, np.eye(len(places))[k])


def _bump(places: Sequence[float], k: int) -> Callable[[FloatArray], FloatArray]:
    """Weights between headings that lie so many degrees apart, in units of the greatest there is."""
    directions = np.degrees(HEADINGS)
    apart = np.abs((directions[:, None] - directions[None, :] + 180.0) % 360.0 - 180.0)

    def added(weight: FloatArray) -> FloatArray:
        full = np.zeros_like(weight)
        full[:, :SECTORS] = np.abs(weight).max() * _hat(apart, places, k)
        return full

    return added


def _share(places: Sequence[float], k: int) -> Callable[[FloatArray], FloatArray]:
    """Of the weights that there are, those of headings so many degrees off straight ahead."""
    ahead = np.abs((np.degrees(HEADINGS) + 180.0) % 360.0 - 180.0)
    return lambda weight: weight * _hat(ahead, places, k)


def _all(weight: FloatArray) -> FloatArray:
    return weight


def _shapes() -> tuple[Shape, ...]:
    """All of them, in order."""
    made = []
    around = (0.0, 10.0, 20.0, 40.0, 90.0)
    made += [
        Shape(f"ring_recurrence.{d:g}", ("ring_recurrence",), _bump(around, k)) for k, d in enumerate(around)
    ]
    beside = (0.0, 5.0, 10.0, 20.0, 30.0)  # that straight on is a gain, and far off there is nothing
    for projection in ("planner_excitation", "blocked_ring"):
        made += [Shape(f"{projection}.{beside[k]:g}", (projection,), _bump(beside, k)) for k in (1, 2, 3)]
    for band, edge in (("near", 30.0), ("mid", 20.0), ("far", 10.0)):  # asin(half width / distance), about
        projection = f"{band}_blocked"
        made.append(Shape(f"{projection}.all", (projection,), _all))
        made.append(Shape(f"{projection}.edge", (projection,), _bump((edge - 10.0, edge, edge + 15.0), 1)))
    turns = (10.0, 40.0, 120.0)
    made += [
        Shape(f"ring_turn.{d:g}", ("ring_left", "ring_right"), _share(turns, k)) for k, d in enumerate(turns)
    ]
    on = (0.0, 45.0, 90.0)
    made += [Shape(f"ring_forward.{on[k]:g}", ("ring_forward",), _share(on, k)) for k in (0, 1)]
    made += [Shape(f"{p}.all", (p,), _all) for p in ("near_forward", "mid_forward", "planner_forward")]
    return tuple(made)


SHAPES = _shapes()
WEIGHT_NUMBERS = tuple(Number(WEIGHTS + shape.name, 0.0, 0.1, -0.6, 0.6) for shape in SHAPES)
PLANNER_NUMBERS = (
    Number(PLANNER + "heading_width", Readout().heading_width, 0.03, 0.06, 0.5),
    Number(PLANNER + "speed_scale", 1.0, 0.1, 0.4, 1.6),
    Number(PLANNER + "speed_offset", 0.0, 0.05, -0.3, 0.5),
)


@cache
def basis(dt: float = 1e-3) -> dict[str, dict[str, FloatArray]]:
    """What 1 of each of WEIGHT_NUMBERS adds to the weights of the hand-built network, by number and projection."""
    network = build_network(dt=dt)
    weights = {
        name: np.asarray(node.weight) for name, node in network.nodes.items() if hasattr(node, "weight")
    }
    return {WEIGHTS + s.name: {p: s.added(weights[p]) for p in s.projections} for s in SHAPES}


def shaped(numbers: Mapping[str, float], dt: float = 1e-3) -> Network:
    """The hand-built network with its weights changed by some of WEIGHT_NUMBERS; ValueError for an unknown one."""
    network = build_network(dt=dt)
    for name, number in numbers.items():
        if name not in basis(dt):
            raise ValueError(f"{name!r} shapes no weights; there are {', '.join(basis(dt))}")
        for projection, added in basis(dt)[name].items() if number else ():
            weight = np.asarray(network.nodes[projection].weight) + number * added
            network.nodes[projection] = nir.Linear(weight)
    return network


class Values(NamedTuple):
    """A set of values by what they belong to: gains of the reflex, numbers of its weights, the planner's last layer."""

    gains: dict[str, float]
    weights: dict[str, float]
    readout: Readout


def parted(values: Mapping[str, float]) -> Values:
    """The values by what they belong to; ValueError for a number of the planner's that there is not."""
    planner = {n.removeprefix(PLANNER): v for n, v in values.items() if n.startswith(PLANNER)}
    if not planner.keys() <= set(Readout._fields):
        raise ValueError(
            f"the planner's last layer has {', '.join(Readout._fields)}, not {', '.join(planner)}"
        )
    weights = {name: v for name, v in values.items() if name.startswith(WEIGHTS)}
    gains = {name: v for name, v in values.items() if not name.startswith((WEIGHTS, PLANNER))}
    return Values(gains, weights, Readout(**planner))
