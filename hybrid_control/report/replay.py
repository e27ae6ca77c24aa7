"""The replay of a run: map, camera and ring at one moment, for the page's script to move through time."""

from __future__ import annotations

import html
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.reflex.modes import name_of
from hybrid_control.report.camera import Camera, Overlay, overlay, planned_heading
from hybrid_control.report.charts import element, jpeg_uri
from hybrid_control.report.closed import Closed, IntArray, Marks, stays
from hybrid_control.report.run import FloatArray, Frame, Raster, Run, frames
from hybrid_control.report.worldmap import WorldMap, speed_key

_FRAMES = 150  # enough for a smooth replay of a short run, few enough for a small file
_FILM = 10  # pictures in the film strip
_WINDOW = 0.1  # s over which the ring's spikes are counted
_STALE = 0.5  # s after which the planner's rates are no longer shown


@dataclass(frozen=True)
class Moment:
    """What is shown at one time: the camera's picture as a data URI, its size, and everything around it.

    marks, cells: what the planner said is closed, and the hidden cells that are remembered; None of a planner that says
    nothing of the kind.
    """

    t: float
    image: str
    size: tuple[int, int]
    drawn: Overlay
    heading: float
    rates: FloatArray
    ring: NDArray[np.int64]
    caption: str
    marks: Marks | None = None
    cells: IntArray | None = None


def moments(run: Run, closed: Closed | None = None) -> list[Moment]:
    """The run at regular times, at those of the camera's pictures where there are any."""
    count = int(min(_FRAMES, max(2, run.duration * 5)))
    times = np.linspace(0.05, max(0.1, run.duration - 0.02), count)
    pictures: list[Frame | None] = list(frames(run, times))
    if not pictures:
        pictures = [None] * count
    else:
        times = np.array([f.t for f in pictures if f is not None])
    camera, ring = Camera.of(run), next((r for r in run.rasters if r.name == "ring"), None)
    shown = [_moment(run, camera, ring, picture, float(t)) for picture, t in zip(pictures, times, strict=True)]
    return shown if closed is None else [_with_closed(m, closed, camera) for m in shown]


def _with_closed(m: Moment, closed: Closed, camera: Camera) -> Moment:
    return replace(m, marks=closed.marks(camera.mount(*m.size), m.t, *m.size), cells=closed.cells(m.t))


def _moment(run: Run, camera: Camera, ring: Raster | None, picture: Frame | None, t: float) -> Moment:
    rates, heading = _plan_at(run, t)
    height, width = picture.pixels.shape[:2] if picture is not None else (120, 160)
    return Moment(
        t=t,
        image=jpeg_uri(picture.pixels) if picture is not None else "",
        size=(width, height),
        drawn=overlay(camera, heading, rates, width, height),
        heading=heading,
        rates=rates,
        ring=_counts(ring, t),
        caption=_caption(run, t, heading),
    )


def _plan_at(run: Run, t: float) -> tuple[FloatArray, float]:
    """The planner's newest heading rates and their direction; none where they are stale."""
    if not len(run.rates) or not run.heading_rates.size:
        return np.zeros(0), math.nan
    i = run.rates.at(t)
    if abs(t - run.rates.t[i]) > _STALE:
        return np.zeros(0), math.nan
    return run.heading_rates[i], planned_heading(run.heading_rates[i])


def _counts(ring: Raster | None, t: float) -> NDArray[np.int64]:
    if ring is None:
        return np.zeros(0, dtype=np.int64)
    a, b = np.searchsorted(ring.t, [t - _WINDOW, t])
    return np.bincount(ring.neuron[a:b].clip(0, ring.size - 1), minlength=ring.size)


def _degrees(angle: float) -> str:
    if not math.isfinite(angle):
        return "silent"
    turn = round(math.degrees(angle))
    return "ahead" if turn == 0 else f"{abs(turn)}° {'left' if turn > 0 else 'right'}"


def _caption(run: Run, t: float, heading: float) -> str:
    if not len(run.status):
        return f"planner {_degrees(heading)}"
    i = run.status.at(t)
    name = name_of(int(run.status["mode"][i]))
    return f"planner {_degrees(heading)} · ring {_degrees(float(run.status['heading'][i]))} · {name}"


def data(run: Run, world: WorldMap, shown: list[Moment]) -> dict[str, Any]:
    """What the page's script needs, ready for JSON."""
    s = run.state
    step = max(1, len(s) // 1200)
    frames_data = [
        {
            "t": round(m.t, 3),
            "image": m.image,
            "ribbon": m.drawn.ribbon,
            "beyond": m.drawn.beyond,
            "strip": m.drawn.strip,
            "caption": m.caption,
            "ring": m.ring.tolist(),
            "rates": [round(float(r), 1) for r in m.rates],
            "lidar": world.lidar(m.t),
            **({} if m.marks is None else asdict(m.marks) | {"cells": world.carried(m.t)}),
        }
        for m in shown
    ]
    remembered = [m.cells for m in shown if m.cells is not None]
    return {
        "duration": round(run.duration, 3),
        "poster": round(run.duration * 0.45, 2),
        "dot": 1.6,
        "ringSize": max((m.ring.size for m in shown), default=0),
        "ringMax": max((int(m.ring.max(initial=1)) for m in shown), default=1),
        "ratesMax": float(run.heading_rates.max(initial=1.0)),
        "frames": frames_data,
        **({"cells": stays(remembered)} if remembered else {}),
        "path": {
            "t": s.t[::step].round(3).tolist(),
            "x": world.x(s["x"][::step]).round(1).tolist(),
            "y": world.y(s["y"][::step]).round(1).tolist(),
            "yaw": s["yaw"][::step].round(3).tolist(),
        },
    }


_RING = """<svg id="ring" viewBox="-132 -118 264 236" role="img" aria-label="ring activity">
<circle class="axis" r="40"/><circle class="axis" r="100"/>
<polygon id="rates" class="rates" points=""/><g id="bars"></g>
<text x="0" y="-106" text-anchor="middle">ahead</text><text x="-106" y="4" text-anchor="end">left</text>
<text x="106" y="4">right</text><text x="0" y="116" text-anchor="middle">behind</text></svg>"""


def player(duration: float) -> str:
    """What the page's script moves time with, and zooms the charts over time."""
    zooms = (("0.5", "−", "zoom out"), ("2", "+", "zoom in at the cursor"), ("0", "All", "the whole time"))
    buttons = "".join(
        f'<button type="button" class="zoom" data-zoom="{factor}" aria-label="{what}" title="{what}">{sign}</button>'
        for factor, sign, what in zooms
    )
    return (
        '<div class="player"><button id="play" type="button">Play</button>'
        f'<input id="time" type="range" min="0" max="{duration:.9g}" step="any" value="0" aria-label="time">'
        f'<output id="clock"></output>{buttons}</div>'
    )


def section(run: Run, world: WorldMap, shown: list[Moment]) -> str:
    """Map, player, camera and ring."""
    width, height = shown[0].size if shown else (160, 120)
    place = f'width="{width}" height="{height}"'
    closes = any(m.marks is not None for m in shown)
    laid = element("path", id="cells", class_="cells", d="") if closes else ""
    on_map = '<span class="key" style="--c:var(--hidden)">hidden, as remembered</span>' if closes else ""
    over = _marks(Marks(), width, named=True) if closes else ""
    return f"""<section><h2>The way through</h2>
<p class="about">The true path over the map. Boxes: the robot, once a second.
Red: what the lidar sees at the moment shown.</p>
<div class="caption"><span>speed {speed_key(run)}</span><span>dashed: straight line</span>
<span>dotted: wheel odometry</span>{on_map}</div>
{world.svg(laid)}
{player(run.duration)}
<div class="replay"><div><svg class="camera" viewBox="0 0 {width} {height}">
<image id="image" href="data:," {place} preserveAspectRatio="none"/>{over}<path id="strip" class="strip" d=""/>
<polygon id="ribbon" class="ribbon" points=""/><polygon id="beyond" class="beyond" points=""/></svg>
<p class="caption"><span id="caption"></span></p>{_CLOSED_KEY if closes else ""}</div>
<div>{_RING}<p class="caption"><span class="key" style="--c:var(--planner)">planner's heading rates</span>
<span class="key" style="--c:var(--ring)">spikes of the reflex's ring, last {_WINDOW * 1e3:.0f} ms</span>
</p></div></div>
</section>"""


_CLOSED_KEY = """<p class="caption"><span>closed, the taller the surer:</span>
<span class="key" style="--c:var(--standing)">a scan shows it as well</span>
<span class="key" style="--c:var(--hidden)">no scan shows it</span><span>dots: hidden, as remembered</span></p>"""


def _marks(marks: Marks, width: int, named: bool = False) -> str:
    """Over a picture so many pixels wide; named: for the page's script to change."""
    parts = []
    for name, way in asdict(marks).items():
        known = {"id": name} if named else {}
        thick = width / (100 if name == "remembered" else 250)
        parts.append(element("path", class_=f"over {name}", d=way, stroke_width=thick, **known))
    return "".join(parts)


def film(shown: list[Moment]) -> str:
    """The camera's pictures side by side, the planner's heading drawn in."""
    pictured = [m for m in shown if m.image]
    if not pictured:
        return ""
    figures = []
    for i in np.unique(np.linspace(0, len(pictured) - 1, _FILM).round().astype(int)):
        m = pictured[i]
        width, height = m.size
        picture = element(
            "svg",
            element("image", href=m.image, width=width, height=height),
            "" if m.marks is None else _marks(m.marks, width),
            element("path", class_="strip", d=m.drawn.strip),
            element("polygon", class_="ribbon", points=m.drawn.ribbon),
            element("polygon", class_="beyond", points=m.drawn.beyond),
            class_="camera",
            viewBox=f"0 0 {width} {height}",
        )
        words = html.escape(f"{m.t:.1f} s · planner {_degrees(m.heading)}")
        figures.append(f"<figure>{picture}<figcaption>{words}</figcaption></figure>")
    closes = any(m.marks is not None for m in pictured)
    return f"""<section><h2>What the planner saw, and where it wanted to go</h2>
<p class="about">Green: the lane of the heading that the planner's population votes for, as wide as the robot.
Violet: rates of its heading neurons, by the direction each stands for.</p>{_CLOSED_KEY if closes else ""}
<div class="film">{"".join(figures)}</div></section>"""
