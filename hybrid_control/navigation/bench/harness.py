"""One episode of the benchmark: a policy by name, at a level, in a world, under rules; the same seed, the same row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hybrid_control.navigation.bench.compiled import CompiledRunner
from hybrid_control.navigation.bench.dwa import Dwa
from hybrid_control.navigation.bench.gap import WidestGap
from hybrid_control.navigation.bench.map_planner import MapPlanner, way_field
from hybrid_control.navigation.bench.mppi import Mppi
from hybrid_control.navigation.bench.planner_alone import PlannerAlone
from hybrid_control.navigation.bench.rules import rules, score
from hybrid_control.navigation.bench.scan_driver import Straight
from hybrid_control.navigation.bench.scenes import Scene
from hybrid_control.navigation.bench.vfh import Vfh
from hybrid_control.navigation.drive import Driver, Episode, LockStep, run_episode
from hybrid_control.navigation.flight import QUAD_SPEED, Flight
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.gains import GAINS
from hybrid_control.parameters import Value
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.quadrotor import QuadSimulator
from hybrid_control.sim.robots import QuadModel, RobotModel, Vehicle, vehicle
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World
from hybrid_control.sim.worlds.grid import GeodesicField

BASELINES: dict[str, Any] = {"straight": Straight, "gap": WidestGap, "vfh": Vfh, "dwa": Dwa, "mppi": Mppi}
REFLEXIVE: tuple[str, ...] = ("hybrid", "memoryless", "reflex")  # those that the reflex drives
PLANNED: tuple[str, ...] = ("hybrid", "memoryless", "planner")  # those that the ANN has a part in
POLICIES: tuple[str, ...] = ("hybrid", "memoryless", "planner", "reflex", *BASELINES)
LEVELS: tuple[str, ...] = ("physics", "planar", "kinematic")
FAULTS: tuple[str, ...] = ("none", "planner-dies", "black", "frozen", "late")
PICTURE_FAULTS = ("black", "frozen")  # those that mean something only where there are pictures
LATENCY = 0.04  # s, from image to rates
LATE = 0.5  # s more, of the fault of that name
FIELDS_KEPT = 128  # worlds whose field is kept


@dataclass(frozen=True, slots=True)
class Setup:
    """What every episode of a run has in common.

    gains: of the reflex, over its defaults; settings: of baselines, over theirs, by policy, where max_speed may be
    among them; model: ONNX file of the planner, empty for the package's own; fault: what befalls the hybrid's planner
    half way to the goal (see `FAULTS`); duration: s after which an episode ends, the rules' own where None.
    """

    robot: str = "jackal"
    rules: str = "default"
    max_speed: float | None = None
    level: str = "physics"
    seed: int = 0
    fault: str = "none"
    duration: float | None = None
    model: str = ""
    gains: Mapping[str, Value] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rules(self.rules, self.max_speed)
        if not isinstance(vehicle(self.robot), RobotModel) and self.level != "physics":
            raise ValueError(
                f"--level {self.level}: the robot {self.robot!r} flies at the level physics alone"
            )
        for what, value, known in (("--level", self.level, LEVELS), ("--fault", self.fault, FAULTS)):
            if value not in known:
                raise ValueError(f"{what}: unknown {value!r}; there are {', '.join(known)}")
        if self.fault in PICTURE_FAULTS and self.level != "physics":
            raise ValueError(f"--fault {self.fault}: needs pictures, which --level {self.level} has none of")


def episode_seed(seed: int, world: int, trial: int) -> int:
    """The seed of an episode's noise, spikes and samples: the same for every policy."""
    return int(np.random.SeedSequence([seed, world, trial]).generate_state(1)[0] >> 1)


class Harness:
    """Runs episodes of one set-up; policies are made when they are first asked for and kept."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.rules = rules(setup.rules, setup.max_speed)
        if setup.duration is not None:
            self.rules = dataclasses.replace(self.rules, duration=setup.duration)
        self.vehicle: Vehicle = self.rules.robot(vehicle(setup.robot))
        self._drivers: dict[str, Driver] = {}
        self._runners: dict[str, CompiledRunner] = {}
        self._fields: dict[int, GeodesicField] = {}

    @property
    def robot(self) -> RobotModel:
        """The rover; there is none where the robot flies."""
        assert isinstance(self.vehicle, RobotModel), self.vehicle.name
        return self.vehicle

    def driver(self, policy: str) -> Driver:
        """The policy of that name; ValueError where there is none."""
        if policy not in POLICIES:
            raise ValueError(f"--policy: unknown policy {policy!r}; there are {', '.join(POLICIES)}")
        if policy not in self._drivers:
            self._drivers[policy] = self._make(policy)
        return self._drivers[policy]

    def _planner(self) -> Planner:
        return Planner(self.setup.model or contract.DEFAULT_MODEL)

    def _make(self, policy: str) -> Driver:
        if isinstance(self.vehicle, QuadModel) and policy not in REFLEXIVE:
            raise ValueError(
                f"--policy {policy}: drives rovers; {self.vehicle.name} takes {', '.join(REFLEXIVE)}"
            )
        if policy in BASELINES:
            given = {k: v for k, v in self.setup.settings.get(policy, {}).items() if k != "max_speed"}
            try:
                baseline: Driver = BASELINES[policy](**given)
            except TypeError as error:
                raise ValueError(f"settings of {policy}: {error}") from None
            return baseline
        if policy == "planner":
            return PlannerAlone(self._planner())
        planner = None if policy == "reflex" else self._planner()
        if isinstance(self.vehicle, QuadModel):
            return Flight(
                planner, robot=self.vehicle, planner_latency=LATENCY, settings=self._outline(), gains=self._gains(),
                memory=policy == "hybrid",
            )  # fmt: skip
        return LockStep(
            planner, robot=self.robot, planner_latency=LATENCY, settings=self._outline(), gains=self._gains(),
            memory=policy == "hybrid",
        )  # fmt: skip

    def _driven(self, policy: str) -> RobotModel:
        """The robot as a policy knows it: a baseline's own speed limit may be lower than the rules'."""
        fastest = float(self.setup.settings.get(policy, {}).get("max_speed", math.inf))
        return dataclasses.replace(self.robot, max_speed=min(self.robot.max_speed, fastest))

    def _outline(self) -> dict[str, Value]:
        return {"robot_length": self.vehicle.length, "robot_width": self.vehicle.width}

    def _gains(self) -> dict[str, Value]:
        speed = QUAD_SPEED if isinstance(self.vehicle, QuadModel) else self.vehicle.max_speed
        gains: dict[str, Value] = {"max_speed": speed, **self.setup.gains}
        gains["max_speed"] = min(float(gains["max_speed"]), self.vehicle.max_speed)
        return gains

    def set_gains(self, gains: Mapping[str, Value]) -> None:
        """Other gains from the next episode on, without making the reflex anew."""
        self.setup = dataclasses.replace(self.setup, gains=gains)
        whole = {p.name: p.default for p in GAINS} | self._gains()
        for runner in self._runners.values():
            runner.reflex.set_gains(whole)
        for driver in self._drivers.values():
            if isinstance(driver, LockStep):
                driver.reflex.set_gains(whole)

    def _field(self, scene: Scene, index: int) -> GeodesicField:
        if index not in self._fields:
            if len(self._fields) >= FIELDS_KEPT:
                self._fields.pop(next(iter(self._fields)))
            self._fields[index] = way_field(scene.world)
        return self._fields[index]

    def _compiled(self, policy: str, scene: Scene, index: int, seed: int) -> tuple[Episode, Reflex]:
        """An episode at the kinematic level of what the reflex drives."""
        if policy not in self._runners:
            reflex = Reflex(self._outline(), self._gains(), clock=lambda: 0)
            self._runners[policy] = CompiledRunner(
                reflex, self.robot, planner=policy != "reflex", route=policy == "hybrid"
            )
        runner = self._runners[policy]
        runner.planner_latency_ns = round((LATENCY + (LATE if self.setup.fault == "late" else 0.0)) * 1e9)
        episode = runner.run(
            scene.world,
            self._field(scene, index),
            seed,
            duration=self.rules.duration,
            goal_radius=self.rules.goal_radius,
            centre_contact=self.rules.centre_contact,
            planner_dies_half_way=self.setup.fault == "planner-dies",
        )
        return episode, runner.reflex

    def _stepped(self, policy: str, scene: Scene, seed: int) -> tuple[Episode, Reflex | None]:
        """An episode of any policy's driver over a simulator."""
        driver = self.driver(policy)
        world = scene.world
        if isinstance(driver, Flight):
            return self._flown(driver, world, seed), driver.reflex
        if self.setup.level == "physics":
            simulator: Any = Simulator(world, self.robot, seed, camera=driver.camera)
        else:
            simulator = KinematicSimulator(world, self.robot, seed, camera=driver.camera)
            if isinstance(driver, LockStep | PlannerAlone) and driver.camera:
                driver.planner = MapPlanner(world, simulator, seed)
        if isinstance(driver, LockStep | PlannerAlone):
            self._break(driver, simulator)
        try:
            episode = run_episode(
                driver,
                world,
                simulator,
                self._driven(policy),
                seed,
                duration=self.rules.duration,
                goal_radius=self.rules.goal_radius,
                centre_contact=self.rules.centre_contact,
            )
        finally:
            simulator.close()
        return episode, driver.reflex if isinstance(driver, LockStep) else None

    def _flown(self, driver: Flight, world: World, seed: int) -> Episode:
        """An episode of a drone."""
        with QuadSimulator(world, driver.model, seed, camera=driver.camera) as simulator:
            self._break(driver, simulator)
            return driver.fly(
                simulator,
                seed,
                duration=self.rules.duration,
                goal_radius=self.rules.goal_radius,
                centre_contact=self.rules.centre_contact,
            )

    def run(self, policy: str, scene: Scene, index: int, trial: int) -> dict[str, Any]:
        """One episode as a row: plain numbers, strings and lists, so that it may travel as JSON.

        index: the world's place among the run's worlds. A failed episode brings its way along, (x, y, yaw) 5 times a
        second.
        """
        if policy not in POLICIES:
            raise ValueError(f"--policy: unknown policy {policy!r}; there are {', '.join(POLICIES)}")
        seed = episode_seed(self.setup.seed, index, trial)
        world = scene.world
        reflex: Reflex | None
        if self.setup.level == "kinematic" and policy in REFLEXIVE:
            episode, reflex = self._compiled(policy, scene, index, seed)
        else:
            episode, reflex = self._stepped(policy, scene, seed)
        row = {
            "policy": policy,
            "world": world.name,
            "index": index,
            "trial": trial,
            "seed": seed,
            "success": episode.success,
            "contact": episode.contacts > 0,
            "standing": episode.contacts > 0 and episode.standing_contacts == episode.contacts,
            "timeout": not episode.reached and episode.contacts == 0,
            "time": round(episode.time, 3),
            "path": round(episode.path, 3),
            "minimum_distance": _or_none(episode.least_distance),
            "score": round(score(episode.success, scene.path_length, episode.time), 6),
            "modes": {name: round(share, 4) for name, share in episode.modes.items()},
        }
        if reflex is not None:
            status = reflex.status()
            row["spikes_per_second"] = round(status.spikes_per_second, 1)
            row["events_per_second"] = round(status.synaptic_events_per_second, 1)
            row["power_uw"] = round(status.power_uw, 3)
        if not episode.success:
            row["way"] = np.round(episode.way[::2], 2).tolist()
        return row

    def _break(self, driver: LockStep | PlannerAlone, simulator: Any) -> None:
        """Let the fault befall the planner from half way on."""
        fault, half = self.setup.fault, 0.5 * simulator.goal_distance()
        driver.image_fault = None
        if isinstance(driver, LockStep):
            driver.planner_dies_at = math.inf
        driver.planner_latency_ns = round(LATENCY * 1e9)
        if fault == "late":
            driver.planner_latency_ns += round(LATE * 1e9)
        if fault in ("none", "late"):
            return
        last: list[Any] = []

        def broken(image: Any, time: float) -> Any:
            if not last and simulator.goal_distance() > half:
                return image
            last.append(image)
            del last[1:]
            if fault == "planner-dies":
                if isinstance(driver, LockStep):
                    driver.planner_dies_at = min(driver.planner_dies_at, time)  # what else it tells ends too
                return None
            return last[0] if fault == "frozen" else np.zeros_like(image)

        driver.image_fault = broken


def _or_none(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def setup_dict(setup: Setup) -> dict[str, Any]:
    """A set-up as plain values, for JSON."""
    return dataclasses.asdict(setup)
