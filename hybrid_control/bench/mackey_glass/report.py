"""Table and picture of what `train` and `peers` found: error over energy, each with its 95 % interval.

`python -m hybrid_control.bench.mackey_glass.report OUT PICTURE.svg` prints the table. Energy is of a forecast's
effective operations: 4.6 pJ a multiply-accumulate, 0.9 pJ an accumulate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.bench.arguments import parser_of, run
from hybrid_control.bench.mackey_glass.series import interval
from hybrid_control.snn.energy import HOROWITZ_45NM

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 680, 360, 48, 150, 20, 48
COLOURS = ("#0b6e99", "#c2571a", "#5b6770")
STEP = 5  # % between two lines of the vertical axis


@dataclass(frozen=True)
class Point:
    """Error in % with half its 95 % interval, and means of a forecast: nJ, operations, share of silent, bytes."""

    group: str
    name: str
    error: float
    half: float
    macs: float
    acs: float
    sparsity: float
    footprint: float

    @property
    def energy(self) -> float:
        """Of effective operations, in nJ."""
        constants = HOROWITZ_45NM
        return 1e-3 * (self.macs * constants.mac_pj + self.acs * constants.synaptic_event_pj)

    def line(self) -> str:
        """Of a table in Markdown."""
        return (
            f"| {self.group}, {self.name} | {self.error:.1f} ± {self.half:.1f} | {self.macs:,.0f} | {self.acs:,.0f} "
            f"| {self.energy:.2f} | {100 * self.sparsity:.0f} % | {self.footprint / 1000:,.0f} kB |"
        )


def _point(group: str, name: str, errors: Sequence[float], metrics: Sequence[dict[str, Any]]) -> Point:
    operations = [row["SynapticOperations"] for row in metrics if "SynapticOperations" in row]
    means = [
        float(np.mean(values))
        for values in (
            [row["Effective_MACs"] for row in operations],
            [row["Effective_ACs"] for row in operations],
            [row["ActivationSparsity"] for row in metrics],
            [row["Footprint"] for row in metrics],
        )
    ]
    return Point(group, name, *interval(errors), *means)


def load(out: Path) -> tuple[float, list[Point]]:
    """The error of a constant, and a point of each network."""
    spiking = json.loads((out / "spiking.json").read_text(encoding="utf-8"))
    points = []
    for row in spiking["spiking"]:
        plural = "s" if row["dendrites"] > 1 else ""
        group = f"{row['dendrites']} dendrite{plural}"
        points.append(_point(group, f"{row['neurons']:,}", row["errors"], row["metrics"]))
    for name, rows in json.loads((out / "peers.json").read_text(encoding="utf-8")).items():
        points.append(_point("NeuroBench", name, [row["SMAPE"] for row in rows], rows))
    return float(np.mean(spiking["constant"])), points


def picture(constant: float, points: Sequence[Point]) -> str:
    """Error over energy as SVG; the sizes of one kind of network are joined by a line."""
    low = math.floor(math.log10(min(p.energy for p in points)))
    high = math.ceil(math.log10(max(p.energy for p in points)))
    top = STEP * math.ceil(max(constant, *(p.error + p.half for p in points)) / STEP)
    end, floor = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(energy: float) -> float:
        return LEFT + (end - LEFT) * (math.log10(energy) - low) / (high - low)

    def y(error: float) -> float:
        return TOP + (floor - TOP) * (1 - error / top)

    def text(at: float, height: float, words: str, more: str = "") -> str:
        return f'<text x="{at:.1f}" y="{height:.1f}"{more}>{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for power in range(low, high + 1):
        parts.append(text(x(10.0**power), floor + 18, f"{10.0**power:g}", ' text-anchor="middle"'))
    for error in range(0, top + 1, STEP):
        parts.append(f'<line x1="{LEFT}" y1="{y(error):.1f}" x2="{end}" y2="{y(error):.1f}" stroke="#ddd"/>')
        parts.append(text(LEFT - 8, y(error) + 4, str(error), ' text-anchor="end"'))
    middle = ' text-anchor="middle"'
    parts.append(text((LEFT + end) / 2, HEIGHT - 8, "energy of a forecast, nJ", middle))
    turned = f' transform="translate(14 {(TOP + floor) / 2}) rotate(-90)"'
    parts.append(f"<text{turned}{middle}>sMAPE, %</text>")
    parts.append(
        f'<line x1="{LEFT}" y1="{y(constant):.1f}" x2="{end}" y2="{y(constant):.1f}" stroke="#333" '
        'stroke-dasharray="5 4"/>'
    )
    parts.append(text(end + 8, y(constant) + 4, "constant mean"))
    groups = list(dict.fromkeys(p.group for p in points))
    for group, colour in zip(groups, COLOURS, strict=False):
        mine = [p for p in points if p.group == group]
        if group != "NeuroBench":
            places = " ".join(f"{x(p.energy):.1f},{y(p.error):.1f}" for p in mine)
            parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for p in mine:
            ends = " ".join(f'y{i + 1}="{y(p.error + s * p.half):.1f}"' for i, s in enumerate((1, -1)))
            at = x(p.energy)
            parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" {ends} stroke="{colour}" stroke-width="1.5"/>')
            parts.append(f'<circle cx="{at:.1f}" cy="{y(p.error):.1f}" r="4" fill="{colour}"/>')
            if group == "NeuroBench":
                parts.append(text(at, y(p.error + p.half) - 6, p.name, f' fill="{colour}"{middle}'))
    for i, group in enumerate(g for g in groups if g != "NeuroBench"):
        parts.append(text(end + 8, TOP + 150 + 18 * i, f"spiking, {group}", f' fill="{COLOURS[i]}"'))
    return "\n".join([*parts, "</svg>"]) + "\n"


def main(out: Path, svg: Path) -> None:
    """Print the table, write the picture."""
    constant, points = load(out)
    print(
        "| | sMAPE, % | effective MACs | effective ACs | nJ | silent | footprint |\n|---|---|---|---|---|---|---|"
    )
    print(f"| constant mean | {constant:.1f} | | | | | |")
    print("\n".join(point.line() for point in points))
    svg.write_text(picture(constant, points), encoding="utf-8")


if __name__ == "__main__":
    parser = parser_of("mackey_glass.report", __doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder that `train` and `peers` filled")
    parser.add_argument("svg", type=Path, metavar="PICTURE.svg", help="is written")
    run(parser, lambda given: main(given.out, given.svg))
