"""Camera images of random worlds with the expert's answers, drawn in the simulator and kept as npz shards.

A shard follows from the seed and its number alone, so the data do not depend on the number of jobs, and an
interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from hybrid_control.geometry.shapes import clearance, footprint_distance
from hybrid_control.navigation.planner.images import contrast, resize
from hybrid_control.navigation.planner.training import labels
from hybrid_control.signals import Pose
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import GENERATORS, World, generate
from hybrid_control.sim.worlds.grid import GeodesicField, geodesic_field

HEIGHT, WIDTH = 60, 80  # pixels of the model's image
WORLDS_PER_SHARD = 10
GOALS_PER_WORLD = 4  # the world's own and three anywhere
TEST_SHARE = 0.1  # as many worlds again, of other seeds, that training never sees
VERSION = 2
Area = tuple[float, float, float, float]  # xmin, ymin, xmax, ymax in m

#: How often each kind of world is drawn. What is left open in a kind (density, fill) is drawn as well.
MIX = {
    "default": 0.28, "field": 0.24, "forest": 0.16, "rooms": 0.12, "corridor": 0.10, "crossing": 0.06,
    "open": 0.04,
}  # fmt: skip


class DatasetError(ValueError):
    """A folder of training data that cannot be used, and why."""


@dataclass(frozen=True)
class Plan:
    """What is drawn: number of worlds for training, frames of each world, seed."""

    worlds: int
    frames: int
    seed: int

    def __post_init__(self) -> None:
        if self.worlds < 1 or self.frames < 1 or self.seed < 0:
            raise DatasetError(
                f"worlds {self.worlds} and frames {self.frames} must be 1 or more, seed {self.seed} >= 0"
            )

    def shards(self) -> list[tuple[str, int]]:
        """Part ('train' or 'test') and number of every shard."""
        test = max(1, round(self.worlds * TEST_SHARE))
        return [
            (part, i)
            for part, count in (("train", self.worlds), ("test", test))
            for i in range(math.ceil(count / WORLDS_PER_SHARD))
        ]

    def worlds_of(self, part: str, shard: int) -> range:
        """Numbers of the worlds in a shard."""
        count = self.worlds if part == "train" else max(1, round(self.worlds * TEST_SHARE))
        return range(shard * WORLDS_PER_SHARD, min((shard + 1) * WORLDS_PER_SHARD, count))


@dataclass(frozen=True)
class Samples:
    """n camera frames with what was known and what the expert did.

    image (n, 60, 80, 3) uint8 RGB; goal (n, 2) float32: distance in m and body-frame bearing in rad, as a
    robot whose odometry has drifted believes them; velocity (n, 2) m/s and rad/s; heading (n,) rad and
    speed (n,) fraction: the expert's; ranges (n, 33) m along labels.RAY_ANGLES; scan (n, 72) m as the contract has it,
    without noise; kind (n,) index into GENERATORS; world (n,) number.
    """

    image: NDArray[np.uint8]
    goal: NDArray[np.float32]
    velocity: NDArray[np.float32]
    heading: NDArray[np.float32]
    speed: NDArray[np.float32]
    ranges: NDArray[np.float32]
    scan: NDArray[np.float32]
    kind: NDArray[np.int64]
    world: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image)


def build(directory: Path, plan: Plan, jobs: int, resume: bool) -> None:
    """Draw every shard that is not there yet into directory/data, with a progress bar.

    Raises DatasetError where data are there and resume is False, or where they were made by another plan.
    """
    data = directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    manifest = data / "dataset.json"
    wanted = {"version": VERSION, **asdict(plan)}
    if manifest.exists():
        if not resume:
            raise DatasetError(f"{data}: training data are there already; --resume goes on with them")
        stored = json.loads(manifest.read_text(encoding="utf-8"))
        if stored != wanted:
            raise DatasetError(f"{data}: made with {stored}, not with {wanted}; choose another --out")
    else:
        manifest.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
    missing = [(part, i) for part, i in plan.shards() if not _shard_path(data, part, i).exists()]
    if not missing:
        return
    # A child that was forked would share the parent's GL context and threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = [pool.submit(_write_shard, data, plan, part, i) for part, i in missing]
        with tqdm(
            total=sum(len(plan.worlds_of(*shard)) for shard in missing), desc="worlds", unit="world"
        ) as bar:
            try:
                for future in as_completed(running):
                    bar.update(future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def load(directory: Path, part: str) -> Samples:
    """All samples of one part, 'train' or 'test'; DatasetError where there are none."""
    paths = sorted((directory / "data").glob(f"{part}_*.npz"))
    if not paths:
        raise DatasetError(f"{directory / 'data'}: no shards {part}_*.npz")
    shards = []
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            missing = [f.name for f in fields(Samples) if f.name not in file]
            if missing:
                raise DatasetError(f"{path}: array {missing[0]!r} is missing")
            shards.append({f.name: file[f.name] for f in fields(Samples)})
    return Samples(**{f.name: np.concatenate([s[f.name] for s in shards]) for f in fields(Samples)})


def random_world(rng: Generator) -> World:
    """A world of a random kind, density and seed."""
    kinds = list(MIX)
    kind = kinds[int(rng.choice(len(kinds), p=list(MIX.values())))]
    options: dict[str, float] = {}
    if kind == "forest":
        options["density"] = float(rng.uniform(0.2, 0.55))
    elif kind == "field":
        options["fill"] = float(rng.uniform(0.12, 0.24))
    return generate(kind, int(rng.integers(2**31)), **options)


def draw(world: World, frames: int, rng: Generator) -> Iterator[dict[str, NDArray]]:
    """Up to `frames` samples of one world, with looks and a camera pose drawn for this world."""
    looks = Appearance(
        seed=int(rng.integers(2**31)), vary=True, obstacle_height=(float(rng.uniform(0.3, 0.6)), 1.6)
    )
    # The expert sees those who walk as they stand at time 0, which is when the camera looks.
    solid = replace(world.as_it_begins(), bounds=_widened(world.bounds, 2.0))
    experts = _experts(solid, world.bounds, rng)
    drawn = 0
    with Simulator(world, appearance=looks) as simulator:
        for _ in range(20 * frames):
            if drawn == frames or not experts:
                return
            expert = experts[int(rng.integers(len(experts)))]
            pose = _pose(solid, expert, world.bounds, rng)
            if pose is None:
                continue
            heading = labels.expert_heading(expert, pose)
            if not math.isfinite(heading):
                continue
            simulator.place(pose)
            image = resize(simulator.camera(), HEIGHT, WIDTH)
            drawn += 1
            yield {
                "image": image,
                "goal": np.array(_believed_goal(expert, pose, rng), np.float32),
                "velocity": np.array([rng.uniform(-0.1, 2.0), rng.normal(0.0, 0.8)], np.float32),
                "heading": np.array(heading, np.float32),
                "speed": np.array(labels.expert_speed(expert, solid, pose, heading), np.float32),
                "ranges": labels.ranges_ahead(solid, pose).astype(np.float32),
                "scan": labels.scan_around(solid, pose).astype(np.float32),
                "kind": np.array(GENERATORS.index(world.name), np.int64),
            }


def _shard_path(data: Path, part: str, shard: int) -> Path:
    return data / f"{part}_{shard:05d}.npz"


def _write_shard(data: Path, plan: Plan, part: str, shard: int) -> int:
    """Draws and writes one shard; the number of its worlds."""
    numbers = plan.worlds_of(part, shard)
    rows: list[dict[str, NDArray]] = []
    for number in numbers:
        rng = np.random.default_rng([plan.seed, 0 if part == "train" else 1, number])
        rows += [
            {**row, "world": np.array(number, np.int64)} for row in draw(random_world(rng), plan.frames, rng)
        ]
    arrays: dict[str, Any] = {f.name: np.stack([row[f.name] for row in rows]) for f in fields(Samples)}
    path = _shard_path(data, part, shard)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    with open(unfinished, "wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(unfinished, path)
    return len(numbers)


def _widened(bounds: Area, by: float) -> Area:
    return bounds[0] - by, bounds[1] - by, bounds[2] + by, bounds[3] + by


def _experts(world: World, area: Area, rng: Generator) -> list[GeodesicField]:
    """Distance fields towards the world's goal and towards others anywhere in the area."""
    experts: list[GeodesicField] = []
    goals = [world.goal] + [(rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3])) for _ in range(20)]
    for goal in goals:
        if len(experts) == GOALS_PER_WORLD:
            break
        if clearance(*goal, world.cylinders, world.boxes) > labels.EXPERT_RADIUS + 0.05:
            experts.append(geodesic_field(replace(world, goal=goal), labels.EXPERT_RADIUS))
    return experts


def _pose(world: World, expert: GeodesicField, area: Area, rng: Generator) -> Pose | None:
    """A pose of a robot on its way: mostly near a path and looking along it; None where the draw is none."""
    x, y = rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3])
    if rng.random() < 0.7:
        if rng.random() < 0.4:
            x, y = world.start.x, world.start.y
        path = expert.path(x, y)
        x, y = path[int(rng.integers(len(path)))] + rng.normal(0.0, 0.2, 2)
    if not (area[0] <= x <= area[2] and area[1] <= y <= area[3]):
        return None
    along = expert.heading(x, y, labels.LOOKAHEAD)
    to_goal = math.atan2(expert.goal[1] - y, expert.goal[0] - x)
    if not math.isfinite(along) or math.hypot(expert.goal[0] - x, expert.goal[1] - y) < 0.3:
        return None
    kind = rng.random()
    if kind < 0.6:
        yaw = along + rng.normal(0.0, math.radians(25.0))
    elif kind < 0.85:
        yaw = to_goal + rng.normal(0.0, math.radians(35.0))
    else:
        yaw = rng.uniform(-math.pi, math.pi)
    pose = Pose(float(x), float(y), float(labels.wrap(yaw)))
    gap = footprint_distance(
        pose.x, pose.y, pose.yaw, JACKAL.length, JACKAL.width, world.cylinders, world.boxes
    )
    return pose if gap > 0.03 else None


def _believed_goal(expert: GeodesicField, pose: Pose, rng: Generator) -> tuple[float, float]:
    """Distance and bearing of the goal to a robot whose odometry is off by 0.2 m, 3 degrees (one sigma)."""
    shift = rng.normal(0.0, 0.2, 2)
    believed = Pose(pose.x + shift[0], pose.y + shift[1], pose.yaw + rng.normal(0.0, math.radians(3.0)))
    return believed.to_body(*expert.goal)


def dark_share(samples: Samples, threshold: float) -> float:
    """Share of the images with less contrast than the threshold (grey levels): to a planner, blind."""
    return float(np.mean([contrast(image) < threshold for image in samples.image]))
