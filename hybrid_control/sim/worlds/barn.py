"""The npz file of BARN worlds, of the Benchmark Autonomous Robot Navigation challenge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_control.files import read_npz
from hybrid_control.signals import Pose
from hybrid_control.sim.worlds.world import World


@dataclass(frozen=True, slots=True, eq=False)
class BarnWorlds:
    """Worlds from a file of BARN worlds, with the lengths of their shortest paths in m for the score."""

    worlds: tuple[World, ...]
    world_ids: tuple[int, ...]
    path_lengths: tuple[float, ...]


def load_barn(path: str | Path) -> BarnWorlds:
    """Reads an npz file of BARN worlds.

    Arrays: centers (n, 2) m and offsets (k + 1,): world i is centers[offsets[i]:offsets[i + 1]]; radius () m;
    path_length (k,) m; start (3,) x, y, yaw; goal (2,); world_id (k,), optional. ValueError names what is
    wrong.
    """
    needed = ("centers", "offsets", "radius", "path_length", "start", "goal")
    arrays = read_npz(path, "an npz file of BARN worlds")
    missing = [k for k in needed if k not in arrays]
    if missing:
        raise ValueError(f"{path}: not an npz file of BARN worlds: no array {', '.join(missing)}")
    known = {key: arrays[key] for key in (*needed, "world_id") if key in arrays}
    for key, array in known.items():
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all() or np.abs(array).max(initial=0.0) > 1e9:
            raise ValueError(f"{path}: {key} must be finite numbers of at most 1e9")
    data = {key: known[key].astype(np.float64) for key in needed}
    ids = known["world_id"].astype(np.int64) if "world_id" in known else None
    centers, offsets = data["centers"], data["offsets"].astype(np.int64)
    count = offsets.size - 1
    ids = np.arange(count) if ids is None else ids
    shapes_right = (
        centers.ndim == 2
        and centers.shape[1] == 2
        and offsets.ndim == 1
        and data["radius"].ndim == 0
        and data["path_length"].shape == (count,)
        and data["start"].shape == (3,)
        and data["goal"].shape == (2,)
        and ids.shape == (count,)
    )
    if count < 1 or not shapes_right:
        raise ValueError(f"{path}: arrays of the wrong shape for BARN worlds (see load_barn)")
    if offsets[0] != 0 or offsets[-1] != len(centers) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{path}: offsets must rise from 0 to the number of centers, {len(centers)}")
    start, goal = Pose(*data["start"].tolist()), (float(data["goal"][0]), float(data["goal"][1]))
    worlds = []
    for i in range(count):
        xy = np.unique(centers[offsets[i] : offsets[i + 1]], axis=0)  # the public file names each one twice
        cylinders = np.column_stack((xy, np.full(len(xy), float(data["radius"]))))
        points = np.concatenate((xy, [[start.x, start.y], goal]))
        low, high = points.min(axis=0) - 1.5, points.max(axis=0) + 1.5
        bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        worlds.append(World(f"barn-{ids[i]}", start, goal, bounds, cylinders))
    return BarnWorlds(tuple(worlds), tuple(ids.tolist()), tuple(data["path_length"].tolist()))
