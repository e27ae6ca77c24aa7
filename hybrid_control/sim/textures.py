"""Small pictures of what grounds and obstacles are made of, by code and seed: noise of a few octaves, and cells."""

from __future__ import annotations

import colorsys
import math
import zlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hybrid_control.sim.worlds.patch import ground_look

SIZE = 128  # pixels of a side
Field = NDArray[np.float64]  # (SIZE, SIZE), or (SIZE, SIZE, 3) of red, green, blue in 0 .. 1

_AT = np.arange(SIZE) / SIZE
_ROW, _COLUMN = np.meshgrid(_AT, _AT, indexing="ij")


class Surface(NamedTuple):
    """What a material is made of: a kind of KINDS or of patches, its variant's seed, m that a picture spans, and how
    much of the ground below it hides, 0 .. 1."""

    kind: str
    seed: tuple[int, ...]
    size: float
    opacity: float = 1.0


def surfaces(seed: int, ground: str, patches: Iterable[str], obstacles: int) -> dict[str, Surface]:
    """What the textures of a model are made of, by their names: the ground, patches of kinds, and obstacles.

    ground: its kind, "" for one that is drawn and is unlike the patches. Each is drawn for itself.
    """
    kinds = sorted(set(patches))
    made = {}
    for name in ("ground", *(f"patch_{kind}" for kind in kinds), *(f"look{i}" for i in range(obstacles))):
        own = seed, 6, zlib.crc32(name.encode())
        rng = np.random.default_rng(own)
        if name == "ground":
            left = [kind for kind in GROUNDS if kind not in kinds]
            kind = ground or str(rng.choice(left))
        elif name.startswith("patch_"):
            kind = name.removeprefix("patch_")
        else:
            kind = str(rng.choice(OBSTACLES))
        size, opacity = float(rng.uniform(*SPANS.get(kind, SPAN))), 1.0
        if name.startswith("patch_") and kind in SHALLOW:
            opacity = float(rng.uniform(*SHALLOW[kind]))
        made[name] = Surface(kind, (*own, 1), size, opacity)
    return made


def texture(kind: str, seed: int | tuple[int, ...]) -> NDArray[np.uint8]:
    """A picture of a kind that can be laid side by side, (SIZE, SIZE, 3) RGB.

    Hue, brightness and the pattern's scale are drawn by the seed, within what a person would still call by that name.
    A kind that is none of KINDS is of the colour that patches of this kind have.
    """
    rng = np.random.default_rng(seed)
    make = KINDS.get(kind)
    picture = make(rng) if make else _plain(rng, ground_look(kind).first)
    return (np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


# -- noise ----------------------------------------------------------------------------------------------------


def _across(lattice: Field, count: int) -> Field:
    """The columns of a periodic lattice (rows, k), smoothly from one to the next, (rows, count)."""
    k = lattice.shape[1]
    u = np.arange(count) * (k / count)
    i = u.astype(int)
    f = u - i
    f = f * f * (3.0 - 2.0 * f)
    return lattice[:, i % k] * (1.0 - f) + lattice[:, (i + 1) % k] * f


def noise(rng: Generator, rows: int, columns: int, octaves: int = 4) -> Field:
    """Value noise of mean 0 and a standard deviation of 1 that goes on beyond its edges as it begins.

    rows, columns: of the coarsest lattice; each octave has twice as many and half the weight.
    """
    total = np.zeros((SIZE, SIZE))
    for k in range(octaves):
        lattice = rng.random((min(rows << k, SIZE), min(columns << k, SIZE)))
        total += 0.5**k * _across(_across(lattice, SIZE).T, SIZE).T
    return (total - total.mean()) / max(float(total.std()), 1e-9)


def cells(rng: Generator, count: int) -> tuple[NDArray[np.int64], Field]:
    """Stones side by side, count x count of them: the number of each pixel's, and how far inside it is, 0 .. 1."""
    place = rng.random((count, count, 2))
    u, v = _ROW * count, _COLUMN * count
    i, j = u.astype(int), v.astype(int)
    nearest, second = np.full((SIZE, SIZE), math.inf), np.full((SIZE, SIZE), math.inf)
    number = np.zeros((SIZE, SIZE), np.int64)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            a, b = (i + di) % count, (j + dj) % count
            d = np.hypot(i + di + place[a, b, 0] - u, j + dj + place[a, b, 1] - v)
            closer = d < nearest
            second = np.where(closer, nearest, np.minimum(second, d))
            number = np.where(closer, a * count + b, number)
            nearest = np.where(closer, d, nearest)
    return number, np.minimum(second - nearest, 1.0)


def _hsv(rng: Generator, hue: Any, saturation: Any, value: Any) -> tuple[float, float, float]:
    """A colour out of these ranges."""
    return colorsys.hsv_to_rgb(rng.uniform(*hue) % 1.0, rng.uniform(*saturation), rng.uniform(*value))


def _shaded(colour: Any, light: Field) -> Field:
    """A colour, or a picture of them, with so much more or less light than 1."""
    return np.asarray(colour) * (1.0 + light)[..., None]


# -- kinds ----------------------------------------------------------------------------------------------------


def _plain(rng: Generator, colour: Any) -> Field:
    return _shaded(np.array(colour) * rng.uniform(0.85, 1.15), 0.04 * noise(rng, 4, 4))


def _flat(rng: Generator) -> Field:
    return _plain(rng, _hsv(rng, (0, 1), (0.0, 0.8), (0.2, 0.95)))


def _concrete(rng: Generator) -> Field:
    colour = _hsv(rng, (0.05, 0.15), (0.0, 0.12), (0.45, 0.8))
    return _shaded(colour, 0.06 * noise(rng, 2, 2, 3) + 0.05 * noise(rng, 32, 32, 2))


def _asphalt(rng: Generator) -> Field:
    colour = _hsv(rng, (0.55, 0.7), (0.0, 0.1), (0.16, 0.36))
    return _shaded(colour, 0.06 * noise(rng, 3, 3, 2) + 0.22 * noise(rng, 64, 64, 2))


def _grass(rng: Generator) -> Field:
    colour = _hsv(rng, (0.20, 0.34), (0.45, 0.8), (0.28, 0.58))
    light = 0.15 * noise(rng, 3, 3, 3) + 0.28 * noise(rng, 16, 48, 2)
    picture = _shaded(colour, light)
    picture[..., 0] += 0.10 * np.maximum(noise(rng, 24, 24, 2), 0.0) * rng.uniform(0.2, 1.0)  # dry blades
    return picture


def _carpet(rng: Generator) -> Field:
    """Neither as green as grass nor as blue as water."""
    colour = _hsv(rng, (0.68, 1.12), (0.2, 0.7), (0.25, 0.65))
    threads = int(rng.integers(16, 33))
    weave = np.sin(math.tau * threads * _ROW) * np.sin(math.tau * threads * _COLUMN)
    return _shaded(colour, 0.12 * weave + 0.06 * noise(rng, 32, 32, 2) + 0.04 * noise(rng, 3, 3, 2))


def _mat(rng: Generator) -> Field:
    """Of rubber or coir, with ribs: red or brown."""
    hue = ((0.97, 1.08), (0.05, 0.1))[int(rng.integers(2))]
    colour, ribs = _hsv(rng, hue, (0.4, 0.8), (0.2, 0.6)), int(rng.integers(8, 21))
    return _shaded(colour, 0.18 * np.sin(math.tau * ribs * _ROW) + 0.08 * noise(rng, 32, 32, 2))


def _wood(rng: Generator) -> Field:
    colour = _hsv(rng, (0.05, 0.10), (0.35, 0.65), (0.35, 0.8))
    planks = int(rng.integers(3, 7))
    plank = (_ROW * planks).astype(int)
    shade = rng.uniform(-0.14, 0.14, planks)[plank]
    grain = 0.10 * noise(rng, 24, 2, 3)
    joint = np.where(np.abs(_ROW * planks - np.round(_ROW * planks)) * SIZE / planks < 1.0, -0.45, 0.0)
    return _shaded(colour, shade + grain + joint)


def _tiles(rng: Generator) -> Field:
    colour, grout = _hsv(rng, (0, 1), (0.0, 0.35), (0.45, 0.9)), rng.uniform(0.25, 0.95)
    count = int(rng.integers(2, 6))
    i, j = (_ROW * count).astype(int), (_COLUMN * count).astype(int)
    shade = rng.uniform(-0.08, 0.08, (count, count))[i, j]
    picture = _shaded(colour, shade + 0.03 * noise(rng, 8, 8, 3))
    edge = np.minimum(*(np.abs(a * count - np.round(a * count)) * SIZE / count for a in (_ROW, _COLUMN)))
    picture[edge < 1.5] = grout
    return picture


def _stones(rng: Generator, count: int, colours: Field) -> Field:
    """Stones or leaves in these colours (n, 3), with dark joints."""
    number, edge = cells(rng, count)
    chosen = colours[rng.integers(len(colours), size=count * count)]
    picture = chosen[number] * rng.uniform(0.7, 1.25, count * count)[number][..., None]
    return picture * np.clip(0.35 + 4.0 * edge, 0.0, 1.0)[..., None]


def _gravel(rng: Generator) -> Field:
    base = np.array(_hsv(rng, (0.05, 0.12), (0.02, 0.22), (0.4, 0.75)))
    return _stones(rng, int(rng.integers(14, 25)), base * np.array(((0.6,), (0.85,), (1.0,), (1.2,))))


def _leaves(rng: Generator) -> Field:
    hues = rng.uniform(0.02, 0.14, 6)
    colours = [colorsys.hsv_to_rgb(h, rng.uniform(0.55, 0.9), rng.uniform(0.35, 0.8)) for h in hues]
    return _stones(rng, int(rng.integers(8, 15)), np.array(colours))


def _waves(rng: Generator, colour: Any, glint: float) -> Field:
    ripples = np.sin(math.tau * int(rng.integers(3, 7)) * _ROW + 1.5 * noise(rng, 3, 3, 2))
    light = 0.14 * ripples + 0.10 * noise(rng, 4, 6, 3)
    picture = _shaded(colour, light)
    return picture + glint * np.clip(ripples + 0.4 * noise(rng, 12, 6, 2) - 0.9, 0.0, 1.0)[..., None]


def _water(rng: Generator) -> Field:
    return _waves(rng, _hsv(rng, (0.50, 0.63), (0.35, 0.75), (0.28, 0.6)), 0.6)


def _puddle(rng: Generator) -> Field:
    return _waves(rng, _hsv(rng, (0.53, 0.63), (0.12, 0.35), (0.3, 0.55)), 0.25)


def _hazard(rng: Generator) -> Field:
    """Yellow and black stripes, worn."""
    yellow, black = _hsv(rng, (0.11, 0.16), (0.8, 1.0), (0.75, 1.0)), np.full(3, rng.uniform(0.03, 0.14))
    lean = 1 - 2 * int(rng.integers(2))
    stripe = (int(rng.integers(2, 5)) * (_ROW + lean * _COLUMN)) % 1.0 < 0.5
    picture = np.where(stripe[..., None], np.array(yellow), black)
    return _shaded(picture, 0.08 * noise(rng, 8, 8, 4))


def _line(rng: Generator) -> Field:
    """Paint on a road, white or yellow."""
    saturation = ((0.0, 0.08), (0.5, 0.8))[int(rng.integers(2))]
    return _shaded(_hsv(rng, (0.12, 0.16), saturation, (0.75, 0.98)), 0.07 * noise(rng, 8, 8, 4))


KINDS: dict[str, Callable[[Generator], Field]] = {
    "concrete": _concrete, "asphalt": _asphalt, "grass": _grass, "carpet": _carpet, "wood": _wood, "tiles": _tiles,
    "gravel": _gravel, "water": _water, "hazard": _hazard, "leaves": _leaves, "flat": _flat, "mat": _mat,
    "puddle": _puddle, "line": _line,
}  # fmt: skip
"""What there is a texture of."""

GROUNDS = ("concrete", "asphalt", "carpet", "wood", "tiles", "flat", "grass", "gravel")
OBSTACLES = ("concrete", "wood", "tiles", "flat", "gravel", "hazard")
SPAN = (0.6, 1.6)  # m that a picture spans
SHALLOW = {"puddle": (0.3, 0.5)}  # opacity of patches that the ground shows through
SPANS = {"tiles": (0.8, 2.4), "wood": (0.8, 1.6), "gravel": (0.5, 1.0), "grass": (0.5, 1.2)}
