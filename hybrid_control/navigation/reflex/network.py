"""The reflex's spiking network: a heading ring that the planner and the goal excite and that obstacles inhibit.

                 heading (planner) ─┐
    goal current ──► goal ──────────┴► excitation ─┐
                                                   ▼            ┌► left, right ──► yaw rate
    near, mid, far ──► obstacle populations ─┐    ring ─────────┤
    approach ───────► approach population ───┴► blocked ─┤ ▲    └► forward ──────► speed
                                            (inhibits)   │ └── recurrence (local excitation)
                                                         └──── global (inhibits all)

Neurons of a 72-population prefer the directions of `percept.sector_directions`. Weights are in units of the
firing threshold; a spike of weight w raises a synaptic current by w dt / tau, so a rate of f hertz makes a mean
current of w f dt. The winner-take-all of local excitation and global inhibition is Amari's ("Dynamics of pattern
formation in lateral-inhibition type neural fields", Biol. Cybern. 27, 1977); steering by it is the attractor
dynamics of Schöner, Dose and Engels (Robotics and Autonomous Systems 16, 1995), here with spikes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import nir
import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.percept import sector_directions
from hybrid_control.signals import PLANNER_POPULATIONS, Population, layout
from hybrid_control.signals.headings import SECTORS
from hybrid_control.snn import Network, gaussian_ring, one_to_one

MOTOR = 16  # neurons in each motor population
SPEED = PLANNER_POPULATIONS[1].size  # neurons in the planner's speed population
GLOBAL = 8  # neurons of global inhibition

# What goes out on reflex/spikes.
SPIKE_LAYOUT: tuple[Population, ...] = layout(
    ring=SECTORS, left=MOTOR, right=MOTOR, forward=MOTOR, reverse=MOTOR
)

# What goes to a board that runs the network in place of this processor, and what comes from it, both in order of
# name. The populations that currents drive stay here; arousal and stuck_current go as so many spikes in a tick.
BOARD_INPUTS: tuple[Population, ...] = layout(
    approach=SECTORS, arousal=1, far=SECTORS, goal=SECTORS, mid=SECTORS, near=SECTORS, planner=SECTORS + SPEED,
    stuck_current=1,
)  # fmt: skip
BOARD_OUTPUTS: tuple[Population, ...] = layout(
    forward_out=MOTOR, left_out=MOTOR, reverse_out=MOTOR, right_out=MOTOR, ring_out=SECTORS
)

# Each band of ranges has a population of its own, for the nearer an obstacle is, the more headings it closes:
# (name, range at which the band's neurons fire most, m, strength of their drive there)
BANDS: tuple[tuple[str, float, float], ...] = (("near", 0.60, 2.5), ("mid", 0.95, 1.6), ("far", 1.60, 0.8))

# Projections whose gains are parameters of the reflex.
GAINED: dict[str, str] = {
    "planner_gain": "planner_excitation",
    "goal_gain": "goal_excitation",
    "avoidance_gain": "blocked_ring",
    "approach_gain": "approach_blocked",
    "excitation_gain": "ring_recurrence",
    "inhibition_gain": "global_inhibition",
}


def with_gains(network: Network, gains: Mapping[str, float]) -> Network:
    """The network with its gains, the ring's time constant and its threshold written into it, as a board needs it."""
    changed = Network.from_nir(network.to_nir())
    for gain, name in GAINED.items():
        node = changed.nodes[name]
        changed.nodes[name] = nir.Linear(float(gains[gain]) * np.asarray(node.weight))
    ring = changed.nodes["ring"]
    one = np.ones_like(np.asarray(ring.tau, np.float64))
    changed.nodes["ring"] = nir.LIF(
        tau=gains["time_constant"] * one, r=ring.r, v_leak=ring.v_leak, v_threshold=gains["threshold"] * one,
        v_reset=ring.v_reset,
    )  # fmt: skip
    return changed


def closing_kernel(
    distance: float, half_width: float, softness: float = math.radians(3.0)
) -> NDArray[np.float64]:
    """How far an obstacle in one direction closes each heading, (72, 72), 0 .. 1.

    An obstacle at `distance` m is passed by a robot of `half_width` m (its clearance included) on headings that
    are at least asin(half_width / distance) away; the edge is a logistic of scale `softness` rad.
    """
    directions = sector_directions().astype(np.float64)
    apart = np.abs((directions[:, None] - directions[None, :] + np.pi) % (2 * np.pi) - np.pi)
    edge = math.asin(min(1.0, half_width / distance))
    return 1.0 / (1.0 + np.exp((apart - edge) / softness))


def _window(half_angle: float, centre: float = 0.0) -> NDArray[np.float64]:
    """1 for sectors within `half_angle` rad of `centre`, else 0; (72,)."""
    apart = np.abs((sector_directions().astype(np.float64) - centre + np.pi) % (2 * np.pi) - np.pi)
    return (apart <= half_angle).astype(np.float64)


def build_network(half_width: float = 0.30, dt: float = 1e-3) -> Network:
    """The network for a robot of `half_width` m, the clearance it keeps included, stepped every `dt` s.

    The weights below are for steps of 1 ms; those that carry spikes grow as the step shrinks, so that a rate
    makes the same mean current at any step.
    """
    spike = 1e-3 / dt
    directions = sector_directions().astype(np.float64)
    net = Network()

    net.add_input("planner", SECTORS + SPEED)
    net.add_input("arousal", 1)
    for name in ("goal", *(band for band, _, _ in BANDS), "approach"):
        net.add_input(f"{name}_current", SECTORS)
        net.add_population(name, nir.LIF, SECTORS, tau=0.010)
        net.edge(f"{name}_current", name)
    net.add_input("stuck_current", 1)

    net.add_population("blocked", nir.CubaLIF, SECTORS, tau_syn=0.010, tau_mem=0.010)
    for (band, distance, _), weight in zip(BANDS, (3.5, 5.4, 3.5), strict=True):
        net.connect(band, "blocked", spike * weight * closing_kernel(distance, half_width))
    net.connect("approach", "blocked", spike * 2.6 * closing_kernel(BANDS[1][1], half_width))

    net.add_population("ring", nir.LIF, SECTORS, tau=0.010)
    net.connect("arousal", "ring", np.full((SECTORS, 1), 2.4))
    net.add_population("excitation", nir.LI, SECTORS, tau=0.020)
    net.connect(
        "planner",
        "excitation",
        np.hstack([spike * 6.0 * np.eye(SECTORS), np.zeros((SECTORS, SPEED))]),
        "planner_excitation",
    )
    net.connect("goal", "excitation", one_to_one(spike * 3.2))
    net.edge("excitation", "ring")
    net.add_population("recurrence", nir.LI, SECTORS, tau=0.080)
    net.connect("ring", "recurrence", gaussian_ring(spike * 2.75, 0.25))
    net.edge("recurrence", "ring")
    net.add_population("closing", nir.LI, SECTORS, tau=0.020)
    net.connect("blocked", "closing", one_to_one(spike * 7.6), "blocked_ring")
    net.connect("closing", "ring", one_to_one(-1.0))
    net.add_population("global", nir.CubaLIF, GLOBAL, tau_syn=0.005, tau_mem=0.005)
    net.connect("ring", "global", np.full((GLOBAL, SECTORS), spike * 3.0))
    net.add_population("inhibition", nir.LI, 1, tau=0.005)
    net.connect("global", "inhibition", np.full((1, GLOBAL), spike * 2.5))
    net.connect("inhibition", "ring", np.full((SECTORS, 1), -1.0))

    spread = np.linspace(0.8, 1.2, MOTOR)  # thresholds apart, so that the population's rate is smooth
    steer = np.clip(directions / math.radians(60.0), -1.0, 1.0)
    ahead = np.maximum(np.cos(directions), 0.0) ** 2
    for name, weight, drive in (
        ("left", 15.8, np.maximum(steer, 0.0)),
        ("right", 15.8, np.maximum(-steer, 0.0)),
        ("forward", 11.5, ahead),
    ):
        net.add_population(name, nir.CubaLIF, MOTOR, tau_syn=0.020, tau_mem=0.010, v_threshold=spread)
        net.connect("ring", name, np.tile(spike * weight * drive, (MOTOR, 1)))
    net.add_population("reverse", nir.CubaLIF, MOTOR, tau_syn=0.020, tau_mem=0.010, v_threshold=spread)
    net.connect("stuck_current", "reverse", np.full((MOTOR, 1), 1.0))
    net.connect("reverse", "forward", np.full((MOTOR, MOTOR), -3.0 * spike))

    # braking: what is close ahead, and the planner's wish to go slowly
    front, rear = _window(math.radians(22.0)), _window(math.radians(40.0), math.pi)
    for band, weight in (("near", -1.75), ("mid", -0.35)):
        net.connect(band, "forward", np.tile(spike * weight * front, (MOTOR, 1)))
    net.connect("near", "reverse", np.tile(-3.0 * spike * rear, (MOTOR, 1)))
    slow = 1.0 - np.arange(SPEED) / (SPEED - 1)
    net.connect(
        "planner",
        "forward",
        np.tile(np.concatenate([np.zeros(SECTORS), -4.0 * spike * slow]), (MOTOR, 1)),
        "planner_forward",
    )

    for name in ("ring", "left", "right", "forward", "reverse"):
        net.add_output(f"{name}_out", name)
    return net
