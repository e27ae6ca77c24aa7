"""The map of a run: obstacles, the path driven, and what the replay moves over it."""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np

from hybrid_control.navigation.ground.memory import CELL
from hybrid_control.report.charts import element, nice_ticks, number, speed_colour
from hybrid_control.report.measures import GOAL_REACHED
from hybrid_control.report.run import FloatArray, Obstacle, Run

_MARGIN = 0.5  # m around what the map shows
_COLOURS = 12  # steps of the speed scale
_LIDAR_POINTS = 120


def fastest(run: Run) -> float:
    """Upper end of the speed scale, m/s."""
    return max(0.1, float(np.abs(run.state["speed"]).max(initial=0)))


class WorldMap:
    """A map's scale, metres to pixels with y up, and its drawing."""

    def __init__(self, run: Run, avoided: FloatArray | None = None, width: int = 1100, tallest: int = 620) -> None:
        """avoided: (n, 2) m, middles of cells of ground that were kept off."""
        self.run, self._avoided = run, avoided
        xs, ys = [run.state["x"]], [run.state["y"]]
        for o in run.obstacles:
            c, s = abs(math.cos(o.yaw)), abs(math.sin(o.yaw))
            round_one = o.kind not in ("box", "patch")
            xs.append(o.x + np.array([-0.5, 0.5]) * (o.size_x if round_one else o.size_x * c + o.size_y * s))
            ys.append(o.y + np.array([-0.5, 0.5]) * (o.size_x if round_one else o.size_x * s + o.size_y * c))
        if run.goal is not None:
            xs.append(run.goal[0] + np.array([-0.6, 0.6]))
            ys.append(run.goal[1] + np.array([-0.6, 0.6]))
        all_x, all_y = np.concatenate(xs), np.concatenate(ys)
        if not all_x.size:
            all_x = all_y = np.array([-1.0, 1.0])
        self.x0, self.x1 = float(all_x.min()) - _MARGIN, float(all_x.max()) + _MARGIN
        self.y0, self.y1 = float(all_y.min()) - _MARGIN, float(all_y.max()) + _MARGIN
        self.scale = min(width / (self.x1 - self.x0), tallest / (self.y1 - self.y0))
        self.width, self.height = width, (self.y1 - self.y0) * self.scale
        self.left = (width - (self.x1 - self.x0) * self.scale) / 2

    def x(self, x: Any) -> Any:
        """Horizontal place in the drawing."""
        return self.left + (x - self.x0) * self.scale

    def y(self, y: Any) -> Any:
        """Vertical place in the drawing."""
        return (self.y1 - y) * self.scale

    def points(self, x: FloatArray, y: FloatArray) -> str:
        """A polyline's points."""
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(self.x(x), self.y(y), strict=True))

    def carried(self, t: float) -> str:
        """Where cells of the odometry's frame lie on the map, as an SVG matrix, so that at a time the robot is where it
        is; "" where odometry or truth is not known. What odometry is off by moves them, not the robot."""
        run, side = self.run, CELL * self.scale
        if not len(run.state) or not len(run.odometry):
            return ""
        true, believed = run.state.pose(t), run.odometry.pose(t)
        turn = true.yaw - believed.yaw
        c, s = math.cos(turn), math.sin(turn)
        x = self.x(true.x - c * believed.x + s * believed.y)
        y = self.y(true.y - s * believed.x - c * believed.y)
        return f"matrix({side * c:.4f} {-side * s:.4f} {-side * s:.4f} {-side * c:.4f} {x:.1f} {y:.1f})"

    def lidar(self, t: float) -> list[float]:
        """Where the newest scan's beams met something, as x, y, x, y ... on the map; from the true pose."""
        run, topic = self.run, self.run.recording.topic("scan")
        if topic is None or not len(topic) or not len(run.state):
            return []
        scan = topic.decode(max(0, int(np.searchsorted(run.clock.at(topic.received), t, side="right")) - 1))
        ranges = np.asarray(scan.ranges, dtype=float)
        good = np.isfinite(ranges) & (ranges >= scan.range_min) & (ranges <= scan.range_max)
        beams = np.flatnonzero(good)[:: max(1, ranges.size // _LIDAR_POINTS)]
        place = run.state.pose(run.time(scan))
        angles = scan.angle_min + scan.angle_increment * beams + place.yaw
        x = self.x(place.x + ranges[beams] * np.cos(angles))
        y = self.y(place.y + ranges[beams] * np.sin(angles))
        inside = (x > self.left) & (x < self.width - self.left) & (y > 0) & (y < self.height)
        return [round(float(v), 1) for v in np.column_stack([x[inside], y[inside]]).ravel()]

    def svg(self, laid: str = "") -> str:
        """The finished drawing, with the robot and the lidar's points for the replay to move; laid: markup that lies
        on the ground, under the path."""
        shapes = sorted(self.run.obstacles, key=lambda o: o.kind != "patch")  # ground lies below what stands on it
        parts = [*self._ground(), *(self._shape(o) for o in shapes), *self._kept_off(), laid, *self._goal()]
        parts += [*self._path(), *self._contact()]
        w, h = self.run.outline[0] * self.scale, self.run.outline[1] * self.scale
        body = element("rect", x=-w / 2, y=-h / 2, width=w, height=h, rx=4)
        nose = element("path", d=f"M{w * 0.36:.1f} 0L{-w * 0.1:.1f} {-h * 0.26:.1f}V{h * 0.26:.1f}Z")
        parts += [element("g", id="lidar"), element("g", body, nose, id="robot")]
        box = f"0 0 {self.width} {self.height + 22:.0f}"
        return element("svg", *parts, viewBox=box, role="img", aria_label="map of the run")

    def _ground(self) -> list[str]:
        right = self.width - self.left
        parts = [
            element(
                "rect", class_="ground", x=self.left, y=0, width=right - self.left, height=self.height, rx=8
            )
        ]
        for x in nice_ticks(self.x0, self.x1, 10):
            at = float(self.x(x))
            parts.append(element("line", class_="mapgrid", x1=at, x2=at, y1=0, y2=self.height))
            if self.x0 + 0.3 < x < self.x1 - 0.3:
                label = f"{number(x)} m"
                parts.append(
                    element("text", label, class_="tick", x=at, y=self.height + 15, text_anchor="middle")
                )
        for y in nice_ticks(self.y0, self.y1, 5):
            at = float(self.y(y))
            parts.append(element("line", class_="mapgrid", x1=self.left, x2=right, y1=at, y2=at))
        return parts

    def _placed(self, x: float, y: float, yaw: float) -> str:
        return f"translate({self.x(x):.1f} {self.y(y):.1f}) rotate({-math.degrees(yaw):.1f})"

    def _box(self, css: str, x: float, y: float, yaw: float, length: float, width: float, **more: str) -> str:
        w, h = length * self.scale, width * self.scale
        place = self._placed(x, y, yaw)
        return element("rect", class_=css, x=-w / 2, y=-h / 2, width=w, height=h, rx=2, transform=place, **more)

    def _shape(self, o: Obstacle) -> str:
        if o.kind == "patch":
            return self._patch(o)
        if o.kind == "box":
            return self._box("obstacle", o.x, o.y, o.yaw, o.size_x, o.size_y)
        css = "mover" if o.kind == "mover" else "obstacle"
        return element("circle", class_=css, cx=self.x(o.x), cy=self.y(o.y), r=o.size_x / 2 * self.scale)

    def _patch(self, o: Obstacle) -> str:
        shape = self._box("patch", o.x, o.y, o.yaw, o.size_x, o.size_y, style=f"fill:{o.colour}")
        place = self._placed(o.x, o.y, o.yaw)
        name = html.escape(o.name)
        return shape + element("text", name, class_="patchname", y=4, text_anchor="middle", transform=place)

    def _kept_off(self) -> list[str]:
        if self._avoided is None or not len(self._avoided):
            return []
        side = CELL * self.scale
        x, y = self.x(self._avoided[:, 0]) - side / 2, self.y(self._avoided[:, 1]) + side / 2
        way = "".join(f"M{a:.1f} {b:.1f}l{side:.1f} {-side:.1f}" for a, b in zip(x, y, strict=True))
        return [element("path", element("title", "kept off"), class_="keptoff", d=way)]

    def _contact(self) -> list[str]:
        """Where the robot first touched something."""
        touched = np.flatnonzero(self.run.state["contacts"] > 0)
        if not touched.size:
            return []
        place = self.run.state.pose(float(self.run.state.t[touched[0]]))
        at = {"cx": self.x(place.x), "cy": self.y(place.y)}
        tip = element("title", "first contact")
        return [element("circle", tip, class_="contact", r=0.45 * self.scale, **at)]

    def _goal(self) -> list[str]:
        if self.run.goal is None:
            return []
        s, at = self.run.state, {"cx": self.x(self.run.goal[0]), "cy": self.y(self.run.goal[1])}
        parts = []
        if len(s):
            begin = {"x1": float(self.x(s["x"][0])), "y1": float(self.y(s["y"][0]))}
            parts.append(element("line", class_="straight", x2=at["cx"], y2=at["cy"], **begin))
        r = GOAL_REACHED * self.scale
        parts += [element("circle", class_=css, r=r, **at) for css in ("goalarea", "goal")]
        return [*parts, element("circle", class_="goal dot", r=4, **at)]

    def _path(self) -> list[str]:
        """Odometry, the robot's outline once a second, and the true path in stretches of equal colour, by speed."""
        s, odometry = self.run.state, self.run.odometry
        if len(s) < 2:
            return []
        step = max(1, len(odometry) // 600)
        dotted = self.points(odometry["x"][::step], odometry["y"][::step])
        parts = [element("polyline", class_="odometry", points=dotted)]
        seconds = np.searchsorted(s.t, np.arange(0.0, float(s.t[-1]) + 1e-6, max(1.0, float(s.t[-1]) / 60)))
        for i in seconds[seconds < len(s)]:
            parts.append(self._box("ghost", s["x"][i], s["y"][i], s["yaw"][i], *self.run.outline))
        step = max(1, len(s) // 900)
        x, y, speed = s["x"][::step], s["y"][::step], np.abs(s["speed"][::step])
        level = np.minimum((speed / fastest(self.run) * _COLOURS).astype(int), _COLOURS - 1)
        ends = [*np.flatnonzero(np.diff(level)) + 1, level.size - 1]
        begin = 0
        for end in ends:
            colour = speed_colour((level[begin] + 0.5) / _COLOURS)
            stretch = self.points(x[begin : end + 1], y[begin : end + 1])
            parts.append(element("polyline", style=f"stroke:{colour};stroke-width:4", points=stretch))
            begin = end
        return parts


def speed_key(run: Run) -> str:
    """The legend of the path's colours."""
    stops = [element("stop", offset=f"{k * 10}%", stop_color=speed_colour(k / 10)) for k in range(11)]
    scale = element("defs", element("linearGradient", *stops, id="speeds"))
    bar = element("rect", x=12, y=3, width=104, height=8, rx=4, fill="url(#speeds)")
    words = element("text", "0", x=0, y=11) + element("text", f"{fastest(run):.2f} m/s", x=122, y=11)
    return element("svg", scale, bar, words, class_="speedkey", viewBox="0 0 180 14")
