"""How well a planner does on worlds that it never saw, against the expert and against what takes no network.

Without torch: it runs the ONNX file that a robot runs.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.planner import MIN_CONTRAST, goal_input
from hybrid_control.navigation.planner.training import dataset, labels
from hybrid_control.navigation.planner.training.dataset import Samples
from hybrid_control.sim.worlds import GENERATORS

ARRAYS = ("image", "goal", "velocity", "heading", "speed", "ranges", "scan")

Report = dict[str, float]


def answers(
    path: Path, samples: Samples, images: NDArray[np.uint8] | None = None, scans: bool = True
) -> tuple[NDArray, NDArray, NDArray]:
    """The model's heading (n,) rad, speed fraction (n,) and time of inference (n,) s for every sample.

    images: seen instead of the samples' own where given; scans: whether it is told the scans, if it asks for them.
    """
    session, info = contract.load(path)
    scans = scans and contract.SCAN in info.optional
    seen = samples.image if images is None else images
    headings, speeds, took = (np.empty(len(samples)) for _ in range(3))
    for i in range(len(samples)):
        distance, bearing = samples.goal[i].tolist()
        feed: dict[str, NDArray] = {
            "image": seen[i : i + 1],
            "goal": goal_input(distance, bearing, info.goal_cap),
            "velocity": samples.velocity[i : i + 1],
            **({contract.SCAN.name: samples.scan[i : i + 1]} if scans else {}),
        }
        before = time.perf_counter()
        heading, speed = contract.infer(session, info, feed)[:2]
        took[i] = time.perf_counter() - before
        headings[i], speeds[i] = contract.decode_heading(heading), contract.decode_speed(speed)
    return headings, speeds, took


def free_ahead(samples: Samples, heading: NDArray) -> NDArray[np.bool_]:
    """Whether a robot 0.6 m wide would be free for 1 m along each body-frame heading (n,) rad.

    Judged from the true ranges, so where the heading lies within what they cover; elsewhere True.
    """
    angles = labels.RAY_ANGLES[None, :] - heading[:, None]
    along, across = samples.ranges * np.cos(angles), samples.ranges * np.sin(angles)
    struck = (along > 0.0) & (along < 1.0) & (np.abs(across) < 0.30) & (samples.ranges < labels.RAY_LIMIT)
    covered = np.abs(heading) < labels.RAY_ANGLES.max()
    return ~(struck.any(axis=1) & covered)


def _error(heading: NDArray, samples: Samples) -> NDArray:
    return np.degrees(np.abs(labels.wrap(heading - samples.heading)))


def evaluate(path: Path, samples: Samples) -> Report:
    """Errors of the model, of driving straight to the goal, and of the model with a black or another image.

    Angles in degrees, speeds as fractions of the greatest, times in ms; `around` takes only those samples in
    which the expert leaves the goal's direction by more than 20 degrees.
    """
    heading, speed, took = answers(path, samples)
    order = np.random.default_rng(0).permutation(len(samples))
    other, other_speed, _ = answers(path, samples, samples.image[order])
    black, black_speed, _ = answers(path, samples, np.zeros_like(samples.image))
    alone, alone_speed, _ = answers(path, samples, scans=False)
    straight = samples.goal[:, 1].astype(np.float64)
    around = _error(straight, samples) > 20.0
    report: Report = {"samples": float(len(samples)), "worlds": float(len(np.unique(samples.world)))}
    headings = {"model": heading, "straight": straight, "shuffled": other, "black": black, "alone": alone}
    for name, value in headings.items():
        error = _error(value, samples)
        report[f"{name}_mean"] = float(error.mean())
        report[f"{name}_median"] = float(np.median(error))
        report[f"{name}_within_15"] = float((error < 15.0).mean())
        report[f"{name}_around_mean"] = float(error[around].mean()) if around.any() else math.nan
        report[f"{name}_blocked"] = float((~free_ahead(samples, value)).mean())
    report["expert_blocked"] = float((~free_ahead(samples, samples.heading.astype(np.float64))).mean())
    report["around_share"] = float(around.mean())
    constant = float(samples.speed.mean())
    for name, value in (
        ("model", speed), ("constant", np.full(len(samples), constant)), ("shuffled", other_speed),
        ("black", black_speed), ("alone", alone_speed)
    ):  # fmt: skip
        report[f"{name}_speed"] = float(np.abs(value - samples.speed).mean())
    for kind in np.unique(samples.kind):
        chosen = samples.kind == kind
        report[f"kind_{GENERATORS[kind]}_model"] = float(_error(heading, samples)[chosen].mean())
        report[f"kind_{GENERATORS[kind]}_straight"] = float(_error(straight, samples)[chosen].mean())
        report[f"kind_{GENERATORS[kind]}_n"] = float(chosen.sum())
    report["median_ms"], report["p99_ms"] = (float(v) * 1e3 for v in np.percentile(took, (50, 99)))
    report["blind_share"] = dataset.dark_share(samples, MIN_CONTRAST)
    return report
