"""A trial in the embedded simulator, on an open floor that is as large as it needs."""

from __future__ import annotations

from collections.abc import Callable

from hybrid_control.navigation.identify.trial import Trial
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World, generate

PERIOD_NS = 10_000_000  # between commands
LONGEST_NS = 600_000_000_000


def drive(
    trial: Trial,
    robot: Vehicle,
    seed: int = 0,
    world: World | None = None,
    each: Callable[[], None] = lambda: None,
) -> Simulator:
    """Drive a trial to its end in simulated time; the simulator as it is then. each: called after each command.

    world: an open floor unless said.
    """
    simulator = Simulator(world or generate("open", length=2.0 * trial.space), robot, seed, camera=False)
    while not trial.over and simulator.time_ns < LONGEST_NS:
        for event in simulator.advance(simulator.time_ns + PERIOD_NS):
            if event.kind == "odometry":
                trial.put_odometry(event.value, event.time_ns)
            elif event.kind == "scan":
                trial.put_scan(event.value, event.time_ns)
        simulator.apply(trial.command(simulator.time_ns))
        each()
    if not trial.over:
        trial.stop(f"not over after {LONGEST_NS * 1e-9:.0f} s")
    return simulator
