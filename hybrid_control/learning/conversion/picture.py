"""Error over ticks as an SVG picture: both axes as powers, so that an error that falls as 1/T is a straight line."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping

from hybrid_control.learning.conversion.compare import Comparison

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 680, 360, 64, 190, 20, 48
NOTES = (("— mean of all ticks", "#333"), ("- - of their second half", "#333"))
COLOURS = ("#0b6e99", "#c2571a", "#4c8c2b", "#8a3f8f", "#946b00", "#5b6770")


def picture(comparisons: Mapping[str, Comparison]) -> str:
    """Two lines of a colour by name, over the ticks: of the mean of all, and, dashed, of their second half."""
    lines = []  # name, dashes, points
    for name, c in comparisons.items():
        for dashes, errors in (("", c.error), (' stroke-dasharray="5 4"', c.late_error)):
            lines.append((name, dashes, [(m, e) for m, e in zip(c.marks, errors, strict=True) if e > 0]))
    every = [point for _, _, points in lines for point in points] or [(1, 1.0)]
    first, last = min(m for m, _ in every), max(m for m, _ in every)
    low = math.floor(math.log10(min(e for _, e in every)))
    high = max(low + 1, math.ceil(math.log10(max(e for _, e in every))))

    def x(mark: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log2(mark / first) / max(math.log2(last / first), 1e-9)

    def y(error: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log10(error)) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for mark in sorted({m for m, _ in every}):
        parts.append(f'<text x="{x(mark):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{mark}</text>')
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">ticks</text>')
    parts.append(
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        "error, of the ANN's spread</text>"
    )
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(comparisons)}
    for name, dashes, points in lines:
        places = " ".join(f"{x(m):.1f},{y(e):.1f}" for m, e in points)
        parts.append(
            f'<polyline points="{places}" fill="none" stroke="{colours[name]}" stroke-width="2"{dashes}/>'
        )
    labels = [*((html.escape(name), colours[name]) for name in comparisons), *NOTES]
    for i, (label, colour) in enumerate(labels):
        parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{TOP + 16 + 18 * i}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
