"""What happened when: modes, speeds, distances, spikes and latencies as charts."""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np

from hybrid_control.navigation.reflex.modes import Mode, name_of
from hybrid_control.report import measures
from hybrid_control.report.charts import Chart, raster_png
from hybrid_control.report.run import FloatArray, Run

_LEFT = 84  # pixels, so that all charts over time stand exactly below each other
_MODE_COLOURS = ("#94a3b8", "#2f9e6e", "#e09f1f", "#d6404b", "#3b82f6", "#7f1d1d")
_NEURON_COLOURS = {
    "heading": (139, 92, 246),
    "speed": (139, 92, 246),
    "ring": (20, 160, 145),
    "left": (217, 130, 20),
    "right": (225, 60, 140),
    "forward": (60, 120, 240),
    "reverse": (150, 110, 70),
}
_OF_PLANNER = ("heading", "speed")
_ORDER = ("heading", "speed", "ring", "left", "right", "forward", "reverse")


def _key(colour: str, text: str) -> str:
    return f'<span class="key" style="--c:{colour}">{html.escape(text)}</span>'


def _over_time(run: Run, y: tuple[float, float], label: str, height: int = 150) -> Chart:
    return Chart((0, max(run.duration, 1e-3)), y, height=height, label=label, time=True, sides=(_LEFT, 14))


def _captioned(title: str, keys: str, drawing: str) -> str:
    return f'<div class="caption"><b>{html.escape(title)}</b>{keys}</div>{drawing}'


def _modes(run: Run, report: dict[str, Any]) -> str:
    chart = _over_time(run, (0, 1), "mode over time", 52)
    mode, t = run.status["mode"].astype(int), run.status.t
    starts = np.flatnonzero(np.diff(mode, prepend=-1)) if len(run.status) else np.zeros(0, int)
    ends = [*t[starts[1:]], run.duration]
    for i, end in zip(starts, ends, strict=False):
        name = name_of(mode[i])
        chart.span(
            float(t[i]), float(end), f"mode{mode[i]}", f"{name}, {t[i]:.2f} .. {end:.2f} s: {run.reasons[i]}"
        )
    for event in report["events"]:
        chart.moment(float(event.get("t", 0.0)), "mark")
    seconds = report["modes_s"]
    keys = [
        _key(c, f"{mode.name} {seconds[mode.name]:.1f} s")
        for c, mode in zip(_MODE_COLOURS, Mode, strict=True)
        if mode.name in seconds
    ]
    return _captioned("mode", "".join(keys), chart.svg(x_axis=False, y_ticks=[]))


Line = tuple[FloatArray, FloatArray, str, str, str]  # times, values, CSS class, colour, what it is


def _from_wish_to_motion(run: Run, name: str) -> list[Line]:
    """The speed or yaw_rate on its way through the reflex, as far as it was recorded."""
    status, command, state = run.status, run.command, run.state
    lines = [
        (status.t, status[f"wish_{name}"], "wish", "var(--planner)", "wished by the network"),
        (status.t, status[f"allowed_{name}"], "allowed", "var(--ring)", "let through by the guard"),
        (command.t, command[name], "commanded", "var(--left)", "commanded"),
        (state.t, state[name], "measured", "var(--accent)", "true"),
    ]
    return [line for line in lines if np.isfinite(line[1]).any()]


def _drawn(title: str, chart: Chart, lines: list[Line]) -> str:
    for t, y, css, _, _ in lines:
        chart.line(t, y, css)
    keys = "".join(_key(colour, text) for *_, colour, text in lines)
    return _captioned(title, keys, chart.svg(x_axis=False))


def _speeds(run: Run, report: dict[str, Any]) -> str:
    forward, turning = _from_wish_to_motion(run, "speed"), _from_wish_to_motion(run, "yaw_rate")
    speeds = np.concatenate([[0.0, 0.2], *(y for _, y, *_ in forward)])
    chart = _over_time(run, (float(np.nanmin(speeds)) * 1.1, float(np.nanmax(speeds)) * 1.1), "speed")
    chart.area(run.state.t, np.maximum(run.state["speed"], 0.0), "fill")
    turns = float(np.nanmax(np.abs(np.concatenate([[0.3], *(y for _, y, *_ in turning)])))) * 1.1
    turn_chart = _over_time(run, (-turns, turns), "yaw rate")
    drawn = _drawn("speed, m/s", chart, forward) + _drawn("yaw rate, rad/s", turn_chart, turning)
    share = report["guard_share"]
    if share is None:
        return drawn
    percent = f"{round(100 * share, 1):g}"
    return f'{drawn}<p class="about">The guard changed the network\'s command in {percent} % of the driving time.</p>'


def _distances(run: Run, report: dict[str, Any]) -> str:
    s, seen = run.state, run.status["nearest"]
    known = np.concatenate([seen, s["minimum_distance"], [0.5]])
    nearest = _over_time(
        run, (0.0, min(float(known[np.isfinite(known)].max()) * 1.05, 3.0)), "nearest obstacle"
    )
    nearest.area(s.t, s["minimum_distance"], "fill")
    nearest.line(run.status.t, seen, "third")
    nearest.line(s.t, s["minimum_distance"], "measured")
    stop = report["parameters"].get("reflex_node", {}).get("stop_distance")
    if isinstance(stop, (int, float)):
        nearest.level(float(stop), "limit", f"stop distance {stop:g} m")
    keys = _key("var(--accent)", "true, from the outline") + _key("var(--right)", "as the reflex sees it")
    goal = _over_time(
        run, (0.0, max(0.5, float(np.nanmax(s["goal_distance"], initial=0.5)) * 1.05)), "goal", 130
    )
    goal.area(s.t, s["goal_distance"], "fill")
    goal.line(s.t, s["goal_distance"], "measured")
    reached = report["time_to_goal_s"]
    if reached is not None:
        goal.moment(reached, "mark", f"reached at {reached:.1f} s")
    return _captioned("nearest obstacle, m", keys, nearest.svg(x_axis=False)) + _captioned(
        "distance to the goal, m", "", goal.svg()
    )


def over_time(run: Run, report: dict[str, Any]) -> str:
    """Mode, speeds and distances, one below the other."""
    return (
        '<section><h2>Over time</h2><p class="about">Click or drag in any of these to move the replay above.</p>'
        f"{_modes(run, report)}{_speeds(run, report)}{_distances(run, report)}</section>"
    )


def spikes(run: Run) -> str:
    """The raster of every population."""
    if not run.rasters or run.duration <= 0:
        return ""
    rank = {name: i for i, name in enumerate(_ORDER)}
    order = sorted(run.rasters, key=lambda r: rank.get(r.name, len(rank)))
    rows = [
        (r, 3 if r.size >= 24 else 48 // max(r.size, 8), _NEURON_COLOURS.get(r.name, (110, 120, 135)))
        for r in order
    ]
    uri, pixels, bands = raster_png(rows, run.duration)
    sides = (_LEFT, 52)
    chart = Chart(
        (0, run.duration), (0, pixels), height=pixels + 34, label="spike raster", time=True, sides=sides
    )
    for name, first, height in bands:
        bottom = pixels - first - height
        chart.band(bottom, bottom + height, "bandground")
        if name in ("heading", "ring"):
            for share, side in ((0.25, "right"), (0.5, "ahead"), (0.75, "left")):
                chart.guide(bottom + height * share, side)
    chart.image(uri)
    for name, first, height in bands:
        middle = pixels - first - height / 2
        if name in _OF_PLANNER and height > 40:
            chart.row_label(middle + 8, "planner")
            chart.row_label(middle - 8, name)
        else:
            chart.row_label(middle, name)
    sizes = ", ".join(f"{r.name} {r.size}" for r in order)
    return (
        f'<section><h2>Spikes</h2><p class="about">Every spike of the run, one row a neuron ({html.escape(sizes)}).</p>'
        f"{chart.svg(y_ticks=[])}</section>"
    )


def _histogram(title: str, about: str, values: FloatArray, css: str) -> str:
    values = values[np.isfinite(values)]
    if not values.size:
        return f"<div><h3>{title}</h3><p>not measured in this run</p></div>"
    p50, p99 = (float(p) for p in np.percentile(values, [50, 99]))
    low, high = min(0.0, float(values.min())), float(np.percentile(values, 99.5)) * 1.1
    high = max(high, low + 1e-3)
    counts, edges = np.histogram(np.clip(values, low, high), bins=44, range=(low, high))
    chart = Chart((low, high), (0, float(counts.max()) * 1.15), width=520, label=title, sides=(44, 14))
    chart.bars(edges, counts, css)
    chart.moment(p50, "mark", f"p50 {p50:.3g}")
    chart.moment(p99, "mark", f"p99 {p99:.3g}")
    return f"<div><h3>{title}</h3><p>{about}</p>{chart.svg(x_unit='')}</div>"


def _lateness(run: Run) -> str:
    s, title = run.status, "Lateness of the reflex's ticks, µs"
    worst = s["latemax"][np.isfinite(s["latemax"])]
    if not worst.size:
        return f"<div><h3>{title}</h3><p>not measured in this run</p></div>"
    decades = max(1, math.ceil(math.log10(max(10.0, float(worst.max())))))
    end = max(run.duration, 1e-3)
    chart = Chart((0, end), (1.0, 10.0**decades), width=520, label="lateness", sides=(44, 14), y_log=True)
    for name, css in (("late50", "measured"), ("late99", "commanded"), ("latemax", "third")):
        chart.line(s.t, np.maximum(s[name], 1.0), css)
    keys = _key("var(--accent)", "p50") + _key("var(--left)", "p99") + _key("var(--right)", "max")
    return (
        f"<div><h3>{title}</h3><p>{keys}</p>{chart.svg(y_ticks=[10.0**k for k in range(decades + 1)])}</div>"
    )


def _loop(report: dict[str, Any]) -> str:
    ticks, keys = report["ticks"], ("p50", "p99", "p99.9", "max")
    rows = [("lateness of a tick, µs", ticks["lateness_us"]), ("cost of a tick, µs", ticks["cost_us"])]
    cells = [
        f"<tr><td>{label}</td>{''.join(f'<td class=n>{_one_place(values[k])}</td>' for k in keys)}</tr>"
        for label, values in rows
        if values
    ]
    if not cells:
        return ""
    head = "".join(f"<th class=n>{k}</th>" for k in keys)
    values = (
        value
        for entry in report["diagnostics"].values()
        for k, value in entry.items()
        if k.startswith("note ")
    )
    notes = "".join(f'<p class="about">{html.escape(value)}</p>' for value in values)
    return f"<table><tr><th></th>{head}</tr>{''.join(cells)}</table>{notes}"


def _one_place(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def latency(run: Run, report: dict[str, Any]) -> str:
    """Histograms of the latencies, and the loop's lateness and cost."""
    image = "from an image's stamp until its rates were received"
    scan = "from a scan's stamp until the next command was received"
    return (
        '<section><h2>Latency</h2><p class="about">Measured in this run, on the machine that ran it.</p>'
        '<div class="histograms">'
        f"{_histogram('Image to rates, ms', image, measures.image_to_rates(run) * 1e3, 'bar3')}"
        f"{_histogram('Scan to command, ms', scan, measures.scan_to_command(run) * 1e3, 'bar2')}"
        f"{_lateness(run)}</div>{_loop(report)}</section>"
    )
