"""The arm's spiking networks: a servo in joint space, the reflex of the elbow, and a filter of the senses.

Numbers are held by opponent pairs of LIF populations and read by least squares over their rates, rate(I) = 1 / (tau
ln(I / (I - 1))) for I > 1 (C. Eliasmith, C. H. Anderson, "Neural engineering", 2003, chapter 2 and appendix).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hybrid_control.bench.arm.networks import (
    DAMPING,
    POSTURE,
    RANDOM,
    STIFFNESS_SNN,
    goals,
    linear_angles,
    linear_weight,
    places,
)
from hybrid_control.bench.arm.plant import ELBOW, TORQUE
from hybrid_control.cosim.parts.snn import SnnPart, load
from hybrid_control.snn import Network

Array = NDArray[Any]
TAU, TAU_OUT, MOST = 0.02, 0.008, 250.0  # s: membranes, s: what reads them, Hz: rates
TAU_ANGLES, KINEMATIC = 0.015, 300  # s, neurons
NEURONS = 24  # in one of the two populations of a number
DT, SLOW = 0.001, 0.002  # s: ticks, of what moves the arm and of a level above it
TAU_SLOW = 0.03  # s: what reads the neurons of that level
MARGIN, AHEAD, WITHDRAW = 0.25, 0.08, 6.0  # rad before a stop, s looked ahead, N m at a rate of MOST


@dataclass(frozen=True)
class Code:
    """An opponent pair for numbers within -1 .. 1: gain and bias (2 n,) of each neuron, how it is read (2 n,)."""

    gain: Array
    bias: Array
    read: Array


def code(neurons: int, seed: int) -> Code:
    """Neurons that begin to fire somewhere within -0.4 .. 0.95 and fire at 120 .. MOST Hz for 1.

    Read: ridge regression of the number on rates. A neuron of the second population fires for the negative number.
    """
    rng = np.random.default_rng([seed, RANDOM, neurons])
    begin = np.tile(np.linspace(-0.4, 0.95, neurons), 2) + rng.uniform(-0.02, 0.02, 2 * neurons)
    rate = rng.uniform(120.0, MOST, 2 * neurons)
    sign = np.repeat([1.0, -1.0], neurons)
    slope = (1.0 / -np.expm1(-1.0 / (TAU * rate)) - 1.0) / np.maximum(1.0 - begin, 0.2)
    x = np.linspace(-1.1, 1.1, 221)
    rates = firing(np.outer(x, sign * slope) + 1.0 - slope * begin)
    noise = (0.1 * MOST) ** 2 * len(x)
    read = np.linalg.solve(rates.T @ rates + noise * np.eye(2 * neurons), rates.T @ x)
    return Code(sign * slope, 1.0 - slope * begin, read)


def represent(
    net: Network, source: str, name: str, scale: Array, *, tick: float = DT, tau: float = TAU_OUT
) -> None:
    """Numbers (d,) that `source` gives, within -scale .. scale, as spikes, and read back by the LI `name` in tau s."""
    size, neurons = len(scale), NEURONS
    codes = [code(neurons, i) for i in range(size)]
    into, back = np.zeros((2 * neurons * size, size)), np.zeros((size, 2 * neurons * size))
    for i, c in enumerate(codes):
        own = slice(2 * neurons * i, 2 * neurons * (i + 1))
        into[own, i] = c.gain / scale[i]
        back[i, own] = c.read * scale[i] / tick  # a spike is 1 for a tick
    bias = np.concatenate([c.bias for c in codes])
    net.add_population(f"{name}_neurons", nir.LIF, len(bias), tau=TAU, v_threshold=1.0)
    net.connect(source, f"{name}_neurons", into, f"{name}_drive", bias=bias)
    net.add_population(name, nir.LI, size, tau=tau)
    net.connect(f"{name}_neurons", name, back, f"{name}_read")


def servo(*, goal: str, reflex: bool = False) -> SnnPart:
    """`servo_network` as a part."""
    net, dense = servo_network(goal=goal, reflex=reflex)
    return load(net, dt=DT, reset="subtract", drive={name: "dense" for name in dense})


def servo_network(*, goal: str, reflex: bool = False) -> tuple[Network, list[str]]:
    """Senses (6) to torque (2), a spiking servo: torque = K (q_target - q) - D q' + what holds the arm.

    goal: where q_target is from: "linear" from the target by the best affine kinematics; "spikes" from it by neurons
    that were fitted to the kinematics, as an ANN's are; "input" from an input `goal` (4), angles and torque, which an
    ANN gives; "state" linear, and over it what the ANN has written into the integrating population `setpoint` (4).
    reflex: neurons that fire where the elbow nears a stop, and withdraw it. Returned with it: the projections that
    values and not spikes drive.
    """
    K, D = STIFFNESS_SNN**2 * POSTURE, 2 * DAMPING * STIFFNESS_SNN * POSTURE
    slope, level = linear_weight()
    A, b = linear_angles()
    knows = goal in ("linear", "state")
    senses = np.hstack([K @ A if knows else np.zeros((2, 2)), slope - K, -D])
    net = Network()
    net.add_input("senses", 6)
    net.add("wanted", nir.Affine(senses, level + (K @ b if knows else 0.0)))
    net.edge("senses", "wanted")
    dense = ["wanted", "torque_drive"]
    net.add("sum", nir.Scale(np.ones(2)))
    net.edge("wanted", "sum")
    if goal != "linear":
        source = {"input": "goal", "state": "setpoint", "spikes": "angles"}[goal]
        if goal == "input":
            net.add_input("goal", 4)
        elif goal == "state":
            net.add_population("setpoint", nir.I, 4, r=1.0)
        else:
            dense.append(_kinematics(net))
        net.connect(source, "sum", np.hstack([K, np.eye(2)]), "slow")
        dense.append("slow")
    represent(net, "sum", "torque", TORQUE)
    if reflex:
        dense.append(_reflex(net))
    net.add_output("out", "torque")
    return net, dense


def _kinematics(net: Network) -> str:
    """Spikes that hold a target, and the LI `angles` that reads of them what `networks.goals` says.

    KINEMATIC neurons, each with a direction in the plane and a threshold on the way along it.
    """
    rng = np.random.default_rng([RANDOM, KINEMATIC])
    centre, radius = np.array([0.3, 0.0]), np.array([0.3, 0.52])
    turn = rng.uniform(0.0, 2 * np.pi, KINEMATIC)
    begin, rate = rng.uniform(-0.95, 0.9, KINEMATIC), rng.uniform(120.0, MOST, KINEMATIC)
    slope = (1.0 / -np.expm1(-1.0 / (TAU * rate)) - 1.0) / np.maximum(1.0 - begin, 0.2)
    into = slope[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1) / radius
    bias = 1.0 - slope * begin - into @ centre
    x = places(3000, 4)
    rates = firing(x @ into.T + bias)
    noise = (0.02 * MOST) ** 2 * len(x)
    y = goals(x)
    offset = y.mean(axis=0)
    read = np.linalg.solve(rates.T @ rates + noise * np.eye(KINEMATIC), rates.T @ (y - offset)).T
    net.add_population("places", nir.LIF, KINEMATIC, tau=TAU, v_threshold=1.0)
    net.connect("senses", "places", np.hstack([into, np.zeros((KINEMATIC, 4))]), "see", bias=bias)
    net.add_population("angles", nir.LI, 4, tau=TAU_ANGLES, v_leak=offset)
    net.connect("places", "angles", read / DT, "know")
    return "see"


def firing(current: Array) -> Array:
    """Rates in Hz of LIF neurons that a current drives."""
    fires = current > 1.0
    return np.where(fires, 1.0 / (TAU * np.log1p(1.0 / np.where(fires, current - 1.0, 1.0))), 0.0)


def _reflex(net: Network, neurons: int = 8) -> str:
    """Where q2 + AHEAD q2' comes within MARGIN of a stop, neurons fire and push away."""
    rows, bias = np.zeros((2 * neurons, 6)), np.zeros(2 * neurons)
    strength = np.linspace(0.7, 1.3, neurons) * 20.0 / MARGIN
    for k, (sign, edge) in enumerate(((-1.0, -(ELBOW[0] + MARGIN)), (1.0, ELBOW[1] - MARGIN))):
        own = slice(k * neurons, (k + 1) * neurons)
        rows[own, 3], rows[own, 5], bias[own] = (
            sign * strength,
            sign * strength * AHEAD,
            1.0 - strength * edge,
        )
    net.add_population("limits", nir.LIF, 2 * neurons, tau=TAU, v_threshold=1.0)
    net.connect("senses", "limits", rows, "near", bias=bias)
    away = np.zeros((2, 2 * neurons))
    away[1] = np.repeat([1.0, -1.0], neurons) * WITHDRAW / (neurons * MOST * DT)
    net.connect("limits", "torque", away, "withdraw")
    return "near"


def foresight(horizon: float) -> SnnPart:
    """`foresight_network` as a part."""
    drive = {n: "dense" for n in ("expected", "estimate_drive")}
    return load(foresight_network(horizon), dt=DT, reset="subtract", drive=drive)


def foresight_network(horizon: float) -> Network:
    """Senses (6) to what is expected `horizon` seconds later, (4): q + horizon q', and q', as spikes and read back."""
    net = Network()
    net.add_input("senses", 6)
    ahead = np.hstack([np.zeros((4, 2)), np.eye(4)])
    ahead[:2, 4:] = horizon * np.eye(2)
    centre = np.array([0.6, -1.45, 0.0, 0.0])  # of the angles that are met
    net.add("expected", nir.Affine(ahead, centre))
    net.edge("senses", "expected")
    represent(net, "expected", "estimate", np.array([1.6, 1.6, 8.0, 8.0]))
    net.add("shift", nir.Affine(np.eye(4), -centre))
    net.edge("estimate", "shift")
    net.add_output("out", "shift")
    return net


def level_network() -> Network:
    """A level between an ANN and `servo_network(goal="state")`, at a tick of SLOW.

    What the ANN has written into the integrating population `goal` (4) as spikes, and read back in TAU_SLOW: what it
    gives goes from one of the ANN's words to the next without a jump.
    """
    net = Network()
    net.add_population("goal", nir.I, 4, r=1.0)
    represent(net, "goal", "setpoint", np.array([1.2, 1.2, 3.0, 1.2]), tick=SLOW, tau=TAU_SLOW)
    net.add_output("out", "setpoint")
    return net
