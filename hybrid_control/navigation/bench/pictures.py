"""A picture of a failed episode: the world from above, the way that was driven, and where it ended."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.navigation.bench.scenes import Scene
from hybrid_control.sim.plot import plot_world
from hybrid_control.sim.robots.vehicle import Vehicle


def draw(row: Mapping[str, Any], scene: Scene, robot: Vehicle, goal_radius: float, file: Path) -> None:
    """Draws one episode's row, which has its way, as a PNG file."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, Rectangle

    xmin, ymin, xmax, ymax = scene.world.bounds
    scale = 6.0 / max(xmax - xmin, ymax - ymin)
    figure = Figure(figsize=((xmax - xmin) * scale + 1.0, (ymax - ymin) * scale + 1.0), layout="constrained")
    axes = figure.add_subplot()
    plot_world(axes, scene.world, goal_radius=goal_radius)
    way = np.asarray(row["way"], dtype=np.float64).reshape(-1, 3)
    axes.plot(way[:, 0], way[:, 1], color="tab:orange", linewidth=1.2)
    if len(way):
        x, y, yaw = way[-1].tolist()
        x, y = x + robot.outline_x * math.cos(yaw), y + robot.outline_x * math.sin(yaw)
        corner = (x - robot.length / 2, y - robot.width / 2)
        outline = Rectangle(
            corner, robot.length, robot.width, angle=math.degrees(yaw), rotation_point="center",
            facecolor="none", edgecolor="tab:red", linewidth=1.2,
        )  # fmt: skip
        axes.add_patch(outline)
    for mover, place in zip(scene.world.movers, row.get("movers", []), strict=False):
        axes.add_patch(Circle(place, mover.radius, facecolor="tab:red", alpha=0.9))
    what = "contact" if row["contact"] else "out of time"
    axes.set_title(
        f"{row['policy']}, {row['world']}, trial {row['trial']}: {what} after {row['time']:g} s", fontsize=9
    )
    figure.savefig(file, dpi=90)


def draw_failures(
    rows: Sequence[Mapping[str, Any]],
    scenes: Sequence[Scene],
    robot: Vehicle,
    goal_radius: float,
    folder: Path,
) -> list[Path]:
    """A picture of every failed episode in a folder, named by policy, world's place and name, and trial; the files in
    their order."""
    from tqdm import tqdm

    failed = [r for r in rows if not r["success"]]
    if failed:
        folder.mkdir(parents=True, exist_ok=True)
    files = []
    for row in tqdm(failed, desc="pictures", unit="picture", disable=len(failed) < 5):
        world = re.sub(r"[^\w.=-]+", "_", row["world"])
        file = folder / f"{row['policy'].replace(' ', '-')}-{row['index']:03d}-{world}-{row['trial']}.png"
        draw(row, scenes[row["index"]], robot, goal_radius, file)
        files.append(file)
    return files
