"""The page of a run: one self-contained HTML file with charts, a map, camera frames and a replay."""

from __future__ import annotations

import html
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.planner.contract import HEADINGS
from hybrid_control.report import measures
from hybrid_control.report.charts import Chart, jpeg_uri, nice_ticks, number, raster_png, speed_colour
from hybrid_control.report.run import MODES, FloatArray, Frame, Obstacle, Raster, Run, frames

TEMPLATE = Path(__file__).with_name("template.html")

_REPLAY_FRAMES = 150  # enough for a smooth replay of a short run, few enough for a small file
_FILM_FRAMES = 10
_LIDAR_POINTS = 120
_RING_WINDOW = 0.1  # s over which the replay counts the ring's spikes
_COLOURS = {
    "heading": (139, 92, 246),
    "speed": (139, 92, 246),
    "ring": (20, 160, 145),
    "left": (217, 130, 20),
    "right": (225, 60, 140),
    "forward": (60, 120, 240),
}


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on the robot: where it is (m, rad; positive pitch looks down) and what it sees (rad)."""

    x: float = 0.25
    z: float = 0.28
    pitch: float = 0.08
    hfov: float = math.radians(90)
    half_width: float = 0.215  # m, of the robot

    @staticmethod
    def of(run: Run) -> Camera:
        """The camera that run.json describes, else Jackal's."""
        robot = run.metadata.get("robot")
        if not isinstance(robot, dict) or "camera_hfov" not in robot:
            return Camera()
        keys = ("camera_x", "camera_z", "camera_pitch", "camera_hfov")
        return Camera(*(float(robot[k]) for k in keys), half_width=float(robot.get("width", 0.43)) / 2)

    def project(self, x: float, y: float, width: int, height: int) -> tuple[float, float] | None:
        """Pixel (column, row) of a point on the ground, body frame in metres; None where it is behind the camera."""
        ahead, c, s = x - self.x, math.cos(self.pitch), math.sin(self.pitch)
        depth, up = ahead * c + self.z * s, ahead * s - self.z * c
        if depth < 0.05:
            return None
        focal = width / 2 / math.tan(self.hfov / 2)
        return width / 2 - focal * y / depth, height / 2 - focal * up / depth


def planned_heading(rates: FloatArray) -> float:
    """Direction of the population vector of the heading neurons, rad, positive to the left; NaN where all are silent."""
    if rates.size != HEADINGS.size or not rates.sum() > 0:
        return math.nan
    s, c = float(rates @ np.sin(HEADINGS)), float(rates @ np.cos(HEADINGS))
    return math.atan2(s, c)


@dataclass(frozen=True)
class Overlay:
    """What is drawn over a camera frame: polygons as SVG points, the strip as an SVG path."""

    ribbon: str = ""
    beyond: str = ""
    strip: str = ""


def overlay(camera: Camera, heading: float, rates: FloatArray, width: int, height: int) -> Overlay:
    """The planner's heading as a lane of the robot's width on the ground, and its neurons' rates under the picture.

    A heading out of view is an arrow at the picture's edge.
    """
    strip = []
    if rates.size == HEADINGS.size and rates.max(initial=0) > 0:
        focal = width / 2 / math.tan(camera.hfov / 2)
        step = (HEADINGS[1] - HEADINGS[0]) / 2
        for angle, rate in zip(HEADINGS, rates / rates.max(), strict=True):
            if abs(angle) + step < math.pi / 2 and rate > 0.02:
                a, b = (width / 2 - focal * math.tan(angle + d) for d in (step, -step))
                a, b = max(0.0, a), min(float(width), b)
                if b > a:
                    strip.append(f"M{a:.1f} {height}V{height - 12 * rate:.1f}H{b:.1f}V{height}Z")
    if not math.isfinite(heading):
        return Overlay(strip="".join(strip))
    if abs(heading) > camera.hfov / 2 * 0.96:
        x, d = (6.0, 1) if heading > 0 else (width - 6.0, -1)
        y = height / 2
        return Overlay(beyond=f"{x},{y} {x + d * 12},{y - 9} {x + d * 12},{y + 9}", strip="".join(strip))
    left, right = [], []
    c, s = math.cos(heading), math.sin(heading)
    for distance in np.geomspace(0.5, 3.0, 12):
        for side, edge in ((1, left), (-1, right)):
            offset = (
                side * camera.half_width * (1 - (distance - 0.5) / 2.5 * 0.85)
            )  # narrows to a point ahead
            point = camera.project(distance * c - offset * s, distance * s + offset * c, width, height)
            if point is not None:
                edge.append(point)
    return Overlay(
        ribbon=" ".join(f"{x:.1f},{y:.1f}" for x, y in [*left, *reversed(right)]), strip="".join(strip)
    )


class _Map:
    """The map's scale: metres to pixels, y up."""

    def __init__(self, run: Run, width: int = 1100, tallest: int = 620) -> None:
        xs, ys = [run.state["x"]], [run.state["y"]]
        for o in run.obstacles:
            c, s = abs(math.cos(o.yaw)), abs(math.sin(o.yaw))
            hx, hy = (
                (o.size_x / 2,) * 2
                if o.kind == "circle"
                else ((o.size_x * c + o.size_y * s) / 2, (o.size_x * s + o.size_y * c) / 2)
            )
            xs.append(np.array([o.x - hx, o.x + hx]))
            ys.append(np.array([o.y - hy, o.y + hy]))
        if run.goal is not None:
            xs.append(np.array([run.goal[0] - 0.6, run.goal[0] + 0.6]))
            ys.append(np.array([run.goal[1] - 0.6, run.goal[1] + 0.6]))
        all_x, all_y = np.concatenate(xs), np.concatenate(ys)
        if not all_x.size:
            all_x = all_y = np.array([-1.0, 1.0])
        self.x0, self.x1 = float(all_x.min()) - 0.5, float(all_x.max()) + 0.5
        self.y0, self.y1 = float(all_y.min()) - 0.5, float(all_y.max()) + 0.5
        self.scale = min(width / (self.x1 - self.x0), tallest / (self.y1 - self.y0))
        self.width, self.height = width, (self.y1 - self.y0) * self.scale
        self.left = (width - (self.x1 - self.x0) * self.scale) / 2

    def x(self, x: Any) -> Any:
        return self.left + (x - self.x0) * self.scale

    def y(self, y: Any) -> Any:
        return (self.y1 - y) * self.scale

    def points(self, x: FloatArray, y: FloatArray) -> str:
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(self.x(x), self.y(y), strict=True))


def _shape(m: _Map, o: Obstacle) -> str:
    x, y, k = m.x(o.x), m.y(o.y), m.scale
    if o.kind == "circle":
        return f'<circle class="obstacle" cx="{x:.1f}" cy="{y:.1f}" r="{o.size_x / 2 * k:.1f}"/>'
    w, h = o.size_x * k, o.size_y * k
    return (
        f'<rect class="obstacle" x="{x - w / 2:.1f}" y="{y - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}" '
        f'transform="rotate({-math.degrees(o.yaw):.1f} {x:.1f} {y:.1f})"/>'
    )


def _map(run: Run, m: _Map) -> str:
    parts = [
        f'<rect class="ground" x="{m.left:.1f}" y="0" width="{m.width - 2 * m.left:.1f}" height="{m.height:.1f}" rx="8"/>'
    ]
    for x in nice_ticks(m.x0, m.x1, 10):
        parts.append(
            f'<line class="mapgrid" x1="{m.x(x):.1f}" x2="{m.x(x):.1f}" y1="0" y2="{m.height:.1f}"/>'
        )
        if m.x0 + 0.3 < x < m.x1 - 0.3:
            parts.append(
                f'<text class="tick" x="{m.x(x):.1f}" y="{m.height + 15:.1f}" text-anchor="middle">{number(x)} m</text>'
            )
    for y in nice_ticks(m.y0, m.y1, 5):
        parts.append(
            f'<line class="mapgrid" x1="{m.left:.1f}" x2="{m.width - m.left:.1f}" y1="{m.y(y):.1f}" y2="{m.y(y):.1f}"/>'
        )
    parts += [_shape(m, o) for o in run.obstacles]
    s = run.state
    if run.goal is not None:
        gx, gy = m.x(run.goal[0]), m.y(run.goal[1])
        if len(s):
            parts.append(
                f'<line class="straight" x1="{m.x(s["x"][0]):.1f}" y1="{m.y(s["y"][0]):.1f}" x2="{gx:.1f}" y2="{gy:.1f}"/>'
            )
        r = measures.GOAL_REACHED * m.scale
        parts.append(
            f'<circle class="goalarea" cx="{gx:.1f}" cy="{gy:.1f}" r="{r:.1f}"/><circle class="goal" stroke-width="2" cx="{gx:.1f}" cy="{gy:.1f}" r="{r:.1f}"/><circle class="goal dot" cx="{gx:.1f}" cy="{gy:.1f}" r="4"/>'
        )
    if len(run.odometry) and len(s):
        # odometry starts at the origin of its own frame: the start pose of the world's
        parts.append(
            f'<polyline class="odometry" points="{m.points(*_thin_path(run.odometry["x"], run.odometry["y"]))}"/>'
        )
    length, width = run.outline
    last = -math.inf
    for i in range(len(s)):
        if s.t[i] - last >= 1.0:
            last = float(s.t[i])
            parts.append(_robot_shape(m, s["x"][i], s["y"][i], s["yaw"][i], length, width, "ghost"))
    parts += _coloured_path(run, m)
    w, h = length * m.scale, width * m.scale
    parts.append(
        f'<g id="lidar"></g><g id="robot"><rect x="{-w / 2:.1f}" y="{-h / 2:.1f}" width="{w:.1f}" height="{h:.1f}" rx="4"/>'
        f'<path d="M{w * 0.36:.1f} 0L{-w * 0.1:.1f} {-h * 0.26:.1f}V{h * 0.26:.1f}Z"/></g>'
    )
    return f'<svg viewBox="0 0 {m.width} {m.height + 22:.0f}" role="img" aria-label="map of the run">{"".join(parts)}</svg>'


def _thin_path(x: FloatArray, y: FloatArray, points: int = 600) -> tuple[FloatArray, FloatArray]:
    step = max(1, x.size // points)
    return x[::step], y[::step]


def _robot_shape(m: _Map, x: float, y: float, yaw: float, length: float, width: float, css: str) -> str:
    w, h = length * m.scale, width * m.scale
    return (
        f'<rect class="{css}" x="{-w / 2:.1f}" y="{-h / 2:.1f}" width="{w:.1f}" height="{h:.1f}" rx="3" '
        f'transform="translate({m.x(x):.1f} {m.y(y):.1f}) rotate({-math.degrees(yaw):.1f})"/>'
    )


def _coloured_path(run: Run, m: _Map) -> list[str]:
    """The executed path in stretches of equal colour, by speed."""
    s = run.state
    if len(s) < 2:
        return []
    fastest = _fastest(run)
    step = max(1, len(s) // 900)
    x, y, speed = s["x"][::step], s["y"][::step], np.abs(s["speed"][::step])
    level = np.minimum((speed / fastest * 12).astype(int), 11)
    parts, begin = [], 0
    for i in range(1, x.size + 1):
        if i == x.size or level[i] != level[begin]:
            end = min(i, x.size - 1)
            colour = speed_colour((level[begin] + 0.5) / 12)
            parts.append(
                f'<polyline style="stroke:{colour};stroke-width:4" points="{m.points(x[begin : end + 1], y[begin : end + 1])}"/>'
            )
            begin = i
    return parts


def _fastest(run: Run) -> float:
    return max(0.1, float(np.abs(run.state["speed"]).max(initial=0)))


def _speed_key(run: Run) -> str:
    stops = "".join(f'<stop offset="{k * 10}%" stop-color="{speed_colour(k / 10)}"/>' for k in range(11))
    return (
        '<svg style="width:190px;display:inline-block;vertical-align:middle" viewBox="0 0 190 14"><defs>'
        f'<linearGradient id="speeds">{stops}</linearGradient></defs><text x="0" y="11">0</text>'
        '<rect x="12" y="3" width="104" height="8" rx="4" fill="url(#speeds)"/>'
        f'<text x="122" y="11">{_fastest(run):.2f} m/s</text></svg>'
    )


def _esc(value: Any) -> str:
    return html.escape(str(value))


def _card(label: str, value: str, unit: str = "", note: str = "", css: str = "") -> str:
    unit = f" <small>{unit}</small>" if unit else ""
    note = f"<i>{note}</i>" if note else ""
    return f'<div class="card {css}"><span>{label}</span><b>{value}{unit}</b>{note}</div>'


def _si(value: float | None, digits: int = 3) -> tuple[str, str]:
    """A count with its metric prefix: 12345 as ("12.3", "k")."""
    if value is None or not math.isfinite(value):
        return "–", ""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.{digits}g}", prefix
    return f"{value:.{digits}g}", ""


def _fixed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2g}"


def _after(latency: dict[str, Any], what: str) -> str:
    return f"{latency['p50']:.0f} ms after its {what}" if latency.get("count") else ""


def _cost(ticks: dict[str, Any]) -> str:
    cost = ticks["cost_us"]
    return f"{cost['p50']:.1f} µs a tick" if cost and cost["p50"] is not None else ""


def _cards(report: dict[str, Any]) -> str:
    ticks, network, latency = report["ticks"], report["network"], report["latency_ms"]
    time = report["time_to_goal_s"]
    straight, path = report["straight_line_m"], report["path_length_m"]
    contacts, share = report["contacts"], ticks["missed_share"]
    spikes, prefix = _si(network["spikes_per_second"])
    events, events_prefix = _si(network["synaptic_events_per_second"])
    planner = latency["image_to_rates"]
    command = latency["scan_to_command"]
    total = ticks["ticks"] + ticks["missed"]
    late = share is not None and share > 1e-3
    cards = [
        _card("time to the goal", _fixed(time, 1), "s", f"{report['duration_s']:.1f} s recorded")
        if time is not None
        else _card("time", _fixed(report["duration_s"], 1), "s", "goal not reached", "bad"),
        _card("path", _fixed(path, 2), "m", f"{path / straight:.2f} × straight line" if straight else ""),
        _card("contacts", "–" if contacts is None else str(contacts), "", "", "bad" if contacts else "good"),
        _card("least distance", _fixed(report["minimum_distance_m"], 2), "m", "outline to obstacle"),
        _card("mean speed", _fixed(report["mean_speed_m_s"], 2), "m/s"),
        _card("spikes", spikes, f"{prefix}/s", "of the reflex"),
        _card("planner", _fixed(report["planner_rate_hz"], 1), "Hz", _after(planner, "image")),
        _card("reflex", _fixed(ticks["rate_hz"], 0), "Hz", _cost(ticks)),
        _card("missed ticks", _percent(share), "%", f"{ticks['missed']} of {total}", "warn" if late else ""),
        _card("command", f"{command['p50']:.1f}" if command.get("count") else "–", "ms", "after a scan, p50"),
        _card("synaptic events", events, f"{events_prefix}/s"),
        _card("power, estimated", _fixed(network["power_estimate_uw"], 1), "µW", "if on a neuromorphic chip"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _header(run: Run, report: dict[str, Any]) -> str:
    outcome = report["outcome"]
    css = "good" if outcome.get("success") else "bad"
    robot = report["robot"]
    name = robot.get("name", "") if isinstance(robot, dict) else (robot or "")
    world, seed = report["world"], report["seed"]
    title = f"{_esc(name).capitalize()} through “{_esc(world)}”" if world else _esc(run.folder.name)
    versions = " · ".join(f"{_esc(k)} {_esc(v)}" for k, v in report["versions"].items())
    seed_text = f"seed {_esc(seed)} · " if seed is not None else ""
    notices = ""
    recording = report["recording"]
    if recording["note"] or not recording["complete"]:
        notices += f'<div class="notice">The recording is not complete: {_esc(recording["note"] or "the file ends before its end mark")}. What follows shows what was recorded.</div>'
    for event in report["events"]:
        notices += f'<div class="notice"><b>{event.get("t", 0):.1f} s</b> {_esc(event.get("text", ""))}</div>'
    return (
        f'<header><h1>{title}</h1><span class="badge {css}">{_esc(outcome.get("text", outcome.get("result", "")))}</span>'
        f'<div class="sub">{seed_text}{versions}</div></header>{notices}'
    )


def _replay_data(
    run: Run, m: _Map, camera: Camera
) -> tuple[dict[str, Any], list[tuple[Frame | None, dict[str, Any]]]]:
    """What the page's script shows at each moment, and the frames behind it."""
    count = int(min(_REPLAY_FRAMES, max(2, run.duration * 5)))
    moments = np.linspace(0.05, max(0.1, run.duration - 0.02), count)
    pictures: list[Frame] = frames(run, moments)
    shown: list[Frame | None] = list(pictures) if pictures else [None] * count
    times = [f.t for f in pictures] if pictures else moments.tolist()
    ring = next((r for r in run.rasters if r.name == "ring"), None)
    result: list[tuple[Frame | None, dict[str, Any]]] = []
    highest = 1
    for picture, t in zip(shown, times, strict=True):
        rates, heading = _plan_at(run, t)
        w, h = (picture.pixels.shape[1], picture.pixels.shape[0]) if picture is not None else (160, 120)
        drawn = overlay(camera, heading, rates, w, h)
        counts = _counts(ring, t)
        highest = max(highest, int(counts.max(initial=0)))
        result.append((picture, {
            "t": round(t, 3),
            "image": jpeg_uri(picture.pixels) if picture is not None else "",
            "ribbon": drawn.ribbon, "beyond": drawn.beyond, "strip": drawn.strip,
            "said": _said(run, t, heading),
            "ring": counts.tolist(),
            "rates": [round(float(r), 1) for r in rates],
            "lidar": _lidar(run, m, t),
        }))  # fmt: skip
    step = max(1, len(run.state) // 1200)
    s = run.state
    data = {
        "duration": round(run.duration, 3),
        "poster": round(run.duration * 0.45, 2),
        "dot": 1.6,
        "ringSize": ring.size if ring else 0,
        "ringMax": highest,
        "ratesMax": float(run.heading_rates.max(initial=1.0)),
        "frames": [f for _, f in result],
        "path": {
            "t": s.t[::step].round(3).tolist(),
            "x": m.x(s["x"][::step]).round(1).tolist(),
            "y": m.y(s["y"][::step]).round(1).tolist(),
            "yaw": s["yaw"][::step].round(3).tolist(),
        },
    }
    return data, result


def _plan_at(run: Run, t: float) -> tuple[FloatArray, float]:
    """The planner's newest heading rates at time t if they are not older than half a second, and their direction."""
    if not len(run.rates) or not run.heading_rates.size:
        return np.zeros(0), math.nan
    i = run.rates.at(t)
    if abs(t - run.rates.t[i]) > 0.5:
        return np.zeros(0), math.nan
    rates = run.heading_rates[i]
    return rates, planned_heading(rates)


def _counts(ring: Raster | None, t: float) -> NDArray[np.int64]:
    if ring is None:
        return np.zeros(0, dtype=np.int64)
    a, b = np.searchsorted(ring.t, [t - _RING_WINDOW, t])
    return np.bincount(ring.neuron[a:b].clip(0, ring.size - 1), minlength=ring.size)


def _degrees(angle: float) -> str:
    if not math.isfinite(angle):
        return "silent"
    turn = round(math.degrees(angle))
    return "ahead" if turn == 0 else f"{abs(turn)}° {'left' if turn > 0 else 'right'}"


def _said(run: Run, t: float, heading: float) -> str:
    if not len(run.status):
        return f"planner {_degrees(heading)}"
    i = run.status.at(t)
    mode = int(run.status["mode"][i])
    name = MODES[mode] if 0 <= mode < len(MODES) else str(mode)
    return f"planner {_degrees(heading)} · ring {_degrees(float(run.status['heading'][i]))} · {name}"


def _lidar(run: Run, m: _Map, t: float) -> list[float]:
    """Where the newest scan's beams met something, as x, y, x, y ... on the map; from the true pose."""
    topic = run.recording.topic("scan")
    if topic is None or not len(topic) or not len(run.state):
        return []
    i = max(0, int(np.searchsorted(run.clock.at(topic.received), t, side="right")) - 1)
    scan = topic.decode(i)
    ranges = np.asarray(scan.ranges, dtype=float)
    angles = scan.angle_min + scan.angle_increment * np.arange(ranges.size)
    step = max(1, ranges.size // _LIDAR_POINTS)
    good = np.isfinite(ranges) & (ranges >= scan.range_min) & (ranges <= scan.range_max)
    pick = np.flatnonzero(good)[::step]
    k = run.state.at(run.time(scan))
    yaw = run.state["yaw"][k]
    x = m.x(run.state["x"][k] + ranges[pick] * np.cos(angles[pick] + yaw))
    y = m.y(run.state["y"][k] + ranges[pick] * np.sin(angles[pick] + yaw))
    inside = (x > m.left) & (x < m.width - m.left) & (y > 0) & (y < m.height)
    return [round(float(v), 1) for v in np.column_stack([x[inside], y[inside]]).ravel()]


def _replay(run: Run, data: dict[str, Any], m: _Map) -> str:
    ring = (
        '<svg id="ring" viewBox="-132 -118 264 236" role="img" aria-label="ring activity">'
        '<circle class="axis" r="40"/><circle class="axis" r="100"/>'
        '<polygon id="rates" class="rates" points=""/><g id="bars"></g>'
        '<text x="0" y="-106" text-anchor="middle">ahead</text><text x="-106" y="4" text-anchor="end">left</text>'
        '<text x="106" y="4">right</text><text x="0" y="116" text-anchor="middle">behind</text></svg>'
    )
    picture = (
        '<svg class="camera" viewBox="0 0 160 120" preserveAspectRatio="xMidYMid slice"><image id="image" href="data:," '
        'width="160" height="120" preserveAspectRatio="none"/><path id="strip" class="strip" d=""/>'
        '<polygon id="ribbon" class="ribbon" points=""/><polygon id="beyond" class="beyond" points=""/></svg>'
    )
    return f"""<section><h2>The way through</h2>
<p class="about">The true path over the map. Boxes: the robot, once a second.
Red: what the lidar sees at the moment shown.</p>
<div class="caption"><span>speed {_speed_key(run)}</span><span>dashed: straight line</span><span>dotted: wheel odometry</span></div>
{_map(run, m)}
<div class="player"><button id="play" type="button">Play</button><input id="time" type="range" min="0" max="{data["duration"]}" step="0.02" value="0" aria-label="time"><output id="clock"></output></div>
<div class="replay"><div>{picture}<p class="caption"><span id="said"></span></p></div>
<div>{ring}<p class="caption"><span class="key" style="--c:var(--planner)">planner's heading rates</span><span class="key" style="--c:var(--ring)">spikes of the reflex's ring, last {_RING_WINDOW * 1e3:.0f} ms</span></p></div></div>
</section>"""


def _film(run: Run, items: list[tuple[Frame | None, dict[str, Any]]]) -> str:
    pictured = [(f, d) for f, d in items if f is not None]
    if not pictured:
        return ""
    figures = []
    for i in np.unique(np.linspace(0, len(pictured) - 1, _FILM_FRAMES).round().astype(int)):
        frame, d = pictured[i]
        h, w = frame.pixels.shape[:2]
        figures.append(
            f'<figure><svg class="camera" viewBox="0 0 {w} {h}"><image href="{d["image"]}" width="{w}" height="{h}"/>'
            f'<path class="strip" d="{d["strip"]}"/><polygon class="ribbon" points="{d["ribbon"]}"/>'
            f'<polygon class="beyond" points="{d["beyond"]}"/></svg>'
            f"<figcaption>{frame.t:.1f} s · {_esc(d['said'].split(' · ')[0])}</figcaption></figure>"
        )
    return f"""<section><h2>What the planner saw, and where it wanted to go</h2>
<p class="about">Green: the lane of the heading that the planner's population votes for, as wide as the robot. Violet: rates of its heading neurons, by the direction each stands for.</p>
<div class="film">{"".join(figures)}</div></section>"""


def _raster_section(run: Run) -> str:
    known = {r.name: r for r in run.rasters}
    order = [known.pop(n) for n in ("heading", "speed", "ring", "left", "right", "forward") if n in known]
    order += list(known.values())
    if not order or run.duration <= 0:
        return ""
    rows = [
        (r, 3 if r.size >= 24 else 4 if r.size >= 8 else 6, _COLOURS.get(r.name, (110, 120, 135)))
        for r in order
    ]
    uri, pixels, bands = raster_png(rows, run.duration)
    chart = Chart(
        (0, run.duration), (0, pixels), height=pixels + 34, label="spike raster", time=True, left=84
    )
    chart.right = 52
    for name, first, height in bands:
        chart.band(pixels - first - height, pixels - first, "bandground")
        if name in ("heading", "ring"):
            for share, side in ((0.25, "right"), (0.5, "ahead"), (0.75, "left")):
                chart.guide(pixels - first - height * (1 - share), side)
    chart.image(uri)
    names = {"heading": "planner: heading", "speed": "planner: speed"}
    for name, first, height in bands:
        middle = pixels - first - height / 2
        words = names.get(name, name).split(": ")
        if len(words) == 2 and height > 40:
            chart.row_label(middle + 8, words[0])
            chart.row_label(middle - 8, words[1])
        else:
            chart.row_label(middle, words[-1])
    total = ", ".join(f"{names.get(r.name, r.name)} {r.size}" for r in order)
    return f"""<section><h2>Spikes</h2><p class="about">Every spike of the run, one row a neuron ({_esc(total)}).</p>
{chart.svg(y_ticks=[])}</section>"""


def _time_charts(run: Run, report: dict[str, Any]) -> str:
    end = max(run.duration, 1e-3)
    parts = []
    modes = Chart((0, end), (0, 1), height=52, label="mode over time", time=True, left=84)
    used = []
    for i in range(len(run.status)):
        a = float(run.status.t[i])
        b = float(run.status.t[i + 1]) if i + 1 < len(run.status) else end
        mode = int(run.status["mode"][i])
        if used and used[-1][2] == mode:
            used[-1][1] = b
        else:
            used.append([a, b, mode, run.reasons[i]])
    for a, b, mode, reason in used:
        name = MODES[mode] if 0 <= mode < len(MODES) else str(mode)
        modes.span(max(0.0, a), min(end, b), f"mode{mode}", f"{name}, {a:.2f} .. {b:.2f} s: {reason}")
    for event in report["events"]:
        modes.moment(float(event.get("t", 0.0)), "mark")
    colours = ("#94a3b8", "#2f9e6e", "#e09f1f", "#d6404b", "#3b82f6", "#7f1d1d")
    keys = "".join(
        f'<span class="key" style="--c:{colours[i]}">{name} {report["modes_s"][name]:.1f} s</span>'
        for i, name in enumerate(MODES)
        if name in report["modes_s"]
    )
    parts.append(f'<div class="caption"><b>mode</b>{keys}</div>' + modes.svg(x_axis=False, y_ticks=[]))

    s, c = run.state, run.command
    top = max(0.2, float(np.nanmax(np.concatenate([s["speed"], c["speed"], [0.0]]))) * 1.1)
    low = min(0.0, float(np.nanmin(np.concatenate([s["speed"], c["speed"], [0.0]]))) * 1.1)
    chart = Chart((0, end), (low, top), label="speed", time=True, left=84, height=150)
    chart.area(s.t, s["speed"], "fill")
    chart.line(c.t, c["speed"], "commanded")
    chart.line(s.t, s["speed"], "measured")
    both = '<span class="key" style="--c:var(--left)">commanded</span><span class="key" style="--c:var(--accent)">true</span>'
    parts.append(f'<div class="caption"><b>speed, m/s</b>{both}</div>' + chart.svg(x_axis=False))

    turn = max(0.3, float(np.nanmax(np.abs(np.concatenate([s["yaw_rate"], c["yaw_rate"], [0.0]])))) * 1.1)
    chart = Chart((0, end), (-turn, turn), label="yaw rate", time=True, left=84, height=150)
    chart.line(c.t, c["yaw_rate"], "commanded")
    chart.line(s.t, s["yaw_rate"], "measured")
    parts.append(f'<div class="caption"><b>yaw rate, rad/s</b>{both}</div>' + chart.svg(x_axis=False))

    near = run.status["nearest"]
    finite = np.concatenate(
        [near[np.isfinite(near)], s["minimum_distance"][np.isfinite(s["minimum_distance"])], [0.5]]
    )
    chart = Chart(
        (0, end),
        (0.0, min(float(finite.max()) * 1.05, 3.0)),
        label="nearest obstacle",
        time=True,
        left=84,
        height=150,
    )
    chart.area(s.t, s["minimum_distance"], "fill")
    chart.line(run.status.t, near, "third")
    chart.line(s.t, s["minimum_distance"], "measured")
    stop = _parameter(report, "stop_distance")
    if stop is not None:
        chart.level(stop, "limit", f"stop distance {stop:g} m")
    keys = '<span class="key" style="--c:var(--accent)">true, from the outline</span><span class="key" style="--c:var(--right)">as the reflex sees it</span>'
    parts.append(f'<div class="caption"><b>nearest obstacle, m</b>{keys}</div>' + chart.svg(x_axis=False))

    chart = Chart(
        (0, end),
        (0.0, max(0.5, float(np.nanmax(s["goal_distance"], initial=0.5)) * 1.05)),
        label="goal",
        time=True,
        left=84,
        height=130,
    )
    chart.area(s.t, s["goal_distance"], "fill")
    chart.line(s.t, s["goal_distance"], "measured")
    if report["time_to_goal_s"] is not None:
        chart.moment(report["time_to_goal_s"], "mark", f"reached at {report['time_to_goal_s']:.1f} s")
    parts.append('<div class="caption"><b>distance to the goal, m</b></div>' + chart.svg())
    return f'<section><h2>Over time</h2><p class="about">Click or drag in any of these to move the replay above.</p>{"".join(parts)}</section>'


def _parameter(report: dict[str, Any], name: str) -> float | None:
    for values in report["parameters"].values():
        if isinstance(values, dict) and isinstance(values.get(name), (int, float)):
            return float(values[name])
    return None


def _histogram(title: str, about: str, values: FloatArray, css: str, unit: str) -> str:
    values = values[np.isfinite(values)]
    if not values.size:
        return f"<div><h3>{title}</h3><p>nothing was measured</p></div>"
    p50, p99 = np.percentile(values, [50, 99])
    low = min(0.0, float(values.min()))
    high = max(float(np.percentile(values, 99.5)) * 1.1, low + 1e-3)
    counts, edges = np.histogram(np.clip(values, low, high), bins=44, range=(low, high))
    chart = Chart((low, high), (0, float(counts.max()) * 1.15), width=520, height=170, label=title, left=44)
    chart.bars(edges, counts, css)
    chart.moment(float(p50), "mark", f"p50 {p50:.3g}")
    chart.moment(float(p99), "mark", f"p99 {p99:.3g}")
    return f"<div><h3>{title}, {unit}</h3><p>{about}</p>{chart.svg(x_unit='')}</div>"


def _lateness(run: Run) -> str:
    s = run.status
    if not len(s):
        return ""
    end = max(run.duration, 1e-3)
    top = 10.0 ** math.ceil(math.log10(max(10.0, float(np.nanmax(s["latemax"], initial=10.0)))))
    chart = Chart((0, end), (1.0, top), width=520, height=170, label="lateness", left=44, y_log=True)
    for name, css in (("late50", "measured"), ("late99", "commanded"), ("latemax", "third")):
        chart.line(s.t, np.maximum(s[name], 1.0), css)
    ticks = [10.0**k for k in range(round(math.log10(top)) + 1)]
    keys = '<span class="key" style="--c:var(--accent)">p50</span><span class="key" style="--c:var(--left)">p99</span><span class="key" style="--c:var(--right)">max</span>'
    return f"<div><h3>Lateness of the reflex's ticks, µs</h3><p>{keys}</p>{chart.svg(y_ticks=ticks)}</div>"


def _loop(report: dict[str, Any]) -> str:
    ticks = report["ticks"]
    keys = ("p50", "p99", "p99.9", "max")
    rows = "".join(
        f"<tr><td>{label}</td>{''.join(f'<td class=n>{_fixed(q[k], 1)}</td>' for k in keys)}</tr>"
        for label, q in (
            ("lateness of a tick, µs", ticks["lateness_us"]),
            ("cost of a tick, µs", ticks["cost_us"]),
        )
        if q
    )
    head = "".join(f"<th class=n>{k}</th>" for k in keys)
    notes = [
        f"<p class=about>{_esc(value)}</p>"
        for values in report["diagnostics"].values()
        for key, value in values.items()
        if key.startswith("note ")
    ]
    return f"<table><tr><th></th>{head}</tr>{rows}</table>{''.join(notes)}" if rows else ""


def _latency_section(run: Run, report: dict[str, Any]) -> str:
    return f"""<section><h2>Latency</h2><p class="about">Measured in this run, on the machine that ran it.</p><div class="histograms">
{_histogram("Image to rates", "from an image's stamp until its rates were received", measures.image_to_rates(run) * 1e3, "bar3", "ms")}
{_histogram("Scan to command", "from a scan's stamp until the next command was received", measures.scan_to_command(run) * 1e3, "bar2", "ms")}
{_lateness(run)}</div>{_loop(report)}</section>"""


def _tables(report: dict[str, Any]) -> str:
    topics = "".join(
        f'<tr><td><code>{_esc(n)}</code></td><td><code>{_esc(t["type"])}</code></td><td class="n">{t["messages"]}</td><td class="n">{_fixed(t["rate_hz"], 1)}</td></tr>'
        for n, t in report["topics"].items()
    )
    groups = []
    for node, values in report["parameters"].items():
        if not isinstance(values, dict):
            continue
        rows = "".join(
            f"<tr><td><code>{_esc(k)}</code></td><td class='n'><code>{_esc(v)}</code></td></tr>"
            for k, v in values.items()
        )
        groups.append(f"<table><tr><th>{_esc(node)}</th><th></th></tr>{rows}</table>")
    parameters = (
        f'<section><details><summary>Parameters used</summary><div class="columns">{"".join(groups)}</div></details></section>'
        if groups
        else ""
    )
    return (
        f'<section><details><summary>Topics recorded</summary><div class="wide"><table>'
        f'<tr><th>topic</th><th>type</th><th class="n">messages</th><th class="n">Hz</th></tr>{topics}</table></div></details></section>{parameters}'
    )


def page(run: Run, report: dict[str, Any]) -> str:
    """The whole page as HTML text, with nothing to load from elsewhere."""
    m = _Map(run)
    data, items = _replay_data(run, m, Camera.of(run))
    body = "\n".join([
        _header(run, report),
        _cards(report),
        _replay(run, data, m),
        _time_charts(run, report),
        _raster_section(run),
        _film(run, items),
        _latency_section(run, report),
        _tables(report),
        '<footer>Made by <code>hybrid-control report</code> from run.mcap, which opens in Foxglove; the numbers are in report.json.</footer>',
    ])  # fmt: skip
    title = (
        f"{report['world'] or run.folder.name}, seed {report['seed']}: {report['outcome'].get('result', '')}"
    )
    text = TEMPLATE.read_text()
    embedded = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return text.replace("{{title}}", _esc(title)).replace("{{body}}", body).replace("{{data}}", embedded)
