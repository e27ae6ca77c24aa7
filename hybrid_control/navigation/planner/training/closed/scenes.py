"""Scenes to learn closed directions from: strewn worlds and generated ones, cameras that differ, and what a lens does.

A shard follows from the seed and its number alone, whoever draws it and in whatever order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.geometry.shapes import FloatArray, footprint_distance
from hybrid_control.navigation.planner.training.closed.labels import HEIGHT, WIDTH, closing, rows_of
from hybrid_control.signals import Pose
from hybrid_control.sim.lens import Lens
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.mujoco_import import MuJoCo
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import Patch, Thing, World, generate
from hybrid_control.sim.worlds.patch import FORBIDDEN, PERMITTED

SHARD = 500  # frames
FRAMES = 20  # of each world
TEST_SEED = 1 << 20  # added to the training's
SEEDS = 1 << 40  # worlds of generators are drawn from here on, far from where a benchmark's are
ORDINARY = ("default", "field", "forest", "rooms", "corridor", "crossing", "arena", "open", "gaps")
UNSEEN = ("low", "overhangs", "glass", "wires", "holes", "forbidden")
KINDS = ("low", "low, ground's look", "cone", "overhang", "pane, 20 % and more", "pane, below 20 %", "wire", "hole",
         "forbidden ground")  # fmt: skip


@dataclass(frozen=True)
class Frames:
    """n frames of a camera: image (n, 120, 160, 3) uint8 RGB; camera (n, 3) float32 as the contract has it, as the
    robot is told it; kind (n, 40) int8, row (n, 40) and away (n, 40) float32, of what closes each column
    (`labels.Closing`); what (n, 40) int8, of what is hidden its place in KINDS, -1 for all else; depth (n, 120, 160)
    int16 mm along the optical axis, 0 where it is not known, None where there is none."""

    image: NDArray[np.uint8]
    camera: NDArray[np.float32]
    kind: NDArray[np.int8]
    row: NDArray[np.float32]
    away: NDArray[np.float32]
    what: NDArray[np.int8]
    depth: NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return len(self.image)


def shard(seed: int, number: int, frames: int = SHARD, depth: bool = False) -> Frames:
    """Frames of one shard. seed: of the training or the test; depth: whether depth images are drawn, which changes
    nothing else."""
    rows: list[tuple[NDArray, ...]] = []
    for part in range(10**6):
        rng = np.random.default_rng([seed, number, part])
        rows += draw(random_world(rng), min(FRAMES, frames - len(rows)), rng, depth)
        if len(rows) == frames:
            break
    return Frames(*(np.stack(column) for column in zip(*rows, strict=True)))


def random_world(rng: Generator) -> World:
    """A third strewn with anything, a third of the generators' ordinary kinds, a third of those that hide something."""
    which, seed = rng.uniform(), SEEDS + int(rng.integers(2**31))
    if which < 0.45:
        return strewn(rng)
    if which < 0.70:
        return generate(str(rng.choice(ORDINARY)), seed)
    kind = str(rng.choice(UNSEEN))
    options: dict[str, Any] = {}
    if kind == "low" and rng.uniform() < 0.4:
        options["look"] = "ground"
    if kind == "glass" and rng.uniform() < 0.4:
        options["opacity"] = "0.1-0.2"
    return generate(kind, seed, **options)


def strewn(rng: Generator, side: float = 8.0) -> World:
    """A square with anything in it, one over the other as it falls."""
    low, high = -side / 2, side / 2

    def place() -> tuple[float, float]:
        x, y = rng.uniform(low, high, 2).tolist()
        return x, y

    for _ in range(100):
        cylinders = [(*place(), rng.uniform(0.04, 0.4)) for _ in range(rng.integers(0, 8))]
        boxes = [
            (*place(), rng.uniform(0.1, 3.0), rng.uniform(0.05, 0.8), rng.uniform(0, math.pi))
            for _ in range(rng.integers(0, 6))
        ]
        things = tuple(_thing(rng, *place()) for _ in range(rng.integers(0, 16)))
        patches = []
        for _ in range(rng.integers(0, 10)):
            forbidden = rng.uniform() < 0.4
            kind = str(rng.choice(FORBIDDEN if forbidden else PERMITTED))
            long, wide = rng.uniform(0.2, 2.0), rng.uniform(0.05, 1.5)
            patches.append(Patch(kind, *place(), long, wide, rng.uniform(0, math.pi), forbidden))
        try:
            return World(
                "strewn", Pose(*place()), place(), (low, low, high, high), np.array(cylinders).reshape(-1, 3),
                np.array(boxes).reshape(-1, 5), things=things, patches=tuple(patches),
            )  # fmt: skip
        except ValueError:  # start or goal in something
            continue
    raise AssertionError("a hundred strewn worlds, and each start or goal in something")


def _thing(rng: Generator, x: float, y: float) -> Thing:
    yaw = rng.uniform(0.0, math.pi)
    kind = str(rng.choice(("low", "low", "low", "overhang", "pane", "wire", "hole")))
    if kind == "low":
        look = str(rng.choice(("", "", "", "ground", "ground", "cone")))
        long, wide = rng.uniform(0.05, 1.2), rng.uniform(0.05, 0.5)
        return Thing("low", x, y, long, wide, yaw, 0.0, rng.uniform(0.03, 0.20), look)
    if kind == "overhang":
        bottom = rng.uniform(0.305, 0.335)
        return Thing("overhang", x, y, rng.uniform(0.3, 1.6), rng.uniform(0.3, 1.0), yaw, bottom,
                     bottom + rng.uniform(0.02, 0.1))  # fmt: skip
    if kind == "pane":
        high = rng.uniform(0.6, 2.0)
        return Thing("pane", x, y, rng.uniform(0.4, 2.5), rng.uniform(0.006, 0.03), yaw, 0.0, high,
                     opacity=rng.uniform(0.1, 0.4))  # fmt: skip
    if kind == "wire":
        bottom = rng.uniform(0.05, 0.26)
        return Thing("wire", x, y, rng.uniform(0.5, 2.5), 0.015, yaw, bottom, bottom + 0.015)
    return Thing("hole", x, y, rng.uniform(0.3, 1.5), rng.uniform(0.2, 1.0), yaw, -rng.uniform(0.05, 0.4), 0.0)


def draw(world: World, frames: int, rng: Generator, depth: bool = False) -> Iterator[tuple[NDArray, ...]]:
    """Up to so many rows of `Frames` of one world, with looks and a lens drawn for it and a camera for each frame."""
    alike = any(patch.kind == "puddle" for patch in world.patches)  # and water, where both are plain
    looks = Appearance(
        seed=int(rng.integers(2**31)), vary=True, obstacle_height=(rng.uniform(0.31, 0.6), 1.6),
        textures=bool(rng.uniform() < 0.85) or alike, shadows=bool(rng.uniform() < 0.15),
    )  # fmt: skip
    hidden = [_kind(thing) for thing in world.things] + [KINDS.index("forbidden ground")] * len(world.forbidden)
    kinds = np.array([*hidden, -1], np.int8)
    lens, solid = _lens(rng), world.as_known().as_it_begins()
    start = _pose(solid, rng)
    if start is None:
        return
    with Simulator(replace(world, start=start), seed=looks.seed, appearance=looks) as simulator:
        for _ in range(frames):
            pose, camera = _pose(solid, rng), _camera(rng)
            if pose is None:
                return
            simulator.place(pose)
            mount(simulator.mujoco, camera)
            image = lens(simulator.camera(), rng, rng.normal(0.0, 0.7), rng.uniform(0.0, 1.2))
            away = [(1000.0 * simulator.depth()).astype(np.int16)] if depth else []
            closed = closing(world, pose, camera, JACKAL.lidar_z)
            told = np.array((camera.z, camera.pitch, camera.hfov)) + rng.normal(0.0, (0.005, 0.01, 0.01))
            row = rows_of(closed.away, camera)
            seen: list[NDArray] = [closed.kind, *_float32(row, closed.away), kinds[closed.which]]
            yield image, told.astype(np.float32), *seen, *away


def _lens(rng: Generator) -> Lens:
    """A quarter of the worlds in more or less of the dark: longer exposed, and with more noise."""
    dim, noise, blur = rng.uniform(0.25, 0.8), rng.uniform(4.0, 12.0), rng.uniform(0.01, 0.06)
    if rng.uniform() < 0.75:
        return Lens()
    return Lens(exposure=(0.7, 0.4), white_balance=(0.6, 0.2), noise=(1.0, noise), blur=(0.7, blur), dim=dim)


def _float32(*arrays: FloatArray) -> list[NDArray[np.float32]]:
    return [array.astype(np.float32) for array in arrays]


def mount(mujoco: MuJoCo, camera: CameraMount) -> None:
    """Put the camera of a model, whose robot stands on the ground, somewhere else."""
    library, model, data = mujoco
    eye = model.camera("camera")
    c, s = math.cos(camera.pitch), math.sin(camera.pitch)
    # columns: its x to the right, its y up, its z backwards, in the body's frame
    axes = np.array([[0.0, s, -c], [-1.0, 0.0, 0.0], [0.0, c, s]])
    eye.pos = (camera.x, 0.0, camera.z - JACKAL.mount_height)
    library.mju_mat2Quat(model.cam_quat[eye.id], axes.ravel())
    model.cam_fovy[eye.id] = math.degrees(2.0 * math.atan(math.tan(camera.hfov / 2) * camera.aspect))
    library.mj_camlight(model, data)


def _camera(rng: Generator) -> CameraMount:
    """The robot's own within what a hand that mounts it is off by, or quite another one."""
    if rng.uniform() < 0.7:
        z, pitch = rng.normal(JACKAL.camera_z, 0.015), rng.normal(JACKAL.camera_pitch, 0.025)
        hfov = JACKAL.camera_hfov * rng.normal(1.0, 0.02)
    else:
        z, pitch, hfov = rng.uniform(0.18, 0.6), rng.uniform(-0.1, 0.4), math.radians(rng.uniform(65.0, 100.0))
    return CameraMount(JACKAL.camera_x, z, pitch, hfov, HEIGHT / WIDTH)


def _pose(solid: World, rng: Generator) -> Pose | None:
    """A place where the robot touches nothing, half of them before something; None where none is found."""
    xmin, ymin, xmax, ymax = solid.bounds
    for _ in range(60):
        x, y, yaw = rng.uniform(xmin, xmax), rng.uniform(ymin, ymax), rng.uniform(-math.pi, math.pi)
        if len(solid.boxes) and rng.uniform() < 0.5:
            bx, by = solid.boxes[rng.integers(len(solid.boxes)), :2].tolist()
            away, side = rng.uniform(0.5, 2.2), rng.uniform(-math.pi, math.pi)
            x, y = bx + away * math.cos(side), by + away * math.sin(side)
            yaw = side + math.pi + rng.normal(0.0, 0.4)
        pose = Pose(x, y, math.remainder(yaw, math.tau))
        within = xmin <= x <= xmax and ymin <= y <= ymax
        if within and footprint_distance(*JACKAL.footprint(pose), solid.cylinders, solid.boxes) > 0.02:
            return pose
    return None


def _kind(thing: Thing) -> int:
    if thing.kind == "low":
        return KINDS.index({"": "low", "ground": "low, ground's look", "cone": "cone"}[thing.look])
    if thing.kind == "pane":
        return KINDS.index("pane, 20 % and more" if thing.opacity >= 0.2 else "pane, below 20 %")
    return KINDS.index(thing.kind)
