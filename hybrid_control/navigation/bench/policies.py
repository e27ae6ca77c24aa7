"""What can be benchmarked, by name: the hybrid, parts of it, and baselines that steer by scan and odometry alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_control.navigation.bench.dwa import Dwa
from hybrid_control.navigation.bench.gap import WidestGap
from hybrid_control.navigation.bench.mppi import Mppi
from hybrid_control.navigation.bench.planner_alone import PlannerAlone
from hybrid_control.navigation.bench.scan_driver import Straight
from hybrid_control.navigation.bench.vfh import Vfh
from hybrid_control.navigation.drive import Driver, Navigator
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.parameters import Value
from hybrid_control.sim.robots.vehicle import Vehicle


@dataclass(frozen=True, slots=True)
class Policy:
    """reflex, planner: whether it drives, whether the ANN has a part in it; memory: whether a route memory leads them;
    baseline: its class where it is neither; settings_of: the policy whose settings are its own too."""

    reflex: bool = False
    planner: bool = False
    memory: bool = False
    baseline: Any = None
    settings_of: str = ""


POLICIES: Mapping[str, Policy] = {
    "hybrid": Policy(reflex=True, planner=True, memory=True),
    "memoryless": Policy(reflex=True, planner=True),
    "planner": Policy(planner=True),
    "reflex": Policy(reflex=True),
    "straight": Policy(baseline=Straight),
    "gap": Policy(baseline=WidestGap),
    "vfh": Policy(baseline=Vfh),
    "dwa": Policy(baseline=Dwa),
    "mppi": Policy(baseline=Mppi),
    "led-vfh": Policy(baseline=Vfh, memory=True, settings_of="vfh"),
    "led-dwa": Policy(baseline=Dwa, memory=True, settings_of="dwa"),
    "led-mppi": Policy(baseline=Mppi, memory=True, settings_of="mppi"),
}


def find_policy(name: str) -> Policy:
    """The policy of that name; ValueError where there is none."""
    if name not in POLICIES:
        raise ValueError(f"--policy: unknown policy {name!r}; there are {', '.join(POLICIES)}")
    return POLICIES[name]


def make_driver(
    name: str,
    robot: Vehicle,
    planner: TimedPlanner | None,
    gains: Mapping[str, Value],
    settings: Mapping[str, Value],
) -> Driver:
    """A driver of a robot. planner: for those policies that have one; gains: of the reflex; settings: of the reflex, or
    of a baseline.

    ValueError for a baseline that has no such setting, or a robot that baselines do not drive.
    """
    policy = find_policy(name)
    if policy.reflex:
        return Navigator(planner, robot, settings=settings, gains=gains, memory=policy.memory)
    if robot.flies:
        taken = ", ".join(n for n, p in POLICIES.items() if p.reflex)
        raise ValueError(f"--policy {name}: drives rovers; {robot.name} takes {taken}")
    if policy.planner:
        assert planner is not None
        return PlannerAlone(planner)
    try:
        driver: Any = policy.baseline(**{k: v for k, v in settings.items() if k != "max_speed"})
    except TypeError as error:
        raise ValueError(f"settings of {name}: {error}") from None
    driver.led = policy.memory
    return driver
