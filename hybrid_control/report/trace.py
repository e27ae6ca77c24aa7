"""The page of a co-simulation's trace: a lane per part, ages of the links, spikes, rates and values over time."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.clock import text
from hybrid_control.cosim.tracefile import Recorded, RecordedRuns, Trace
from hybrid_control.report.charts import Chart, raster_png, thin
from hybrid_control.report.page import card, esc, filled, folded, prefixed
from hybrid_control.report.replay import player
from hybrid_control.report.run import FloatArray, Raster

_SIDES = (96, 24)  # pixels left and right, so that all charts stand exactly below each other
_LANE = 26  # pixels of a part
_MOST_MARKS = 20_000  # runs of a part that are drawn one by one
_MOST_SPIKES = 60_000  # spikes of a port that are drawn one by one; more are a picture
_TALLEST = 240  # pixels of a raster
_MOST_LINES = 32  # of a port
_POINTS = 8_000  # of all lines of a port
_READ, _READ_ALL = 40_000, 250_000  # numbers of a port, and of all, that the page shows at the cursor
_SHOWN = 12  # numbers of a row that are shown at the cursor
_COLOURS = ("accent", "left", "planner", "ring", "right", "good", "bad", "soft")


@dataclass
class _Page:
    """What is drawn so far: the trace, how long it is in s, and what the script shows at the cursor."""

    trace: Trace
    duration: float
    readouts: list[dict[str, Any]] = field(default_factory=list)
    numbers: int = 0

    def chart(self, y: tuple[float, float], height: int, label: str) -> Chart:
        return Chart((0.0, self.duration), y, height=height, label=label, time=True, sides=_SIDES)

    def runs(self, name: str, runs: RecordedRuns) -> str:
        """Where the number of the run at the cursor goes."""
        return self._place({"name": "run", **_regular(runs.begin)})

    def rows(self, times: NDArray[np.int64], rows: NDArray[np.float64]) -> str:
        """Where a row at the cursor goes; nowhere where there are too many for a page."""
        shown = rows[:, :_SHOWN]
        if not len(times) or shown.size > _READ or self.numbers + shown.size > _READ_ALL:
            return ""
        self.numbers += shown.size
        numbers: list[list[Any]] = [
            [None if not np.isfinite(v) else float(f"{v:.4g}") for v in row] for row in shown.tolist()
        ]
        if rows.shape[1] > _SHOWN:
            numbers = [[*row, "…"] for row in numbers]
        return self._place({"rows": numbers, **_regular(times)})

    def _place(self, readout: dict[str, Any]) -> str:
        name = f"now{len(self.readouts)}"
        self.readouts.append({"id": name, **readout})
        return f'<output class="now" id="{name}"></output>'


def page(trace: Trace) -> str:
    """The whole page as HTML text, with nothing to load from elsewhere."""
    made = _Page(trace, max(trace.end_ns, 1) * 1e-9)
    parts = [
        _header(made),
        _cards(made),
        f'<section class="stays">{player(made.duration)}</section>',
        _lanes(made),
        _ages(made),
        _spikes(made),
        _values(made),
        _tables(made),
        "<footer>Made by <code>hybrid-control cosim trace</code> from "
        f"{esc(Path(trace.path).name)}, which opens in Foxglove.</footer>",
    ]
    digits = max(1, min(9, int(np.ceil(-np.log10(made.duration))) + 4))
    data = {
        "duration": made.duration,
        "digits": digits,
        "speed": min(1.0, made.duration / 10.0),
        "poster": made.duration / 2,
        "readouts": made.readouts,
    }
    return filled(f"{Path(trace.path).name}: trace", [part for part in parts if part], data)


def _seconds(times: NDArray[np.int64]) -> FloatArray:
    return np.asarray(times * 1e-9, np.float64)


def _regular(times: NDArray[np.int64]) -> dict[str, Any]:
    """Times for the script: first, step and count where they are regular."""
    steps = np.diff(times)
    if len(times) > 1 and (steps == steps[0]).all() and steps[0] > 0:
        return {"first": times[0] * 1e-9, "step": int(steps[0]) * 1e-9, "count": len(times)}
    return {"t": _seconds(times).tolist()}


def _header(made: _Page) -> str:
    trace = made.trace
    if trace.error:
        badge = '<span class="badge bad">ended by an error</span>'
    elif not trace.complete:
        badge = '<span class="badge bad">cut short</span>'
    else:
        badge = '<span class="badge good">ran to its end</span>'
    words = [f"{name} {trace.words[name]}" for name in ("seed", "version") if name in trace.words]
    notices = [f"<b>{text(at)}</b> {esc(line)}" for at, line in trace.log if line != trace.error]
    if trace.error:
        notices.append(f"<b>{esc(trace.error)}</b>")
    if not trace.complete:
        notices.append("<b>The file ends before its end mark.</b> What follows is what ran until then.")
    below = "".join(f'<div class="notice">{notice}</div>' for notice in notices)
    name = esc(Path(trace.path).name)
    return f'<header><h1>{name}</h1>{badge}<div class="sub">{esc(" · ".join(words))}</div></header>{below}'


def _cards(made: _Page) -> str:
    trace = made.trace
    wall = sum(float(runs.wall.sum()) for runs in trace.runs.values())
    runs, runs_unit = prefixed(sum(len(r.begin) for r in trace.runs.values()))
    spikes = sum(float(p.count.sum()) for p in trace.ports.values() if p.count is not None)
    count, unit = prefixed(spikes)
    slow = max(trace.runs.items(), key=lambda item: float(item[1].wall.sum()), default=None)
    note = f"most in {esc(slow[0])}" if slow is not None else ""
    cards = [
        card("recorded", *_unit(made.duration)),
        card("in the parts", *_unit(wall), note),
        card("parts", str(len(trace.runs)), "", f"{len(trace.links)} links"),
        card("runs", runs, runs_unit),
        card("spikes recorded", count, unit),
        card("lost, waited", _losses(trace)),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _unit(seconds: float) -> tuple[str, str]:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g}", unit
    return f"{seconds * 1e6:.3g}", "µs"


def _losses(trace: Trace) -> str:
    return f"{sum(r.lost.sum() for r in trace.runs.values())}, {sum(r.waited.sum() for r in trace.runs.values())}"


def _order(trace: Trace) -> list[str]:
    """The parts that ran, what gives before what takes."""
    names = [part["name"] for part in trace.parts if part["name"] in trace.runs]
    return names + sorted(set(trace.runs) - set(names))


def _short(name: str) -> str:
    """A name that fits beside a lane; those of a row of parts differ at their ends."""
    return name if len(name) <= 13 else f"{name[:6]}…{name[-6:]}"


def _lanes(made: _Page) -> str:
    """A lane for each part."""
    names = _order(made.trace)
    if not names:
        return ""
    chart = made.chart((0.0, float(len(names))), len(names) * _LANE + Chart.top + Chart.bottom, "runs")
    for i, name in enumerate(names):
        floor = float(len(names) - 1 - i)
        if i % 2 == 0:
            chart.band(floor, floor + 1, "bandground")
        _lane(chart, made.trace.runs[name], floor)
        chart.row_label(floor + 0.5, _short(name))
    return (
        '<section><h2>Runs</h2><p class="about">Each part\'s runs, from when they begin until what they give '
        "arrives. Red: lost; orange: did not take place, for an input was too old. "
        "Drag to move the cursor; + and −, ctrl and the wheel, or two fingers zoom.</p>"
        f"{chart.svg(y_ticks=[])}</section>"
    )


def _lane(chart: Chart, runs: RecordedRuns, floor: float) -> None:
    begin, end = _seconds(runs.begin), _seconds(runs.end)
    odd = runs.waited | runs.lost

    def marks(which: NDArray[np.bool_], css: str) -> None:
        t = begin[which][:_MOST_MARKS]
        chart.marks(t, np.full(len(t), floor + 0.15), np.full(len(t), floor + 0.85), css)

    if len(begin) > _MOST_MARKS:  # one bar: at no zoom that a page has could one tell them apart
        chart.bars_over_time(begin[:1], begin[-1:], (floor + 0.25, floor + 0.75), "solid")
    else:
        long = (end > begin) & ~odd
        chart.bars_over_time(begin[long], end[long], (floor + 0.3, floor + 0.7), "run")
        marks(~odd, "tickrun")
    marks(runs.waited, "waited")
    marks(runs.lost, "lost")


def _ages(made: _Page) -> str:
    """The age of what each part sees; links whose age never changes are in the table alone."""
    drawn = []
    for part in _order(made.trace):
        runs = made.trace.runs[part]
        for i, link in enumerate(runs.links):
            known = runs.ages[:, i] >= 0
            ages = np.where(known, runs.ages[:, i] * 1e-6, np.nan).astype(np.float64)
            if len(np.unique(ages[known])) < 2:
                continue
            chart = made.chart((0.0, float(np.nanmax(ages)) * 1.1), 74, link)
            _hold(chart, _seconds(runs.begin), ages, "age", _POINTS)
            now = made.rows(runs.begin, ages[:, None])
            drawn.append((f"{link}, ms", now, chart))
    if not drawn:
        return ""

    charts = [_captioned(link, now, chart.svg(x_axis=chart is drawn[-1][-1])) for link, now, chart in drawn]
    return (
        '<section><h2>Ages of the links</h2><p class="about">How old the newest that had arrived was at each run of '
        f"what takes it. Links whose age never changes are in the table below.</p>{''.join(charts)}</section>"
    )


def _captioned(title: str, keys: str, drawing: str) -> str:
    return f'<div class="caption"><b>{esc(title)}</b>{keys}</div>{drawing}'


def _hold(chart: Chart, t: FloatArray, y: FloatArray, css: str, points: int) -> None:
    """A line that holds each value until the next, and the last for as long as the one before it held."""
    last = float(t[-1] + (t[-1] - t[-2])) if len(t) > 1 else chart.x[1]
    t, y = thin(t, y, max(20, points // 4))
    if len(t):
        chart.line(np.append(np.repeat(t, 2)[1:], min(last, chart.x[1])), np.repeat(y, 2), css)


def _spikes(made: _Page) -> str:
    drawn = []
    spiking = [(name, port) for name, port in made.trace.ports.items() if port.kind == "spikes"]
    for i, (name, port) in enumerate(spiking):
        colour = _COLOURS[(3 + i) % len(_COLOURS)]
        height = max(30, min(7 * port.size, _TALLEST)) + Chart.top + Chart.bottom
        chart = made.chart((0.0, float(port.size)), height, name)
        _raster(chart, name, port, made.duration)
        title = f"{name}, {port.size} neurons, {0 if port.count is None else port.count.sum():.0f} spikes"
        drawing = chart.svg(x_axis=i == len(spiking) - 1, y_ticks=[0.0, float(port.size)])
        drawn.append(f'<div style="--c:var(--{colour})">{_captioned(title, "", drawing)}</div>')
    if not drawn:
        return ""
    about = "Every spike that was recorded, a row for each neuron, neuron 0 at the bottom."
    return f'<section><h2>Spikes</h2><p class="about">{about}</p>{"".join(drawn)}</section>'


def _raster(chart: Chart, name: str, port: Recorded, duration: float) -> None:
    assert port.neuron is not None
    t = _seconds(port.times)
    if len(t) <= _MOST_SPIKES:
        neuron, tall = port.neuron.astype(np.float64), max(0.8, 1.5 * port.size / _TALLEST)
        chart.marks(t, neuron + 0.1, neuron + 0.1 + tall, "spike")
        return
    raster = Raster(name, port.size, t, port.neuron)
    uri, _, _ = raster_png([(raster, max(1, 100 // port.size), (20, 160, 145))], duration)
    chart.image(uri)


def _values(made: _Page) -> str:
    drawn = []
    held = [
        (name, port) for name, port in made.trace.ports.items() if port.rows is not None and len(port.rows)
    ]
    for i, (name, port) in enumerate(held):
        assert port.rows is not None
        rows = port.rows
        finite = rows[np.isfinite(rows)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        pad = 0.06 * (high - low) or 0.5
        chart = made.chart((low - pad, high + pad), 150, name)
        shown = _varying(rows)
        css = " many" if len(shown) > len(_COLOURS) else ""
        for k, number in enumerate(shown):
            points = _POINTS // len(shown)
            _hold(
                chart,
                _seconds(port.times),
                rows[:, number],
                f"l{k % len(_COLOURS)}{css}",
                points,
            )
        keys = "".join(
            f'<span class="key" style="--c:var(--{colour})">{number}</span>'
            for number, colour in zip(shown if not css else (), _COLOURS, strict=False)
        )
        unit = ", Hz" if port.kind == "rates" else ""
        some = f", the {len(shown)} that vary most of {port.size}" if len(shown) < port.size else ""
        some = some or (f", {port.size} numbers" if css else "")
        drawn.append(
            _captioned(
                f"{name}{unit}{some}",
                keys + made.rows(port.times, rows),
                chart.svg(x_axis=i == len(held) - 1),
            )
        )
    if not drawn:
        return ""
    about = "What was recorded, from when each run begins; it holds until the next."
    return f'<section><h2>Rates, values and states</h2><p class="about">{about}</p>{"".join(drawn)}</section>'


def _varying(rows: NDArray[np.float64]) -> list[int]:
    """Which numbers are drawn: all, or those that vary most."""
    if rows.shape[1] <= _MOST_LINES:
        return list(range(rows.shape[1]))
    known = np.where(np.isfinite(rows), rows, 0.0)
    spread = known.max(axis=0) - known.min(axis=0)
    return sorted(np.argsort(-spread, kind="stable")[:_MOST_LINES].tolist())


def _tables(made: _Page) -> str:
    trace = made.trace
    known = {part["name"]: part for part in trace.parts}
    rows = []
    for name in _order(trace):
        runs, part = trace.runs[name], known.get(name, {})
        wall = runs.wall * 1e6
        mean, most = (_three(wall.mean()), _three(wall.max())) if wall.size else ("–", "–")
        cells = (len(runs.begin), int(runs.waited.sum()), int(runs.lost.sum()), mean, most)
        rows.append(
            f"<tr><td><b>{esc(name)}</b> {esc(part.get('class', ''))}</td><td>{_every(part)}</td>"
            f"{''.join(f'<td class=n>{esc(cell)}</td>' for cell in cells)}<td>{made.runs(name, runs)}</td></tr>"
        )
    names = ("part", "every", "runs", "waited", "lost", "mean µs", "most µs", "at the cursor")
    parts = f"<section><h2>Parts</h2>{_table(names, rows)}</section>"
    rows = []
    for link in trace.links:
        age = _age_range(trace, str(link["name"]), str(link.get("to", "")))
        options = [f"{key} {link[key]}" for key, plain in (("gain", 1.0), ("when_old", "hold"), ("initial", 0.0))
                   if link.get(key, plain) != plain]  # fmt: skip
        options += [f"max_age {_time(link['max_age_ns'])}"] if link.get("max_age_ns") is not None else []
        rows.append(
            f"<tr><td>{esc(link['name'])}</td><td>{_time(link.get('delay_ns', 0))}</td>"
            f"<td>{esc(', '.join(options))}</td><td>{esc(age)}</td></tr>"
        )
    links = f"<section><h2>Links</h2>{_table(('link', 'delay', 'options', 'age'), rows)}</section>"
    words = trace.words.get("text", "")
    return (
        parts
        + (links if rows else "")
        + (folded("The hybrid file", f"<pre>{esc(words)}</pre>") if words else "")
    )


def _three(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _table(names: tuple[str, ...], rows: list[str]) -> str:
    numbers = ("runs", "waited", "lost", "mean µs", "most µs")
    head = "".join(f'<th class="n">{name}</th>' if name in numbers else f"<th>{name}</th>" for name in names)
    return f'<div class="wide tight"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _time(ns: Any) -> str:
    """A time of a description, which a damaged file may hold anything for."""
    return text(ns) if isinstance(ns, int) and ns >= 0 else esc(json.dumps(ns))


def _every(part: dict[str, Any]) -> str:
    latency = part.get("latency_ns", 0)
    return _time(part.get("period_ns", 0)) + (f" + {_time(latency)}" if latency else "")


def _age_range(trace: Trace, link: str, target: str) -> str:
    """The least and the largest age on a link."""
    runs = trace.runs.get(target.partition(".")[0])
    if runs is None or link not in runs.links:
        return ""
    ages = runs.ages[:, runs.links.index(link)]
    ages = ages[ages >= 0]
    if not ages.size:
        return "nothing arrived"
    ends = dict.fromkeys((text(int(ages.min())), text(int(ages.max()))))
    return " .. ".join(itertools.islice(ends, 2))
