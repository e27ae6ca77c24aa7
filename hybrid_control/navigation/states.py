"""What a planner learns to set of the reflex's network: the potentials at which its ring settles under a plan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from tqdm import tqdm

from hybrid_control.learning.initial_states import (
    Nodes,
    RingMap,
    append,
    extract,
    fit,
    settled,
)
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.reflex.feed import goal_share
from hybrid_control.signals import StateVector, layout
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.snn import Engine, Network

Array = NDArray[np.float64]

DRIVEN, RECURRENT = "excitation", "recurrence"
POPULATIONS = layout(**{DRIVEN: SECTORS, RECURRENT: SECTORS})
SETTLE, MEAN = 1000, 300  # ticks of a sample, and the last of them whose mean counts
DT = 1e-3  # s, of a tick
BUMP = math.radians(10.0)  # width of a sure planner's bump, which reaches its greatest rate
WIDTHS = (6.0, 25.0)  # degrees, of the bumps that are drawn
SURE = 0.65  # share of the plans that have one bump


class Settled:
    """What the ring settles at under heading rates in Hz (72,) and a goal at a bearing, as a planner says it."""

    def __init__(self, ring: RingMap) -> None:
        self.ring = ring

    def __call__(self, rates: NDArray[np.floating], bearing: float, stamp_ns: int) -> StateVector:
        """The states of a plan. bearing: of the goal, rad, body frame."""
        potentials = self.ring(channels(np.asarray(rates, np.float64), bearing)).ravel()
        return StateVector(stamp_ns, potentials.astype(np.float32), POPULATIONS)


@njit(cache=True, nogil=True)
def channels(rates: Array, bearing: float) -> Array:
    """What drives the ring, (2, 72): the plan's rates in Hz, and how near each heading is to the goal's, 0 .. 1."""
    inputs = np.empty((2, SECTORS))
    for i in range(SECTORS):
        inputs[0, i] = rates[i]
        inputs[1, i] = goal_share(math.cos(HEADINGS[i] - bearing))
    return inputs


class Sample(NamedTuple):
    """A plan: heading rates in Hz (72,), and the goal's bearing in rad."""

    rates: Array
    bearing: float


def draw(rng: np.random.Generator, max_rate: float) -> Sample:
    """A plan as planners give them: a bump of random width, height and direction, or two of them; its goal not far off,
    or anywhere."""
    direction = rng.uniform(-math.pi, math.pi)
    parts = [(direction, math.radians(rng.uniform(*WIDTHS)), 1.0)]
    if rng.random() >= SURE:
        other = direction + rng.uniform(0.4, math.pi) * rng.choice([-1.0, 1.0])
        parts = [(direction, parts[0][1], rng.uniform(0.2, 1.0))]
        parts.append((other, math.radians(rng.uniform(*WIDTHS)), rng.uniform(0.1, 1.0)))
    rates = bumps(parts, max_rate, math.exp(rng.normal(0.0, 0.2)))
    off = rng.normal(0.0, 0.6) if rng.random() < 0.7 else rng.uniform(-math.pi, math.pi)
    return Sample(rates, direction + off)


def bumps(parts: Sequence[tuple[float, float, float]], max_rate: float, share: float = 1.0) -> Array:
    """Heading rates (72,) in Hz of bumps of (direction in rad, width in rad, height).

    Their sum is a share of that of one bump BUMP wide and max_rate high: the less sure, the lower, as the planner that
    ships has it. None is above max_rate.
    """
    shapes = [height * np.exp((np.cos(HEADINGS - at) - 1.0) / width**2) for at, width, height in parts]
    rates = np.sum(shapes, axis=0)
    full = np.exp((np.cos(HEADINGS) - 1.0) / BUMP**2).sum()
    scaled: Array = np.minimum(share * max_rate * full * rates / rates.sum(), max_rate)
    return scaled


def rows_of(engine: Engine, sample: Sample, rng: np.random.Generator) -> NDArray[np.float32]:
    """What the reflex feeds its network while it drives on a plan with nothing near, (SETTLE, inputs)."""
    parts = []
    for name in engine.input_names:
        part = np.zeros((SETTLE, engine.input(name).size))
        if name == "planner":
            part[:, :SECTORS] = rng.random((SETTLE, SECTORS)) < sample.rates * DT
        elif name == "goal_current":
            part[:] = 1.0 + 2.0 * channels(sample.rates, sample.bearing)[1]
        elif name == "arousal":
            part[:] = 1.0
        parts.append(part)
    return np.concatenate(parts, axis=1).astype(np.float32)


def learn(network: Network, count: int, seed: int, max_rate: float) -> tuple[Settled, str]:
    """Run a reflex's network on drawn plans until it has settled, and fit the map; with a bar on stderr.

    Also a line on how far off the map is on plans that it was not fitted to. ValueError for a network without the two
    populations of 72, or whose ring stays silent.
    """
    engine = Engine(network, dt=DT)
    for name in (DRIVEN, RECURRENT):
        if name not in engine.graph.nodes or engine.read(name, "voltage").size != SECTORS:
            raise ValueError(f"the network needs a population {name!r} of {SECTORS} with membrane potentials")
    rng = np.random.default_rng(seed)

    def run(plans: Iterable[Sample]) -> tuple[Array, Array]:
        pairs = [(channels(*s), settled(engine, rows_of(engine, s, rng), (DRIVEN, RECURRENT), MEAN)) for s in plans]
        return np.array([x for x, _ in pairs]), np.array([y for _, y in pairs])

    inputs, potentials = run(tqdm([draw(rng, max_rate) for _ in range(count)], unit="plan"))
    ring = fit(inputs, potentials)
    unseen, wanted = run(draw(rng, max_rate) for _ in range(max(20, count // 10)))
    recurrent = np.array([ring(x)[1] for x in unseen])
    off = np.degrees(np.abs(np.angle(np.exp(1j * (direction(recurrent) - direction(wanted[:, 1]))))))
    explained = 1.0 - ((recurrent - wanted[:, 1]) ** 2).sum() / ((wanted[:, 1] - wanted[:, 1].mean()) ** 2).sum()
    return Settled(ring), (
        f"{len(off)} plans that it was not fitted to: direction off by {np.median(off):.1f} degrees (median), "
        f"{np.percentile(off, 90):.1f} (p90); {100 * explained:.1f} % of the variance of {RECURRENT!r} explained"
    )


def direction(potentials: Array) -> Array:
    """The direction of the population vector, rad, of (..., 72)."""
    angle: Array = np.angle(potentials @ np.exp(1j * HEADINGS))
    return angle


def write(planner: Path, states: Settled, out: Path) -> None:
    """Add the map to an ONNX planner, its outputs named after the populations, and write it to another file.

    ValueError for a file that breaks the planner's contract or that brings states already.
    """
    import onnx

    contract.load(planner)
    model = onnx.load(planner)
    nodes = Nodes(model.graph)
    bounds = (nodes.constant(name, [at], np.int64) for name, at in (("first", 1), ("end", 3), ("columns", 1)))
    bearing = nodes.node("Slice", "goal", *bounds, output="initial_states/bearing")
    turned = nodes.constant("directions", np.stack([np.cos(HEADINGS), np.sin(HEADINGS)]))
    cosines = nodes.node("MatMul", bearing, turned, output="initial_states/cosines")
    less = nodes.node("Sub", cosines, nodes.constant("one", 1.0), output="initial_states/less")
    power = nodes.node("Mul", less, nodes.constant("two", 2.0), output="initial_states/power")
    goal = nodes.node("Exp", power, output="initial_states/goal")
    append(model, states.ring, ["heading", goal], (DRIVEN, RECURRENT))
    onnx.save(model, out)
    contract.load(out)


def read(planner: Path) -> Settled:
    """The map that `write` added to a planner; ValueError where there is none."""
    import onnx

    try:
        return Settled(extract(onnx.load(planner)))
    except ValueError as error:
        raise ValueError(f"{planner}: {error}") from None
