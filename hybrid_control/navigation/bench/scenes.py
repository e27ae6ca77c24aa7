"""The worlds of a benchmark by what the user types, each with the length of its shortest path for the score."""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import re
import zipfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from hybrid_control.signals import Pose
from hybrid_control.sim.worlds import GENERATORS, World, generate, load_barn
from hybrid_control.sim.worlds.files import read_arena, read_gazebo, read_npz
from hybrid_control.sim.worlds.generators import option_of
from hybrid_control.sim.worlds.grid import geodesic_field

SEEDS = 1000  # worlds that one benchmark seed may draw from a generator
ALL = "all"  # names every generator
MANY = 200  # worlds from which on several processes draw them
DISCS = (0.33, 0.28, 0.22)  # m, radii tried for the shortest path: the first that gets through counts


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A world, and the length in m of its shortest path."""

    world: World
    path_length: float


def world_digest(scenes: Sequence[Scene]) -> str:
    """A short digest of the worlds, so that a run is not resumed on others of the same name."""
    digest = hashlib.sha256()
    for scene in scenes:
        world = scene.world
        for part in (world.cylinders, world.boxes):
            digest.update(part.tobytes())
        digest.update(repr((world.name, world.start, world.goal, world.movers, scene.path_length)).encode())
        if world.patches:
            digest.update(repr(world.patches).encode())
        if world.things:
            digest.update(repr(world.things).encode())
    return digest.hexdigest()[:16]


def shortest_path(world: World) -> float:
    """Metres from start to goal around the standing obstacles, for the largest disc of DISCS that gets through.

    The straight distance where none does. Not over forbidden ground.
    """
    world = world.as_known()
    for radius in DISCS:
        try:
            field = geodesic_field(world, radius, resolution=0.1, to_start=True)
        except ValueError:  # the goal itself lies nearer than that to an obstacle
            continue
        length = field.distance(world.start.x, world.start.y)
        if math.isfinite(length):
            return max(length, world.straight_distance)
    return world.straight_distance


def _selection(text: str, what: str) -> list[int]:
    """Numbers as typed: "7", "0,6,12", "20-29"."""
    chosen: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if match is None:
            raise ValueError(f"--worlds {what}: {part!r} is no number or range such as 20-29")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"--worlds {what}: the range {part} runs backwards")
        chosen += range(first, last + 1)
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"--worlds {what}: a world is named twice")
    return chosen


def _chosen(spec: str, seed: int, scale: float) -> list[_Drawn]:
    """The worlds of GENERATOR[,option=value...][:COUNT or :FIRST-LAST]."""
    kind, _, chosen = spec.partition(":")
    name, *options = kind.split(",")
    values: dict[str, Any] = {"scale": scale}
    for option in options:
        try:
            key, value = option_of(name, option)
        except ValueError:
            raise ValueError(f"--worlds {spec}: {option!r} is no option such as density=0.4") from None
        values[key] = value
    if name not in (*GENERATORS, ALL):
        raise ValueError(
            f"--worlds {spec}: neither a file of .npz, .world, .sdf or .json nor one of {', '.join(GENERATORS)}, "
            f"{ALL}"
        )
    if name == ALL and options:
        raise ValueError(f"--worlds {spec}: {ALL} takes no options, as every kind of world has others")
    count = re.fullmatch(r"\d{1,6}", chosen)
    numbers = list(range(int(chosen))) if count else _selection(chosen, spec) if chosen else [0]
    if not numbers or max(numbers) >= SEEDS:
        raise ValueError(f"--worlds {spec}: expected 1 .. {SEEDS} worlds")
    kinds = GENERATORS if name == ALL else (name,)
    return [
        _Drawn(k, k if name == ALL else kind, number, SEEDS * seed + number, values)
        for k in kinds
        for number in numbers
    ]


class _Drawn(NamedTuple):
    """A world to be drawn: of a generator, its kind as typed, number, seed and options."""

    generator: str
    kind: str
    number: int
    seed: int
    options: dict[str, Any]

    def scene(self) -> Scene:
        world = generate(self.generator, self.seed, **self.options)
        world = replace(world, name=f"{self.kind}-{self.number}")
        return Scene(world, shortest_path(world))


def _draw(drawn: Sequence[_Drawn], jobs: int) -> list[Scene]:
    """The worlds and their shortest ways, in their order, many of them by several processes."""
    kind, many = drawn[0].kind, len(drawn)
    if jobs == 1 or many < MANY:
        return [one.scene() for one in tqdm(drawn, desc=kind, unit="world", delay=3.0, leave=False)]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        scenes = pool.map(_Drawn.scene, drawn, chunksize=16)
        return list(tqdm(scenes, desc="worlds", total=many, unit="world", delay=3.0, leave=False))


def _holds_one_world(path: Path) -> bool:
    """Whether an .npz file is of one world, as `world export` writes it, and not of BARN's."""
    return zipfile.is_zipfile(path) and "cylinders.npy" in zipfile.ZipFile(path).namelist()


def _file_of(spec: str) -> tuple[str, str]:
    """FILE and NUMBERS of "FILE:NUMBERS"; the whole and "" where it is no file that holds several worlds."""
    file, colon, chosen = spec.rpartition(":")
    return (file, chosen) if colon and file.endswith((".npz", ".json")) else (spec, "")


def usual_rules(spec: str) -> str:
    """The rules that the worlds of `--worlds` are usually judged by.

    "barn" for the files of its worlds, .npz, .world and .sdf; "arena" for polygon arenas; else, or where several
    differ, "default".
    """
    if "+" in spec and not Path(spec).exists():
        found = {usual_rules(part) for part in spec.split("+")}
        return found.pop() if len(found) == 1 else "default"
    file, _ = _file_of(spec)
    suffix = Path(file).suffix
    if suffix in (".npz", ".world", ".sdf") or Path(file).is_dir():
        return "barn"
    arena = suffix == ".json" or re.split("[,:]", file)[0] in ("arena", "tight_arena")
    return "arena" if arena else "default"


def load_scenes(
    spec: str,
    seed: int = 0,
    start: Pose | None = None,
    goal: tuple[float, float] | None = None,
    scale: float = 1.0,
    jobs: int = 1,
) -> list[Scene]:
    """The worlds that `--worlds` names.

    FILE.npz or FILE.npz:IDS, BARN worlds by their ids, or the one world of an export; FILE.world or FILE.sdf, or a
    folder of those; FILE.json, a polygon arena, or FILE.json:NUMBERS; GENERATOR[,option=value...][:COUNT or :NUMBERS],
    whose worlds are drawn from seed · 1000 + number, or all[:COUNT or :NUMBERS], those of every generator. start, goal:
    of Gazebo worlds (those of the BARN challenge by default). scale: of generated worlds that do not say it themselves.
    jobs: processes that draw many worlds.
    Several of these may be joined by "+". ValueError with one line where it names nothing; OSError for a file that
    cannot be read.
    """
    if "+" in spec and not Path(spec).exists():
        return [scene for part in spec.split("+") for scene in load_scenes(part, seed, start, goal, scale, jobs)]
    file, chosen = _file_of(spec)
    path = Path(file)
    if path.suffix == ".npz" and _holds_one_world(path):
        if chosen:
            raise ValueError(f"--worlds {spec}: {file} holds one world, which has no number")
        worlds = [read_npz(path)]
    elif path.suffix == ".npz":
        barn = load_barn(path)
        ids = _selection(chosen, spec) if chosen else list(barn.world_ids)
        missing = [i for i in ids if i not in barn.world_ids]
        if missing:
            raise ValueError(
                f"{file}: no world {missing[0]}; there are {', '.join(map(str, barn.world_ids))}"
            )
        places = [barn.world_ids.index(i) for i in ids]
        return [Scene(barn.worlds[k], barn.path_lengths[k]) for k in places]
    elif path.suffix == ".json":
        worlds = read_arena(path)
        numbers = _selection(chosen, spec) if chosen else list(range(len(worlds)))
        if max(numbers) >= len(worlds):
            raise ValueError(f"{file}: no start number {max(numbers)}; there are {len(worlds)}")
        worlds = [worlds[k] for k in numbers]
    elif path.suffix in (".world", ".sdf"):
        worlds = [read_gazebo(path, start, goal)]
    elif path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".world", ".sdf"))
        if not files:
            raise ValueError(f"{path}: no .world or .sdf file in this folder")
        worlds = [read_gazebo(p, start, goal) for p in files]
    else:
        return _draw(_chosen(spec, seed, scale), jobs)
    found = tqdm(worlds, desc="shortest ways", unit="world", delay=3.0, leave=False)
    return [Scene(world, shortest_path(world)) for world in found]
