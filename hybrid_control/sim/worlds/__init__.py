"""Worlds to drive in: a value type, generators by name and seed, and files of several kinds."""

from __future__ import annotations

from hybrid_control.sim.worlds.barn import BarnWorlds, load_barn
from hybrid_control.sim.worlds.files import WORLD_FILES, read_world
from hybrid_control.sim.worlds.generators import GENERATORS, GUARANTEED_CLEARANCE, generate, passable
from hybrid_control.sim.worlds.world import Mover, World, in_frame, polygon_edges, seen_from

__all__ = [
    "GENERATORS",
    "GUARANTEED_CLEARANCE",
    "BarnWorlds",
    "Mover",
    "World",
    "generate",
    "in_frame",
    "load_barn",
    "load_world",
    "passable",
    "polygon_edges",
    "seen_from",
]


def load_world(name: str, seed: int = 0) -> World:
    """A world from what a user types: a generator's name, or a file as files.read_world() takes it.

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
    return generate(name, seed)
