"""Error over the ticks of a window as an SVG: `python -m hybrid_control.bench.hand_over.picture FILE.json OUT.svg`.

With `--robustness OUT.svg` also what becomes of it where the ANN is late or silent, or the events are fewer or more.
"""

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
PANELS = {
    "the ANN late, of a window": ("late, of a window",),
    "share of windows without the ANN": ("dropped",),
    "events, of all; grey: ANN at every tick": ("events", "events, the ANN at every tick"),
}
"""Curves of robustness, by what stands below them."""
WIDE = 240  # px, of each
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


def curves(found: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """The curves of `robustness` side by side, with one axis of error."""
    top = ROOM * max(max(curve.values()) for curve in found.values())
    panels = ""
    for k, (title, names) in enumerate(PANELS.items()):
        ends = [float(x) for x in found[names[0]]]
        chart = Chart((min(ends), max(ends)), (0.0, top), width=WIDE, height=220, label=title, sides=(36, 8))
        chart.bottom = 40
        for name, css in zip(names, ("hybrid", "ann"), strict=False):
            x, y = zip(*((float(at), error) for at, error in found[name].items()), strict=True)
            chart.line(np.array(x), np.array(y), css)
        inner = chart.svg(x_unit="").removesuffix("</svg>").split(">", 1)[1]
        words = f'<text x="{WIDE // 2}" y="214" text-anchor="middle">{title}</text>'
        panels += f'<g transform="translate({k * WIDE} 0)">{inner}{words}</g>'
    colours = f".hybrid{{stroke:{SHOWN['hybrid'][1]}}}.ann{{stroke:{SHOWN['ann_held'][1]}}}"
    width = WIDE * len(PANELS)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {width} 220" role="img" '
        f'aria-label="error where something is wrong"><style>{STYLE}{colours}</style>'
        f'<rect width="{width}" height="220" fill="#fff"/>{panels}<text x="4" y="10">{unit}</text></svg>\n'
    )


def main(numbers: Path, svg: Path, robustness: Path | None) -> None:
    """Draw what `measure` wrote."""
    found = read_json(numbers)
    per_tick = float(found["window"].split("x")[1])
    svg.write_text(picture(found["errors"], per_tick, found["unit"]), encoding="utf-8")
    if robustness is not None:
        if "robustness" not in found:
            raise ValueError(f"{numbers}: has no curves of robustness; `measure --robustness --json` writes them")
        robustness.write_text(curves(found["robustness"], found["unit"]), encoding="utf-8")


if __name__ == "__main__":
    parser = parser_of("hand_over.picture", __doc__)
    parser.add_argument("numbers", type=Path, metavar="FILE.json", help="what `measure --json` wrote")
    parser.add_argument("svg", type=Path, metavar="OUT.svg", help="is written")
    parser.add_argument("--robustness", type=Path, metavar="CURVES.svg", help="is written too")
    run(parser, lambda given: main(given.numbers, given.svg, given.robustness))
