"""Lines over logarithmic axes, as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]
COLOURS = ("#2563eb", "#dc2626", "#059669")
WIDTH, HEIGHT = 400.0, 340.0  # px, of a panel
LEFT, TOP, RIGHT, BOTTOM = 62.0, 40.0, 28.0, 52.0  # its margins
FONT = 'font-family="system-ui, Segoe UI, Roboto, Noto Sans, sans-serif" font-size="12" fill="#334155"'
GRID, AXIS = 'stroke="#e2e8f0"', 'fill="none" stroke="#64748b"'


@dataclass(frozen=True)
class Panel:
    """A diagram: lines by name, over one pair of axes."""

    title: str
    x: str
    lines: Mapping[str, Points]


@dataclass(frozen=True)
class _Axis:
    """Whole decades from the smallest to the largest value, over a stretch of pixels."""

    low: int
    high: int
    begin: float
    end: float

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    @property
    def decades(self) -> list[float]:
        return [10.0**k for k in range(self.low, self.high + 1)]


def _axis(values: Sequence[float], begin: float, end: float) -> _Axis:
    low = math.floor(math.log10(min(values)))
    return _Axis(low, max(math.ceil(math.log10(max(values))), low + 1), begin, end)


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 1.0 else f"{value:g}"


def _panel(panel: Panel) -> str:
    points = [point for line in panel.lines.values() for point in line]
    x = _axis([p[0] for p in points], LEFT, WIDTH - RIGHT)
    y = _axis([p[1] for p in points], HEIGHT - BOTTOM, TOP)
    drawn = [
        f'<text font-size="14" font-weight="600" x="{LEFT:.0f}" y="20">{html.escape(panel.title)}</text>'
    ]
    for value in x.decades:
        at = x.at(value)
        drawn.append(f'<line {GRID} x1="{at:.1f}" x2="{at:.1f}" y1="{y.begin:.1f}" y2="{y.end:.1f}"/>')
        drawn.append(f'<text x="{at:.1f}" y="{y.begin + 18:.1f}" text-anchor="middle">{_label(value)}</text>')
    for value in y.decades:
        at = y.at(value)
        drawn.append(f'<line {GRID} x1="{x.begin:.1f}" x2="{x.end:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
        drawn.append(f'<text x="{x.begin - 8:.1f}" y="{at + 4:.1f}" text-anchor="end">{_label(value)}</text>')
    drawn.append(f'<path {AXIS} d="M{x.begin:.1f} {y.end:.1f}V{y.begin:.1f}H{x.end:.1f}"/>')
    middle = (x.begin + x.end) / 2
    drawn.append(
        f'<text x="{middle:.1f}" y="{HEIGHT - 12:.1f}" text-anchor="middle">{html.escape(panel.x)}</text>'
    )
    drawn.append(
        f'<text transform="translate(14 {HEIGHT / 2:.1f}) rotate(-90)" text-anchor="middle">µs a tick</text>'
    )
    for k, (name, line) in enumerate(panel.lines.items()):
        colour, row = COLOURS[k % len(COLOURS)], TOP + 16 + 18 * k
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in line)
        drawn.append(f'<polyline fill="none" stroke-width="2" stroke="{colour}" points="{path}"/>')
        drawn += [f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="3" fill="{colour}"/>' for a, b in line]
        drawn.append(
            f'<line stroke-width="2" stroke="{colour}" x1="{LEFT + 10}" x2="{LEFT + 30}" y1="{row}" y2="{row}"/>'
        )
        drawn.append(f'<text x="{LEFT + 36}" y="{row + 4}">{html.escape(name)}</text>')
    return "".join(drawn)


def figure(panels: Sequence[Panel]) -> str:
    """The SVG text, panels side by side. Values must be above 0."""
    width = WIDTH * len(panels)
    size = f'width="{width:.0f}" height="{HEIGHT:.0f}"'
    groups = "".join(
        f'<g transform="translate({k * WIDTH:.0f} 0)">{_panel(p)}</g>' for k, p in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {HEIGHT:.0f}" {size} role="img">'
        f"<title>{html.escape('; '.join(p.title for p in panels))}</title>"
        f'<rect {size} fill="#fff"/><g {FONT}>{groups}</g></svg>\n'
    )
