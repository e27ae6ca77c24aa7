"""Draws how the ranking by Hybrid_Efficiency changes over the weights: a triangle with a corner for each, as SVG.

Parts with one first and one second are apart, and say so by letters, so that the picture needs no colour.
"""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Mapping, Sequence

from hybrid_control.cosim.efficiency import Corner, Measures, Weights, efficiency, regions, share

Point = tuple[float, float]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# pixels: as wide as the other pictures, which a phone shows at 0.6 of that; the triangle's side, and its left corner
WIDTH, SIDE, LEFT, BASE, ROW = 640, 430, 105, 425, 28
_HEIGHT = SIDE * math.sqrt(3) / 2
_ROOM = (17, 12, 6.5)  # pixels from a label's middle to the edges of its part: two letters, one, a small one
_FILLS = ("#fde68a", "#bfdbfe", "#bbf7d0", "#fecaca", "#ddd6fe", "#a5f3fc", "#fbcfe8", "#e5e7eb")


def picture(
    candidates: Mapping[str, Measures],
    references: Measures,
    weights: Weights | None = None,
    *,
    notes: Sequence[str] = (),
) -> str:
    """SVG text. weights: are marked by a dot, and each candidate's figure for them is given; notes: lines below.

    ValueError for no candidates, or for more than there are letters.
    """
    if not 1 <= len(candidates) <= len(LETTERS):
        raise ValueError(f"{len(candidates)} candidates; a picture has 1 .. {len(LETTERS)}")
    letters = dict(zip(candidates, LETTERS, strict=False))
    firsts = regions(candidates, references)
    fills = {name: _FILLS[i % len(_FILLS)] for i, name in enumerate(firsts)}
    drawn = [_polygon(corners, f'fill="{fills[name]}" class="edge"') for name, corners in firsts.items()]
    drawn += _grid()
    labels: dict[Point, str] = {}
    small = []
    for name, corners in firsts.items():
        others = {other: m for other, m in candidates.items() if other != name}
        seconds = regions(others, references, corners)
        drawn += [_polygon(part, 'class="second"') for part in seconds.values()]
        parts = {letters[second]: part for second, part in seconds.items()} or {"": corners}
        written = _labels(letters[name], parts, corners)
        labels |= written
        small += [] if written else [name]
    drawn += [_polygon(corners, 'fill="none" class="edge"') for corners in firsts.values()]
    for name in small:
        labels |= _led(letters[name], firsts[name], labels)
    drawn += [*labels.values(), *_axes()]
    if weights is not None:
        x, y = _place((weights.accuracy, weights.latency, weights.power))
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" class="dot"/>')
    rows = _rows(candidates, references, weights, firsts, fills)
    lines = ["a b: a comes first, b second; dotted: another second"]
    if weights is not None:
        lines.append(
            f"dot: {weights.accuracy:g} accuracy, {weights.latency:g} latency, {weights.power:g} power"
        )
    top = BASE + 132 + ROW * len(candidates)
    rows += [
        f'<text x="20" y="{top + ROW * i}">{html.escape(line)}</text>'
        for i, line in enumerate([*lines, *notes])
    ]
    return _page("\n".join([*drawn, *rows]), top + ROW * (len(lines) + len(notes)) - 6)


def _place(corner: Corner) -> Point:
    """Where weights are in the picture: accuracy above, latency right, power left."""
    accuracy, latency, _ = corner
    return LEFT + SIDE * (latency + accuracy / 2), BASE - _HEIGHT * accuracy


def _polygon(corners: Sequence[Corner], attributes: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(_place, corners))
    return f'<polygon points="{points}" {attributes}/>'


def _grid() -> list[str]:
    """Lines of equal weights, a fifth apart."""
    lines = []
    for k in range(1, 5):
        w = k / 5
        for a, b in (
            ((w, 0, 1 - w), (w, 1 - w, 0)),
            ((0, w, 1 - w), (1 - w, w, 0)),
            ((1 - w, 0, w), (0, 1 - w, w)),
        ):
            (x0, y0), (x1, y1) = _place(a), _place(b)
            lines.append(f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" class="grid"/>')
    return lines


def _axes() -> list[str]:
    """What each corner stands for, and the weights along the three edges: each grows towards its corner."""
    text = []
    for k in range(1, 5):
        w = k / 5
        for (x, y), dx, dy, anchor in (
            (_place((0, w, 1 - w)), -8, 24, "middle"), (_place((w, 1 - w, 0)), 8, 6, "start"),
            (_place((1 - w, 0, w)), -10, -4, "end"),
        ):  # fmt: skip
            text.append(
                f'<text x="{x + dx:.0f}" y="{y + dy:.0f}" text-anchor="{anchor}" class="tick">{w:g}</text>'
            )
    top = BASE - _HEIGHT
    middle, right = LEFT + SIDE / 2, LEFT + SIDE
    for x, y, turn, words in (
        (middle, BASE + 52, 0, "latency &#8594;"),
        (middle + SIDE / 4 + 54, BASE - _HEIGHT / 2 - 18, 60, "&#8592; accuracy"),
        (middle - SIDE / 4 - 54, BASE - _HEIGHT / 2 - 18, -60, "&#8592; power"),
    ):
        turned = f' transform="rotate({turn} {x:.0f} {y:.0f})"' if turn else ""
        text.append(f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle"{turned}>{words}</text>')
    for x, y, words in (
        (middle, top - 14, "accuracy 1"), (LEFT - 20, BASE + 30, "power 1"), (right + 20, BASE + 30, "latency 1")
    ):  # fmt: skip
        text.append(f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" class="name">{words}</text>')
    return text


def _labels(first: str, parts: Mapping[str, Sequence[Corner]], whole: Sequence[Corner]) -> dict[Point, str]:
    """By place, first and second in each part that has room for the letters; where none has, the first alone.

    None where that has no room either.
    """
    written = {}
    for second, corners in parts.items():
        (x, y), room = _middle([_place(corner) for corner in corners])
        if room >= _ROOM[0]:
            written[x, y] = _letter(x, y + 9, "first", f'{first}<tspan class="then"> {second}</tspan>')
    (x, y), room = _middle([_place(corner) for corner in whole])
    if not written and room >= _ROOM[2]:
        css, down = ("first", 9) if room >= _ROOM[1] else ("small", 6)
        written[x, y] = _letter(x, y + down, css, first)
    return written


def _led(first: str, whole: Sequence[Corner], taken: Collection[Point]) -> dict[Point, str]:
    """A letter beside a part that has no room for it, where it is farthest from the others, and a line to the part."""
    (x, y), _ = _middle([_place(corner) for corner in whole])
    around = [(x + 48 * math.cos(k * math.pi / 6), y + 48 * math.sin(k * math.pi / 6)) for k in range(12)]
    x1, y1 = max(around, key=lambda at: min((math.dist(at, other) for other in taken), default=0.0))
    line = f'<path d="M{x:.1f} {y:.1f}L{x1:.1f} {y1:.1f}" class="lead"/>'
    circle = f'<circle cx="{x1:.1f}" cy="{y1:.1f}" r="12" fill="#fff" class="lead"/>'
    return {(x1, y1): line + circle + _letter(x1, y1 + 6, "small", first)}


def _letter(x: float, y: float, css: str, content: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" class="{css}">{content}</text>'


def _middle(points: Sequence[Point]) -> tuple[Point, float]:
    """The place in a convex polygon that is farthest from its edges, to a 32nd of its size, and how far that is."""
    xs, ys = zip(*points, strict=True)
    sides = [(a, b) for a, b in zip(points, (*points[1:], points[0]), strict=True) if math.dist(a, b) > 1e-6]
    around = math.copysign(1.0, sum(a[0] * b[1] - b[0] * a[1] for a, b in sides))
    edges = [
        (*a, around * (b[0] - a[0]) / math.dist(a, b), around * (b[1] - a[1]) / math.dist(a, b))
        for a, b in sides
    ]
    best, room = (xs[0], ys[0]), 0.0
    for i in range(1, 32):
        for j in range(1, 32):
            x, y = (min(v) + k / 32 * (max(v) - min(v)) for v, k in ((xs, i), (ys, j)))
            near = min(dx * (y - y0) - dy * (x - x0) for x0, y0, dx, dy in edges)
            if near > room:
                best, room = (x, y), near
    return best, room


def _rows(
    candidates: Mapping[str, Measures], references: Measures, weights: Weights | None,
    firsts: Mapping[str, Sequence[Corner]], fills: Mapping[str, str],
) -> list[str]:  # fmt: skip
    """A row for each candidate: letter, name, how much of all weights it comes first for, its figure at the dot."""
    at = BASE + 96
    rows = [f'<text x="470" y="{at}" text-anchor="end" class="tick">first for</text>']
    if weights is not None:
        rows.append(f'<text x="620" y="{at}" text-anchor="end" class="tick">at the dot</text>')
    for i, (name, measures) in enumerate(candidates.items()):
        y = at + ROW * (i + 1)
        percent = 100 * share(firsts.get(name, ()))
        part = "-" if name not in firsts else f"{percent:.0f} %" if percent >= 0.5 else "&lt; 1 %"
        shown = name if len(name) <= 32 else f"{name[:31]}…"
        if name in firsts:
            rows.append(
                f'<rect x="20" y="{y - 20}" width="26" height="26" fill="{fills[name]}" class="edge"/>'
            )
        rows += [
            f'<text x="33" y="{y}" text-anchor="middle" class="name">{LETTERS[i]}</text>',
            f'<text x="58" y="{y}">{html.escape(shown)}</text>',
            f'<text x="470" y="{y}" text-anchor="end">{part}</text>',
        ]
        if weights is not None:
            figure = efficiency(measures, references, weights)
            rows.append(f'<text x="620" y="{y}" text-anchor="end">{figure:.3f}</text>')
    return rows


def _page(body: str, height: float) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" {size} role="img">
<title>Which candidate comes first, and which second, by Hybrid_Efficiency for all weights</title>
<style>
text {{ font: 20px system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: #334155 }}
.name {{ font-weight: 600; fill: #0f172a }} .tick, .then {{ font-size: 18px; font-weight: 400; fill: #475569 }}
.first {{ font-size: 26px; font-weight: 700; fill: #0f172a }}
.small {{ font-size: 18px; font-weight: 700; fill: #0f172a }}
.edge {{ stroke: #0f172a; stroke-width: 2; stroke-linejoin: round }}
.second {{ fill: none; stroke: #334155; stroke-width: 1.4; stroke-dasharray: 2 4 }}
.grid {{ stroke: #0f172a; stroke-opacity: 0.13; fill: none }} .lead {{ stroke: #0f172a }}
.dot {{ fill: #0f172a; stroke: #fff; stroke-width: 2 }}
</style>
<rect {size} fill="#fff"/>
{body}
</svg>
"""
