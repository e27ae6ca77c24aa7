"""A world's things as MJCF: what stands low, hangs, is of glass or thin, and holes, for which the ground is cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.sim.mjcf import OBSTACLE, SCENERY, mjcf_text
from hybrid_control.sim.worlds import Thing, World

HALF = 40.0  # m, of the ground's sides
ORANGE, WHITE = (0.95, 0.38, 0.05), (0.95, 0.95, 0.92)
BANDS = ((0.2, 0.4), (0.6, 0.8))  # shares of a cone's height that are white
PROUD = 0.002  # m by which those stand out
DARK = 0.45  # of the ground's brightness, in a hole
PLATE = 0.02  # m, of a hole's walls and floor
SUNK = 0.001  # m below the ground of their upper edges, which would shimmer in it
LEAST = 1e-6  # m², of a piece of ground
CLEAR = 1e-3  # opacity of what cannot be seen; the lidar's rays pass what has none at all


@dataclass(frozen=True, slots=True)
class ThingLook:
    """How a thing looks: a colour (red, green, blue), its opacity, and the name of a material or ""."""

    colour: tuple[float, float, float]
    opacity: float
    material: str


def thing_looks(world: World, seed: int, materials: int) -> list[ThingLook]:
    """The looks of a world's things, drawn by the seed where they have one of their own; materials: how many."""
    rng = np.random.default_rng([seed, 5])
    looks = []
    for thing in world.things:
        tint, grey, number = rng.uniform(0.5, 1.0, 3), rng.uniform(0.05, 0.7), int(rng.integers(materials))
        colour, material = tint, f"look{number}"
        if thing.kind == "pane":
            colour, material = 0.6 + 0.4 * tint, ""
        elif thing.kind == "wire":
            colour, material = grey * (0.7 + 0.3 * tint), ""
        if thing.look == "cone":
            colour, material = np.array(ORANGE), ""
        elif thing.look == "ground" or thing.kind == "hole":
            colour, material = np.full(3, DARK if thing.kind == "hole" else 1.0), "ground"
        red, green, blue = colour.tolist()
        looks.append(ThingLook((red, green, blue), max(thing.opacity, CLEAR), material))
    return looks


def things_mjcf(world: World, looks: Sequence[ThingLook]) -> str:
    """MJCF of all things, for the worldbody.

    What collides meets the robot's footprint. Panes and wires are scenery, which the camera draws and no ray meets;
    wires and holes collide with nothing.
    """
    lines = []
    for i, (thing, look) in enumerate(zip(world.things, looks, strict=True)):
        paint = f'rgba="{mjcf_text(*look.colour, look.opacity)}"'
        paint += f' material="{look.material}"' if look.material else ""
        if thing.kind == "hole":
            lines += _lining(thing, paint)
            continue
        group = OBSTACLE if thing.kind in ("low", "overhang") else SCENERY
        touches = f'contype="{0 if thing.kind == "wire" else 2}" conaffinity="0"'
        lines.append(f'<geom name="thing{i}" {_box(thing)} group="{group}" {touches} {paint}/>')
        if thing.look == "cone":
            paint = f'rgba="{mjcf_text(*WHITE, look.opacity)}"'
            lines += [_drawn(band, paint) for band in bands(thing)]
    return "\n".join(lines)


def bands(thing: Thing) -> list[Thing]:
    """The white bands of a thing that looks like a cone."""
    height, wider = thing.top - thing.bottom, 2 * PROUD
    return [
        Thing(
            "low", thing.x, thing.y, thing.length + wider, thing.width + wider, thing.yaw,
            thing.bottom + low * height, thing.bottom + high * height,
        )
        for low, high in BANDS
    ]  # fmt: skip


def _box(thing: Thing) -> str:
    half, middle = (thing.top - thing.bottom) / 2, (thing.top + thing.bottom) / 2
    size, place = mjcf_text(thing.length / 2, thing.width / 2, half), mjcf_text(thing.x, thing.y, middle)
    return f'type="box" size="{size}" pos="{place}" euler="{mjcf_text(0, 0, thing.yaw)}"'


def _drawn(thing: Thing, paint: str) -> str:
    return f'<geom {_box(thing)} group="{SCENERY}" contype="0" conaffinity="0" {paint}/>'


def _lining(hole: Thing, paint: str) -> list[str]:
    """A hole's floor and walls, outside of it and below the ground."""
    c, s, depth = math.cos(hole.yaw), math.sin(hole.yaw), -hole.bottom
    plates = [(0.0, 0.0, hole.length, hole.width, hole.bottom - PLATE, hole.bottom)]
    for side in (-0.5, 0.5):
        along, across = side * (hole.length + PLATE), side * (hole.width + PLATE)
        plates.append((along, 0.0, PLATE, hole.width + 2 * PLATE, -depth - PLATE, -min(SUNK, depth / 2)))
        plates.append((0.0, across, hole.length, PLATE, -depth - PLATE, -min(SUNK, depth / 2)))
    lines = []
    for along, across, length, width, bottom, top in plates:
        x, y = hole.x + c * along - s * across, hole.y + s * along + c * across
        size, place = mjcf_text(length / 2, width / 2, (top - bottom) / 2), mjcf_text(x, y, (top + bottom) / 2)
        shape = f'type="box" size="{size}" pos="{place}" euler="{mjcf_text(0, 0, hole.yaw)}"'
        lines.append(f'<geom {shape} group="{SCENERY}" contype="0" conaffinity="0" {paint}/>')
    return lines


# -- the ground around holes --------------------------------------------------------------------------------

Polygon = NDArray[np.float64]  # (n, 2) corners of a convex one, counter-clockwise


def corners(hole: Thing) -> Polygon:
    """A hole's corners, counter-clockwise, (4, 2) m."""
    c, s = math.cos(hole.yaw), math.sin(hole.yaw)
    local = np.array(((1, 1), (-1, 1), (-1, -1), (1, -1))) * (hole.length / 2, hole.width / 2)
    return local @ np.array(((c, s), (-s, c))) + (hole.x, hole.y)


def _side(polygon: Polygon, a: Any, normal: Any) -> Polygon:
    """What of a convex polygon lies where (p - a) · normal <= 0."""
    height = (polygon - a) @ normal
    kept = []
    for i in range(len(polygon)):
        j = (i + 1) % len(polygon)
        if height[i] <= 0:
            kept.append(polygon[i])
        if (height[i] < 0 < height[j]) or (height[j] < 0 < height[i]):
            kept.append(polygon[i] + (polygon[j] - polygon[i]) * height[i] / (height[i] - height[j]))
    return np.array(kept).reshape(-1, 2)


def area(polygon: Polygon) -> float:
    """m², positive for corners that go round counter-clockwise."""
    x, y = polygon[:, 0], polygon[:, 1]
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def cut(pieces: Sequence[Polygon], hole: Polygon) -> list[Polygon]:
    """Convex pieces of ground without what lies in a convex hole, as convex pieces again."""
    low, high = hole.min(axis=0), hole.max(axis=0)
    left: list[Polygon] = []
    for piece in pieces:
        if (piece.min(axis=0) >= high).any() or (piece.max(axis=0) <= low).any():
            left.append(piece)
            continue
        rest, outside = piece, []
        for i in range(len(hole)):
            dx, dy = hole[(i + 1) % len(hole)] - hole[i]
            outward = np.array((dy, -dx))
            outside.append(_side(rest, hole[i], -outward))
            rest = _side(rest, hole[i], outward)
            if len(rest) < 3 or area(rest) < LEAST:
                break
        else:
            left += [p for p in outside if len(p) >= 3 and area(p) >= LEAST]
            continue
        left.append(piece)  # they do not meet
    return left


def ground_pieces(holes: Sequence[Thing]) -> list[Polygon]:
    """The ground as convex pieces (n, 2) m around the holes.

    Around each hole first a rectangle along the axes is cut out, so that no piece is long and thin where there is room.
    """
    pieces: list[Polygon] = [np.array(((-HALF, -HALF), (HALF, -HALF), (HALF, HALF), (-HALF, HALF)))]
    for hole in holes:
        outline = corners(hole)
        (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
        frame = np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
        inside = [p for piece in pieces for p in [_clipped(piece, frame)] if len(p) >= 3 and area(p) >= LEAST]
        pieces = cut(pieces, frame) + cut(inside, outline)
    return pieces


def _clipped(piece: Polygon, frame: Polygon) -> Polygon:
    """What of a convex piece lies in a convex frame."""
    for i in range(len(frame)):
        dx, dy = frame[(i + 1) % len(frame)] - frame[i]
        piece = _side(piece, frame[i], np.array((dy, -dx)))
        if len(piece) < 3:
            break
    return piece


def ground_mesh(world: World, repeat: float) -> tuple[str, str]:
    """MJCF of the ground that is drawn where a world has holes: (worldbody, asset); "" and "" where it has none.

    repeat: of the ground's texture. What is stood on stays the plane.
    """
    holes = [thing for thing in world.things if thing.kind == "hole"]
    if not holes:
        return "", ""
    points: list[tuple[float, float]] = []
    faces: list[tuple[int, int, int]] = []
    for piece in ground_pieces(holes):
        first = len(points)
        points += [(x, y) for x, y in piece.tolist()]
        faces += [(first, first + k, first + k + 1) for k in range(1, len(piece) - 1)]
    places = np.array(points)
    vertices = np.column_stack((places, np.zeros(len(places))))
    texture = places * (0.5 * repeat, -0.5 * repeat)  # as MuJoCo lays one on a plane
    asset = f"""
        <material name="ground_around" texture="ground" specular="0"/>
        <mesh name="ground" inertia="shell" vertex="{mjcf_text(*vertices.ravel())}"
          texcoord="{mjcf_text(*texture.ravel())}" face="{" ".join(str(k) for face in faces for k in face)}"/>"""
    body = f"""
        <geom type="mesh" mesh="ground" material="ground_around" group="{SCENERY}" contype="0" conaffinity="0"/>"""
    return body, asset
