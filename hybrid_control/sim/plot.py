"""A world seen from above, drawn into a matplotlib axes for reports."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from hybrid_control.sim.worlds import World
from hybrid_control.sim.worlds.patch import ground_look

THIN = 0.1  # m, of what is drawn with an edge
#: Colours of things, by their kinds.
THINGS = {"low": "tab:orange", "overhang": "tab:purple", "pane": "tab:cyan", "wire": "tab:red", "hole": "black"}


def plot_world(ax: Any, world: World, *, colour: str = "0.35", goal_radius: float = 0.3) -> None:
    """Draws ground, obstacles, things, start, goal and movers' ways into a matplotlib Axes, in metres and to scale."""
    from matplotlib.patches import Circle, Rectangle

    def rectangle(place: Iterable[float], colour: Any) -> None:
        x, y, length, width, yaw = place
        corner = x - length / 2, y - width / 2
        # a thin wall would fall between the picture's dots
        look = {"facecolor": colour, "edgecolor": colour if min(length, width) < THIN else "none", "linewidth": 0.8}
        turn = math.degrees(yaw)
        ax.add_patch(Rectangle(corner, length, width, angle=turn, rotation_point="center", **look))

    for patch in world.patches:
        rectangle(patch.rectangle, ground_look(patch.kind).first)
    for thing in world.things:
        rectangle(thing.rectangle, THINGS[thing.kind])
    for x, y, radius in world.cylinders:
        ax.add_patch(Circle((x, y), radius, facecolor=colour, edgecolor="none"))
    for box in world.boxes:
        rectangle(box, colour)
    for mover in world.movers:
        ax.plot(*zip(mover.a, mover.b, strict=True), color="tab:red", linewidth=0.8, linestyle=":")
        ax.add_patch(Circle(mover.at(0.0), mover.radius, facecolor="tab:red", edgecolor="none", alpha=0.6))
    start = world.start
    ax.annotate(
        "",
        xy=(start.x + 0.6 * math.cos(start.yaw), start.y + 0.6 * math.sin(start.yaw)),
        xytext=(start.x, start.y),
        arrowprops={"arrowstyle": "->", "color": "tab:blue", "linewidth": 2},
    )
    ax.plot(start.x, start.y, "o", color="tab:blue", label="start")
    ax.add_patch(Circle(world.goal, goal_radius, facecolor="none", edgecolor="tab:green", linewidth=1.5))
    ax.plot(*world.goal, "*", color="tab:green", markersize=12, label="goal")
    xmin, ymin, xmax, ymax = world.bounds
    ax.set(xlim=(xmin, xmax), ylim=(ymin, ymax), aspect="equal", xlabel="x (m)", ylabel="y (m)")
