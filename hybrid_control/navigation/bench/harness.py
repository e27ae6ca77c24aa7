"""One episode of the benchmark: a policy by name, at a level, in a world, under rules; the same seed, the same row."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.navigation.bench.compiled import CompiledRunner
from hybrid_control.navigation.bench.faults import FAULTS, PICTURE_FAULTS, delay, planner_fault
from hybrid_control.navigation.bench.impact import impact
from hybrid_control.navigation.bench.looks import LOOKS, PLAIN, appearance_of, mounted
from hybrid_control.navigation.bench.map_planner import MapPlanner, way_field
from hybrid_control.navigation.bench.policies import find_policy, make_driver
from hybrid_control.navigation.bench.rules import rules, score
from hybrid_control.navigation.bench.scenes import Scene
from hybrid_control.navigation.bench.sides import parted, shaped
from hybrid_control.navigation.drive import Driver, drive
from hybrid_control.navigation.episode import WINDOW_NS, Episode
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.need import PlannerOnNeed
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.gains import GAINS
from hybrid_control.navigation.states import Settled, read
from hybrid_control.parameters import Value
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.robots import vehicle
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World
from hybrid_control.sim.worlds.grid import GeodesicField

LEVELS: tuple[str, ...] = ("physics", "planar", "kinematic")
FIELDS_KEPT = 128  # worlds whose field is kept


@dataclass(frozen=True, slots=True)
class Setup:
    """What every episode of a run has in common.

    gains: of the reflex, over its defaults; settings: of baselines, over theirs, by policy, where max_speed may be
    among them; model: ONNX file of the planner, empty for the package's own; fault: what befalls the hybrid's planner
    half way to the goal (see `faults`); duration: s after which an episode ends, the rules' own where None; hold: s
    that the planner's rates hold at most while next to nothing changes (`planner.need`), 0: each image is planned on;
    states: whether the reflex takes up the planner's initial states, which the model must have; network: NIR file of
    the reflex's network, empty for the package's own; values: numbers of its weights and of the stand-in planner's last
    layer (`sides`), at the kinematic level; ways: whether rows of episodes that arrive bring their way along, too;
    looks: what the camera sees of the worlds (`looks`). depth: whether there is a depth camera beside it, for a planner
    that takes its images.
    """

    robot: str = "jackal"
    rules: str = "default"
    max_speed: float | None = None
    level: str = "physics"
    seed: int = 0
    fault: str = "none"
    duration: float | None = None
    model: str = ""
    hold: float = 0.0
    states: bool = False
    network: str = ""
    ways: bool = False
    looks: str = PLAIN
    depth: bool = False
    gains: Mapping[str, Value] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rules(self.rules, self.max_speed)
        if vehicle(self.robot).wheels is None and self.level != "physics":
            raise ValueError(
                f"--level {self.level}: the robot {self.robot!r} flies at the level physics alone"
            )
        for what, value, known in (
            ("--level", self.level, LEVELS), ("--fault", self.fault, FAULTS), ("--looks", self.looks, LOOKS)
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"{what}: unknown {value!r}; there are {', '.join(known)}")
        if self.looks != PLAIN and self.level != "physics":
            raise ValueError(f"--looks {self.looks}: there are no pictures at --level {self.level}")
        if self.fault in PICTURE_FAULTS and self.level != "physics":
            raise ValueError(f"--fault {self.fault}: needs pictures, which --level {self.level} has none of")
        if self.values and self.level != "kinematic":
            raise ValueError(
                f"--level {self.level}: takes no numbers of weights and of the planner's last layer"
            )

    def with_values(self, policy: str, values: Mapping[str, float]) -> Setup:
        """The set-up with a policy's gains, or what else shapes it (`sides`), or settings in their place."""
        if find_policy(policy).reflex:
            gains = parted(values).gains
            others = {name: value for name, value in values.items() if name not in gains}
            return dataclasses.replace(self, gains={**self.gains, **gains}, values={**self.values, **others})
        return dataclasses.replace(self, settings={**self.settings, policy: dict(values)})


def episode_seed(seed: int, world: str, trial: int) -> int:
    """The seed of an episode's noise, spikes and samples: the same for every policy, and wherever among other worlds
    the one of that name stands."""
    return int(np.random.SeedSequence([seed, zlib.crc32(world.encode()), trial]).generate_state(1)[0] >> 1)


class Harness:
    """Runs episodes of one set-up; drivers are made when they are first needed and kept. robot: under the rules."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        robot = mounted(setup.looks, vehicle(setup.robot))
        self.rules = rules(setup.rules, setup.max_speed).for_robot(robot)
        if setup.duration is not None:
            self.rules = dataclasses.replace(self.rules, duration=setup.duration)
        self.robot: Vehicle = self.rules.robot(robot)
        self.told = self.rules.told(self.robot)  # the same, as who drives it knows it
        self._drivers: dict[str, Driver] = {}
        self._runners: dict[str, CompiledRunner] = {}
        self._fields: dict[int, GeodesicField] = {}

    def driver(self, name: str) -> Driver:
        """The policy of that name, ready to drive; ValueError where there is none."""
        if name not in self._drivers:
            planner = None
            if find_policy(name).planner:
                told = self.told
                camera = told.camera_z, told.camera_pitch, told.camera_hfov
                source = Planner(self.setup.model or contract.DEFAULT_MODEL, camera=camera, lidar=told.lidar)
                if self.setup.depth and not source.depths:
                    raise ValueError(f"depth: {source.info.path} takes no depth images")
                planner = TimedPlanner(PlannerOnNeed(source, self.setup.hold) if self.setup.hold else source)
            settings: dict[str, Value] = dict(self._settings(name))
            if find_policy(name).reflex:
                settings = self._reflex_settings()
            self._drivers[name] = make_driver(name, self.told, planner, self._gains(), settings)
        return self._drivers[name]

    def _reflex_settings(self) -> dict[str, Value]:
        return {"planner_states": self.setup.states, "network_file": self.setup.network}

    def _settings(self, policy: str) -> Mapping[str, float]:
        """Of a baseline; one that is led has those of the same without, where it has none of its own."""
        settings = self.setup.settings
        return settings.get(policy, settings.get(find_policy(policy).settings_of, {}))

    def _driven(self, policy: str) -> Vehicle:
        """The robot as a policy knows it: a baseline's own speed limit may be lower than the rules'."""
        fastest = float(self._settings(policy).get("max_speed", math.inf))
        return dataclasses.replace(self.told, max_speed=min(self.robot.max_speed, fastest))

    def _gains(self) -> dict[str, Value]:
        gains = {"max_speed": self.robot.max_speed, **self.robot.reflex_gains, **self.setup.gains}
        gains["max_speed"] = min(float(gains["max_speed"]), self.robot.max_speed)
        return gains

    def set_values(self, policy: str, values: Mapping[str, float]) -> None:
        """Other values of a policy from the next episode on; the reflex is made anew for other weights alone."""
        if not find_policy(policy).reflex:
            self.setup = self.setup.with_values(policy, values)
            self._drivers.pop(policy, None)
            return
        before = parted(self.setup.values)
        self.setup = dataclasses.replace(self.setup, gains={}, values={}).with_values(policy, values)
        new = parted(self.setup.values)
        if new.weights != before.weights:
            self._runners.clear()
        for runner in self._runners.values():
            runner.readout = new.readout
        whole = {p.name: p.default for p in GAINS} | self._gains()
        reflexes = [runner.reflex for runner in self._runners.values()]
        reflexes += [driver.reflex for driver in self._drivers.values() if driver.reflex is not None]
        for reflex in reflexes:
            reflex.set_gains(whole)

    def _settled(self) -> Settled | None:
        """What the model says that the reflex settles at, where that is wanted."""
        if not self.setup.states:
            return None
        return read(Path(self.setup.model or contract.DEFAULT_MODEL))

    def _field(self, scene: Scene, index: int) -> GeodesicField:
        if index not in self._fields:
            if len(self._fields) >= FIELDS_KEPT:
                self._fields.pop(next(iter(self._fields)))
            self._fields[index] = way_field(scene.world)
        return self._fields[index]

    def _compiled(self, name: str, scene: Scene, index: int, seed: int) -> tuple[Episode, Reflex]:
        """An episode at the kinematic level of what the reflex drives."""
        if name not in self._runners:
            policy = find_policy(name)
            settings = {**self.told.reflex_settings, **self._reflex_settings()}
            values = parted(self.setup.values)
            network = shaped(values.weights) if values.weights else None
            self._runners[name] = CompiledRunner(
                Reflex(settings, self._gains(), clock=lambda: 0, network=network),
                self.robot,
                planner=policy.planner,
                route=policy.memory,
                settled=self._settled() if policy.planner else None,
                readout=values.readout,
            )
        runner = self._runners[name]
        fault = self.setup.fault
        episode = runner.run(
            scene.world,
            self._field(scene, index),
            seed,
            self.rules,
            planner_delay=delay(fault),
            planner_dies_half_way=fault == "planner-dies",
        )
        return episode, runner.reflex

    def _stepped(self, name: str, scene: Scene, seed: int) -> tuple[Episode, Reflex | None]:
        """An episode of any policy's driver over a simulator."""
        driver = self.driver(name)
        with contextlib.closing(self._simulator(scene.world, seed, driver.planner)) as simulator:
            if driver.planner is not None:
                if self.setup.level != "physics":
                    driver.planner.source = MapPlanner(
                        scene.world, seed, self._settled(), led=find_policy(name).memory
                    )
                if isinstance(driver.planner.source, PlannerOnNeed):
                    driver.planner.source.reset()
                driver.planner.fault = planner_fault(self.setup.fault, scene.world)
            episode = drive(driver, simulator, self._driven(name), self.rules, seed)
        return episode, driver.reflex

    def _simulator(
        self, world: World, seed: int, planner: TimedPlanner | None
    ) -> Simulator | KinematicSimulator:
        camera = planner is not None
        if self.setup.level != "physics":
            return KinematicSimulator(world, self.robot, seed, camera=camera)
        looks = appearance_of(self.setup.looks, world.name, self.robot)
        return Simulator(world, self.robot, seed, camera=camera, depth=camera and self.setup.depth, appearance=looks)

    def run(self, policy: str, scene: Scene, index: int, trial: int) -> dict[str, Any]:
        """One episode as a row: plain numbers, strings and lists, so that it may travel as JSON.

        index: the world's place among the run's worlds. A failed episode brings its way along, (x, y, yaw) 5 times a
        second.
        """
        world = scene.world
        seed = episode_seed(self.setup.seed, world.name, trial)
        reflex: Reflex | None
        if self.setup.level == "kinematic" and find_policy(policy).reflex:
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
        if episode.false_stops is not None:
            row["false_stops"] = episode.false_stops
        if episode.contacts and episode.sights:
            met = impact(world, self.robot, episode.sights, 1.0 / self.robot.lidar_rate + WINDOW_NS * 1e-9)
            if met is not None:
                row["impact"], row["bound"] = round(met.speed, 4), round(met.bound, 4)
            row["movers"] = np.round(episode.sights[-1].places[:, :2], 2).tolist()
        if reflex is not None:
            status = reflex.status()
            row["spikes_per_second"] = round(status.spikes_per_second, 1)
            row["events_per_second"] = round(status.synaptic_events_per_second, 1)
            row["power_uw"] = round(status.power_uw, 3)
        planner = self._drivers[policy].planner if policy in self._drivers else None
        if planner is not None and isinstance(planner.source, PlannerOnNeed):
            row["images"], row["inferences"] = planner.source.images, planner.source.inferences
        if self.setup.ways or not episode.success:
            row["way"] = np.round(episode.way[::2], 2).tolist()
        return row


def _or_none(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def setup_dict(setup: Setup) -> dict[str, Any]:
    """A set-up as plain values, for JSON."""
    return dataclasses.asdict(setup)
