"""What a campaign of faults requires of the robot that it starts, by its measures and its nodes' parameters."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_control.bench.fault_truth import Stop
from hybrid_control.bringup.graph import Graph
from hybrid_control.sim.robots import vehicle

SIM, REFLEX, BRIDGE = "sim_node", "reflex_node", "firmware_bridge_node"
BASE_STOPS, REFLEX_STOPS = "base", "reflex"  # who stops the robot: the names of `Limits.stop`
_OVER = 0.2  # share by which the base may be faster than it was told, on its way to a new speed


@dataclass(frozen=True, slots=True)
class Limits:
    """base, reflex: how each of them stops; fastest: m/s beyond which the robot never drives; half_track: m from its
    middle to a wheel."""

    base: Stop
    reflex: Stop
    fastest: float
    half_track: float = 0.0

    def stop(self, who: str) -> Stop:
        """How BASE_STOPS or REFLEX_STOPS stops."""
        return {BASE_STOPS: self.base, REFLEX_STOPS: self.reflex}[who]


def limits_of(graph: Graph, robot: str) -> Limits:
    """Those of a graph that `hybrid-control up` would start. robot: name of the simulated robot that it moves.

    The base stops by the timeout and the braking of the firmware bridge where there is one, else by its own. The reflex
    stops once a scan is too old; then the robot brakes with what reflex and base both can.
    """
    body, mind = vehicle(robot), graph.values(REFLEX)
    bridge = graph.values(BRIDGE) if BRIDGE in graph.managed else {}
    timeout = float(bridge.get("command_timeout", body.command_timeout))
    braking = min(float(bridge.get("acceleration", body.deceleration)), body.deceleration)
    reflex = Stop(float(mind["scan_timeout"]), min(float(mind["max_acceleration"]), braking))
    fastest = (1.0 + _OVER) * min(float(mind["max_speed"]), body.max_speed)
    half_track = body.wheels.track / 2 if body.wheels is not None else 0.0
    return Limits(Stop(timeout, braking), reflex, fastest, half_track)
