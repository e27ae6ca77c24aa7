"""Error over the ticks of a window as an SVG: `python -m hybrid_control.bench.hand_over.picture FILE.json OUT.svg`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hybrid_control.bench.arguments import parser_of, run
from hybrid_control.files import read_json
from hybrid_control.report.charts import Chart

SHOWN = {
    "cold": ("cold SNN", "#8a3f8f"),
    "no_output": ("no hand-over of the output", "#946b00"),
    "warm": ("warm SNN", "#4c8c2b"),
    "ann_held": ("ANN, held", "#5b6770"),
    "constant_velocity": ("ANN, constant velocity", "#9aa4ab"),
    "velocity_of_the_ann": ("ANN, its own velocity", "#b3541e"),
    "no_initialisation": ("no initial states", "#2a9d5c"),
    "gru": ("ANN, then a GRU", "#b08ac0"),
    "hybrid": ("hybrid", "#0b6e99"),
    "ann_every_tick": ("ANN at every tick", "#222"),
}
"""What is drawn, in this order, by which name and in which colour."""
STYLE = (
    ".chart{font:12px sans-serif;background:#fff}.grid{stroke:#ddd}.tick{fill:#555}"
    "polyline{fill:none;stroke-width:2}"
)
ROOM = 1.15  # above the highest curve
FAR = 3.0  # times as high as the lowest curve, from which on one may leave the picture


def picture(errors: Mapping[str, Mapping[str, Sequence[float]]], per_tick: float, unit: str) -> str:
    """Errors by name, `by_tick`, over ms since the window began; what is far above the rest is left out."""
    shown = {name: np.asarray(errors[name]["by_tick"], np.float64) for name in SHOWN if name in errors}
    heights = sorted(float(curve.max()) for curve in shown.values())
    top = ROOM * max(height for height in heights if height <= FAR * heights[0])
    ticks = len(next(iter(shown.values())))
    chart = Chart(
        (0.0, ticks * per_tick),
        (0.0, top),
        width=680,
        height=360,
        label="error over a window",
        sides=(48, 190),
    )
    chart.bottom = 44  # room for what the axis is of
    colours = ""
    for k, (name, curve) in enumerate(shown.items()):
        chart.line(
            np.linspace(per_tick, ticks * per_tick, ticks),
            np.where(curve > top, np.nan, curve).astype(np.float64),
            f"c{k}",
        )
        colours += f".c{k}{{stroke:{SHOWN[name][1]}}}"
    axes = (
        '<text x="269" y="358" text-anchor="middle">ms since the ANN spoke</text>'
        f'<text x="4" y="10">{unit}</text>'
    )
    names = [
        (24 + 18 * k, SHOWN[name][0] + " (above)" * bool(shown[name].min() > top), SHOWN[name][1])
        for k, name in enumerate(shown)
    ]
    words = axes + "".join(
        f'<text x="502" y="{y}" fill="{colour}">{text}</text>' for y, text, colour in names
    )
    begin, inner = chart.svg(x_unit="").removesuffix("</svg>").split(">", 1)
    begin = begin.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    ground = '<rect width="680" height="360" fill="#fff"/>'
    return f"{begin}><style>{STYLE}{colours}</style>{ground}{inner}{words}</svg>\n"


def main(numbers: Path, svg: Path) -> None:
    """Draw what `measure` wrote."""
    found = read_json(numbers)
    per_tick = float(found["window"].split("x")[1])
    svg.write_text(picture(found["errors"], per_tick, found["unit"]), encoding="utf-8")


if __name__ == "__main__":
    parser = parser_of("hand_over.picture", __doc__)
    parser.add_argument("numbers", type=Path, metavar="FILE.json", help="what `measure --json` wrote")
    parser.add_argument("svg", type=Path, metavar="OUT.svg", help="is written")
    run(parser, lambda given: main(given.numbers, given.svg))
