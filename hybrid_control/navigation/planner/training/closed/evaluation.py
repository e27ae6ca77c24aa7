"""How well a planner of contract 2 sees what a scan does not show, on scenes that its training never saw.

Without torch: it runs the ONNX file that a robot runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.closed import HIDDEN as HIDDEN_ROW
from hybrid_control.navigation.planner.closed import HIDDEN_AT, STANDING, UNSEEN
from hybrid_control.navigation.planner.images import resize
from hybrid_control.navigation.planner.training.closed.labels import ACROSS, HIDDEN, WIDTH
from hybrid_control.navigation.planner.training.closed.labels import HEIGHT as ROWS_OF_IMAGE
from hybrid_control.navigation.planner.training.closed.labels import STANDING as STANDING_KIND
from hybrid_control.navigation.planner.training.closed.scenes import KINDS, Frames
from hybrid_control.signals.headings import SECTORS, sectors_of
from hybrid_control.sim.robots.jackal import JACKAL

NEAR = (0.3, 1.0)  # m, within which what is hidden has to be seen
CLEAR = 2.5  # m, within which nothing is hidden in a direction, or beside it, that counts as free
ALARMS = (0.01, 0.05)  # of the directions that hide nothing
# Of the free directions, that a planner may close as it drives, with and without a depth image. Without, it sees less:
# at 2 % low things were driven into in 3 of 60 worlds, at 1 % in 6, and BARN's worlds without a stop for nothing either
COUNTS, COUNTS_BLIND = 0.01, 0.02
AHEAD = 3.0, 1.0, 0.0  # a goal straight ahead, as the contract has it
PLACED = 0.15  # m, by which a distance may be wrong, or a fifth of it


@dataclass(frozen=True)
class Seen:
    """What a model said of n frames, and what was so, by heading: said (n, 72) how sure it was of something hidden, and
    at (n, 72) m where; true (n, 72) m to the first hidden thing, inf for none, and what (n, 72), its place in KINDS;
    standing_said, standing_at, standing_true likewise of what stands; seen (72,) which headings the model sees."""

    said: NDArray[np.float32]
    at: NDArray[np.float32]
    true: NDArray[np.float32]
    what: NDArray[np.int8]
    standing_said: NDArray[np.float32]
    standing_true: NDArray[np.float32]


def feed(
    frames: Frames, i: int, info: contract.ModelInfo, goal: tuple[float, float, float] = AHEAD, depth: bool = True
) -> dict[str, NDArray[Any]]:
    """Frame i as a planner is given it, at its size; goal: as the contract has it; depth: with its depth image, where
    it has one and the planner takes it."""
    told: dict[str, NDArray[Any]] = {
        "image": resize(frames.image[i], info.height, info.width)[None],
        "goal": np.array([goal], np.float32),
        "velocity": np.zeros((1, 2), np.float32),
    }
    if contract.CAMERA in info.optional:
        told["camera"] = frames.camera[i : i + 1]
    if info.depths and depth and frames.depth is not None:
        told["depth"] = frames.depth[i : i + 1] * np.float32(0.001)
    return told


def counts(depth: bool) -> float:
    """The share of the free directions that a planner may close, with or without a depth image."""
    return COUNTS if depth else COUNTS_BLIND


def look(path: Path, shards: Iterable[Frames], depth: bool = True) -> Seen:
    """Run a file on frames of a camera like the robot's own; depth: with their depth images, where it takes them."""
    session, info = contract.load(path)
    if info.version < 2:
        raise ValueError(f"{path}: keeps contract {info.version}, which closes no directions; 2 is wanted")
    found: list[tuple[NDArray, ...]] = []
    own = np.array((JACKAL.camera_z, JACKAL.camera_pitch, JACKAL.camera_hfov))
    for frames in shards:
        for i in np.flatnonzero((np.abs(frames.camera - own) < (0.05, 0.08, 0.1)).all(axis=1)):
            closed = contract.infer(session, info, feed(frames, int(i), info, depth=depth)).closed
            assert closed is not None
            found.append((closed[HIDDEN_ROW], closed[HIDDEN_AT], *_truth(frames, int(i)), closed[STANDING]))
    said, at, true, what, standing_true, standing_said = (np.stack(v) for v in zip(*found, strict=True))
    return Seen(said, at, true, what, standing_said, standing_true)


def _truth(frames: Frames, i: int) -> tuple[NDArray, NDArray, NDArray]:
    """By heading: m to the first hidden thing, what it is, and m to the first that stands; inf and -1 for none."""
    z, pitch, hfov = frames.camera[i].tolist()
    mount = CameraMount(0.0, z, pitch, hfov, ROWS_OF_IMAGE / WIDTH)
    sectors = sectors_of(mount.bearings(ACROSS))
    true, what = np.full(SECTORS, np.inf, np.float32), np.full(SECTORS, -1, np.int8)
    stands = np.full(SECTORS, np.inf, np.float32)
    for column in np.argsort(-frames.away[i]):
        sector, kind = sectors[column], frames.kind[i, column]
        if kind == HIDDEN:
            true[sector], what[sector] = frames.away[i, column], frames.what[i, column]
        elif kind == STANDING_KIND:
            stands[sector] = frames.away[i, column]
    return true, what, stands


def rows(seen: Seen) -> list[tuple[str, int, dict[float, tuple[float, float]]]]:
    """By kind: how many directions in which one is NEAR, and at each share of ALARMS how many of them it says, and says
    in the right place. The last row is all of them."""
    limits = {alarm: threshold(seen, alarm) for alarm in ALARMS}
    near = (seen.true >= NEAR[0]) & (seen.true <= NEAR[1]) & (seen.said != UNSEEN)
    placed = np.abs(seen.at - seen.true) <= np.maximum(PLACED, 0.2 * seen.true)
    table = []
    for number, name in [*enumerate(KINDS), (-1, "all")]:
        chosen = near & (seen.what == number) if number >= 0 else near
        if chosen.any():
            shares = {
                alarm: (float((seen.said[chosen] > limit).mean()),
                        float(((seen.said > limit) & placed)[chosen].mean()))
                for alarm, limit in limits.items()
            }  # fmt: skip
            table.append((name, int(chosen.sum()), shares))
    return table


def free(seen: Seen) -> NDArray[np.bool_]:
    """Which directions hide nothing within CLEAR, nor those beside them, (n, 72)."""
    clear = seen.true > CLEAR
    return clear & np.roll(clear, 1, axis=1) & np.roll(clear, -1, axis=1) & (seen.said != UNSEEN)


def threshold(seen: Seen, alarm: float) -> float:
    """The confidence above which so many of the free directions are."""
    return float(np.quantile(seen.said[free(seen)], 1.0 - alarm))


def frames_with_alarm(seen: Seen, alarm: float) -> float:
    """Share of the frames that hide nothing in any direction in which the model says so in one."""
    empty = ((seen.true > CLEAR) | (seen.said == UNSEEN)).all(axis=1)
    return float((seen.said[empty] > threshold(seen, alarm)).any(axis=1).mean()) if empty.any() else 0.0


def at_half(seen: Seen) -> dict[str, float]:
    """At a confidence of 0.5, which share of the free directions is called closed, and of those with something NEAR."""
    near = (seen.true >= NEAR[0]) & (seen.true <= NEAR[1]) & (seen.said != UNSEEN)
    return {"wrong": float((seen.said[free(seen)] > 0.5).mean()), "right": float((seen.said[near] > 0.5).mean())}
