"""Worlds to drive in: a value type, generators by name and seed, and files of several kinds."""

from __future__ import annotations

from pathlib import Path

from hybrid_control.sim.worlds.barn import BarnWorlds, load_barn
from hybrid_control.sim.worlds.files import read_arena, read_gazebo, read_npz
from hybrid_control.sim.worlds.generators import GENERATORS, generate, guaranteed, passable
from hybrid_control.sim.worlds.mjcf import read_mjcf
from hybrid_control.sim.worlds.movers import Mover, Walk
from hybrid_control.sim.worlds.patch import Patch
from hybrid_control.sim.worlds.thing import Thing
from hybrid_control.sim.worlds.world import World, in_frame, polygon_edges, seen_from

__all__ = [
    "GENERATORS",
    "BarnWorlds",
    "Mover",
    "Patch",
    "Thing",
    "Walk",
    "World",
    "generate",
    "guaranteed",
    "in_frame",
    "load_barn",
    "load_world",
    "passable",
    "polygon_edges",
    "read_world",
    "seen_from",
]

WORLD_FILES = (".npz", ".world", ".sdf", ".json", ".xml", ".mjcf")


def read_world(path: str | Path, index: int | None = None) -> World:
    """One world from a file, by its ending: .npz (ours, or BARN's with an index), .world or .sdf, .xml or .mjcf, .json.

    index: id of a BARN world, or number of an arena's start (0 for None). ValueError for another ending, a file that
    is not what it says, or an index that is not in it; OSError where it cannot be read.
    """
    suffix = Path(path).suffix
    if suffix == ".json":
        arenas = read_arena(path)
        if not 0 <= (index or 0) < len(arenas):
            raise ValueError(f"{path}: no start number {index}; there are {len(arenas)}")
        return arenas[index or 0]
    if suffix == ".npz" and index is not None:
        barn = load_barn(path)
        if index not in barn.world_ids:
            raise ValueError(f"{path}: no world '{index}'; there are {', '.join(map(str, barn.world_ids))}")
        return barn.worlds[barn.world_ids.index(index)]
    if index is not None:
        raise ValueError(f"{path}: {index} after a file that holds one world")
    if suffix == ".npz":
        return read_npz(path)
    if suffix in (".world", ".sdf"):
        return read_gazebo(path)
    if suffix in (".xml", ".mjcf"):
        return read_mjcf(path)
    raise ValueError(f"{path}: unknown ending; expected {', '.join(WORLD_FILES)}")


def load_world(name: str, seed: int = 0, scale: float = 1.0) -> World:
    """A world from what a user types: a generator's name, or a file as files.read_world() takes it. scale: of a
    generated one.

    FILE.npz:ID is one world of a BARN file, FILE.npz, .sdf, .world, .xml or FILE.json:NUMBER the world in that file.
    ValueError for an unknown name, id or file that is none; OSError where the file cannot be read.
    """
    file, colon, index = name.rpartition(":")
    if colon and file.endswith((".npz", ".json")):
        if not index.isdigit() or len(index) > 9:
            raise ValueError(f"{file}: no world {index!r}; expected its number")
        return read_world(file, int(index))
    if name.endswith(WORLD_FILES):
        return read_world(name)
    return generate(name, seed, scale)
