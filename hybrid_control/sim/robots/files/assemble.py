"""From what a file says to a robot: what it can't say is taken by default, and each such number is told in a line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.sim.robots.ackermann import KNUCKLE_MASS, Car
from hybrid_control.sim.robots.files.found import Extent, Found, Frame, Wheel, joined
from hybrid_control.sim.robots.holonomic import Holonomic
from hybrid_control.sim.robots.rover import Rover

SMALLEST, LARGEST = 0.05, 5.0  # m, of an outline's sides
MOST_SPEED = 5.0  # m/s
SPEED, ACCELERATION = 0.5, 1.0  # m/s and m/s², where nothing says them
MOST_YAW_RATE, MOST_YAW_ACCELERATION = 4.0, 8.0  # rad/s and rad/s², of those that follow from the wheels'
DENSITY = 200.0  # kg/m³, where no link has a mass
ASIDE = 0.01  # m, from where on something counts as off the middle
PER_TRACK = 0.8  # of the width, and the length, between the wheels of a base that has none
OF_VEHICLE = {  # numbers that are taken as the file has them
    "acceleration", "camera_hfov", "camera_height", "camera_rate", "camera_width", "deceleration", "imu_rate",
    "lidar_beams", "lidar_fov", "lidar_noise", "lidar_range_max", "lidar_range_min", "lidar_rate", "max_speed",
    "max_steering", "max_yaw_rate", "odometry_rate", "yaw_acceleration",
}  # fmt: skip
LIMITS = {  # of those, what a simulator can do with
    "camera_height": (8.0, 1080.0), "camera_hfov": (0.1, 2.8), "camera_rate": (1.0, 100.0),
    "camera_width": (8.0, 1920.0), "imu_rate": (1.0, 1000.0), "lidar_beams": (8.0, 4096.0), "lidar_rate": (1.0, 100.0),
    "odometry_rate": (5.0, 500.0),
}  # fmt: skip
WHOLE = ("camera_height", "camera_width", "encoder_counts", "lidar_beams")


class _Numbers:
    """Numbers of the robot to be, by its fields: what was given, what the file says, and what follows or is a default,
    which is told."""

    def __init__(self, found: Found, path: Path, given: Mapping[str, float], motors: int) -> None:
        self.path, self.given = path, given
        self.motors = motors  # wheels that it is simulated on that drive: 2, or 4 mecanum ones
        self.notes: list[str] = []
        self.values: dict[str, float] = {}
        for name, value in found.numbers.items():
            if name in OF_VEHICLE:
                low, high = LIMITS.get(name, (-math.inf, math.inf))
                self.values[name] = min(max(value, low), high)
        self.values |= given

    def put(self, name: str, value: float) -> float:
        """What the file says of a field, unless another was given."""
        return self.values.setdefault(name, round(float(value), 9))

    def default(self, name: str, value: float, unit: str) -> float:
        """What is taken where neither the file nor anybody says it."""
        if name not in self.values:
            file = self.path.name
            self.note(f"{name} not in {file}: {value:.4g} {unit} taken; --robot {file},{name}=... sets it")
        return self.put(name, value)

    def note(self, line: str) -> None:
        """A line for who reads."""
        self.notes.append(line)


def assemble(
    found: Found, path: Path, given: Mapping[str, float], sideways: bool | None = None
) -> tuple[Rover, list[str]]:
    """The robot, and lines on what was taken for it. given: numbers over the file's, by their fields' names; sideways:
    whether it moves in any direction, by what is found where None.

    Its frame is in the middle of the driven wheels, at their height. ValueError in one line where it can't be.
    """
    holonomic = bool(found.sideways) if sideways is None else sideways
    n = _Numbers(found, path, given, 4 if holonomic else 2)
    if found.unread and not {"length", "width"} <= given.keys():
        raise ValueError(
            f"{found.unread[0]}; expected STL there, or the outline, as in --robot {path.name},length=0.6,width=0.4"
        )
    driven = [w for w in found.wheels if w.steering == 0.0]
    steered = [w for w in found.wheels if w.steering > 0.0]
    solids = [s.extent for s in found.body] + [_disc(w) for w in found.wheels]
    if not solids:
        raise ValueError(f"{path}: no link has a <collision>; expected the shapes that the robot touches things with")
    whole = joined(solids)
    if holonomic:
        axle, driven, steered = *_corners(n, found, driven, whole, said=sideways is not None), []
    else:
        axle = _axle(n, found, driven, whole)
        if sideways is None and len(driven) == 4 and np.ptp([w.place[0] for w in driven]) > ASIDE:
            hint = f"--robot {path.name},holonomic=1 where they are mecanum wheels"
            n.note(f"four driven wheels in {path.name}: taken not to move it sideways; {hint}")
    ground = min((float(w.place[2]) - w.radius for w in driven), default=float(whole.low[2]))
    _outline(n, found, whole, axle, ground)
    mass = n.put("mass", found.mass) if found.mass > 0.0 else n.default(
        "mass", DENSITY * n.values["length"] * n.values["width"] * n.values["height"], "kg"
    )  # fmt: skip
    _wheels(n, found, driven, mass, ground)
    if steered:
        _steering(n, steered, axle)
    _limits(n, driven, bool(steered))
    _sensors(n, found, axle, ground)
    kind = Holonomic if holonomic else Car if steered else Rover
    values: dict[str, Any] = {name: int(v) if name in WHOLE else v for name, v in n.values.items()}
    try:
        robot = kind(name=_name(found.name), **values)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from None
    if robot.body_mass <= 0.0:
        raise ValueError(f"{path}: wheels as heavy as the whole, {mass:g} kg; expected a <mass> of the body")
    return robot, n.notes


def _name(name: str) -> str:
    """A robot's name as topics and files can have it."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name.strip().lower())[:40]
    return kept if kept[:1].isalpha() else f"robot_{kept}".rstrip("_")


def _disc(wheel: Wheel) -> Extent:
    half = np.array((wheel.radius, 0.5 * wheel.width, wheel.radius))
    return Extent(wheel.place - half, wheel.place + half)


def _axle(n: _Numbers, found: Found, driven: list[Wheel], whole: Extent) -> tuple[float, float]:
    """Where the robot's frame is in the base, m: in the middle between the driven wheels."""
    path = n.path
    if found.wheels and not driven:
        expected = f"expected an axle of wheels that are not, or --robot {path.name},holonomic=1"
        raise ValueError(f"{path}: every wheel is steered; {expected}")
    if not driven:
        track = n.put("track", PER_TRACK * whole.size[1])
        hint = "" if found.sideways else f"; --robot {path.name},holonomic=1 where it moves sideways"
        n.note(f"no wheels in {path.name}: it is taken to move as on two, {track:.3g} m apart, under base_link{hint}")
        _without_wheels(n, whole)
        return 0.0, 0.0
    sides = [[w for w in driven if sign * w.place[1] > 0.0] for sign in (1, -1)]
    if not all(sides):
        names = ", ".join(w.name for w in driven)
        raise ValueError(f"{path}: wheels on one side alone ({names}); expected some with y above 0 and some below")
    left, right = (float(np.mean([w.place[1] for w in side])) for side in sides)
    x, y = float(np.mean([w.place[0] for w in driven])), 0.5 * (left + right)
    n.put("track", found.numbers.get("track", left - right))
    radius = float(np.mean([w.radius for w in driven]))
    n.put("wheel_radius", found.numbers.get("wheel_radius", radius))
    if max(abs(w.radius - radius) for w in driven) > 0.02 * radius:
        n.note(f"driven wheels of different sizes in {path.name}: {radius:.4g} m taken for all")
    if abs(x) > ASIDE or abs(y) > ASIDE:
        at = f"({x:.3f}, {y:.3f}) m in base_link"
        n.note(f"base_link of {path.name} is not on the axle: places count from the axle's middle, {at}")
    return x, y


def _without_wheels(n: _Numbers, whole: Extent) -> None:
    n.put("wheel_radius", min(0.1, max(whole.size[2] / 3.0, 0.01)))


def _corners(
    n: _Numbers, found: Found, driven: list[Wheel], whole: Extent, said: bool
) -> tuple[tuple[float, float], list[Wheel]]:
    """Where the frame of a base that moves in any direction is in the base, m, and its mecanum wheels: four, or none
    where the file has others, or moves the base whatever its wheels do. said: it is by a person's word."""
    name = n.path.name
    why = "as was said" if said else f"by {found.sideways}"
    n.note(f"{name} moves in any direction, {why}; --robot {name},holonomic=0 takes it for one that does not")
    x, y = (float(np.mean([w.place[i] for w in driven])) if driven else 0.0 for i in (0, 1))
    corners = {(w.place[0] > x, w.place[1] > y) for w in driven}
    if len(driven) != 4 or len(corners) != 4 or (found.planar and not said):
        n.note(f"odometry of {name} is that of four mecanum wheels near its corners, whatever it stands on")
        n.put("track", PER_TRACK * whole.size[1])
        n.put("wheelbase", PER_TRACK * whole.size[0])
        _without_wheels(n, whole)
        return (0.0, 0.0), []
    ends = ([float(w.place[0]) for w in driven if (w.place[0] > x) == front] for front in (True, False))
    ahead, behind = (sum(end) / len(end) for end in ends)
    n.put("wheelbase", found.numbers.get("wheelbase", ahead - behind))
    return _axle(n, found, driven, whole), driven


def _outline(n: _Numbers, found: Found, whole: Extent, axle: tuple[float, float], ground: float) -> None:
    x, y = axle
    length = n.put("length", whole.size[0])
    n.put("outline_x", whole.middle[0] - x)
    left, right = float(whole.high[1]) - y, y - float(whole.low[1])
    width = n.put("width", 2.0 * max(left, right))
    if abs(left - right) > ASIDE and "width" not in n.given:
        reach = f"{left:.3f} m to the left and {right:.3f} m to the right"
        n.note(f"outline of {n.path.name} reaches {reach}: a width of {width:.3f} m taken")
    for name, side in (("length", length), ("width", width)):
        if not SMALLEST <= side <= LARGEST:
            expected = f"expected {SMALLEST} .. {LARGEST:g} m"
            raise ValueError(f"{n.path}: an outline with a {name} of {side:.3g} m; {expected}")
    height = n.put("height", whole.high[2] - ground)
    if height <= 0.0:
        raise ValueError(f"{n.path}: nothing above its wheels' lowest point; expected a body with a height")
    lowest = min((float(s.extent.low[2]) for s in found.body if not s.round), default=float(whole.low[2]))
    most = 0.5 * height
    n.put("ground_clearance", min(max(lowest - ground, min(0.005, most)), most))


def _wheels(n: _Numbers, found: Found, driven: list[Wheel], mass: float, ground: float) -> None:
    radius = n.values["wheel_radius"]
    rollers = [0.5 * float(s.extent.size[2]) for s in found.body if s.round and s.extent.low[2] - ground < ASIDE]
    n.put("caster_radius", min(rollers, default=min(0.03, radius / 3.0)))
    own = sum(w.mass for w in driven) / n.motors
    n.put("wheel_mass", own if 0.0 < own < 0.25 * mass else 0.03 * mass)
    widths = [w.width for w in driven if w.width > 0.0]
    if widths:
        n.put("wheel_width", float(np.mean(widths)))
    # of all on a side together, or of each of four; where nothing is said, or too little to drive, what accelerates the
    # robot by g on its own
    effort, least = sum(w.effort for w in driven) / n.motors, 9.81 * mass * radius
    n.put("wheel_effort", effort if effort > 0.2 * least else least)


def _steering(n: _Numbers, steered: list[Wheel], axle: tuple[float, float]) -> None:
    wheelbase = n.put("wheelbase", float(np.mean([w.place[0] for w in steered])) - axle[0])
    if wheelbase < SMALLEST:
        expected = f"expected {SMALLEST} m at least"
        raise ValueError(f"{n.path}: steered wheels {wheelbase:.3g} m ahead of the others; {expected}")
    if n.values["wheel_mass"] * 4 + 2 * KNUCKLE_MASS >= n.values["mass"] and "wheel_mass" not in n.given:
        n.values["wheel_mass"] = 0.05 * n.values["mass"]
    # the inner wheel stands square to the line to the circle's middle, half a track nearer than the axle's middle
    inner = min(w.steering for w in steered)
    half = 0.5 * n.values["track"] if len(steered) > 1 else 0.0
    n.put("max_steering", math.atan(wheelbase / (wheelbase / math.tan(min(inner, 1.4)) + half)))
    if not 0.05 <= n.values["max_steering"] <= 1.2:
        raise ValueError(f"{n.path}: steers by {n.values['max_steering']:.3g} rad; expected 0.05 .. 1.2 rad")


def _limits(n: _Numbers, driven: list[Wheel], steers: bool) -> None:
    """Speeds and accelerations: said, by the wheels' joints, or by default."""
    lever = 0.5 * (n.values["track"] + (n.values["wheelbase"] if n.motors == 4 else 0.0))
    by_wheels = min((w.speed for w in driven if w.speed > 0.0), default=0.0) * n.values["wheel_radius"]
    if n.motors == 4:  # aslant a mecanum wheel turns by both parts of the speed
        by_wheels /= math.sqrt(2.0)
    if by_wheels > MOST_SPEED and "max_speed" not in n.values:
        n.note(f"joint limits of {n.path.name} allow {by_wheels:.3g} m/s: {MOST_SPEED:g} m/s taken")
    if by_wheels > 0.0:
        n.put("max_speed", min(by_wheels, MOST_SPEED))
    speed = n.default("max_speed", SPEED, "m/s")
    if not 0.0 < speed <= MOST_SPEED:
        raise ValueError(f"{n.path}: a max_speed of {speed:g} m/s; expected more than 0, at most {MOST_SPEED:g}")
    tightest = n.values["wheelbase"] / math.tan(n.values["max_steering"]) if steers else lever
    n.default("max_yaw_rate", min(speed / tightest, MOST_YAW_RATE), "rad/s, by its wheels,")
    rise = n.default("acceleration", ACCELERATION, "m/s²")
    n.default("deceleration", rise, "m/s²")
    n.default("yaw_acceleration", min(rise / lever, MOST_YAW_ACCELERATION), "rad/s²")


def _place(found: Frame, axle: tuple[float, float]) -> tuple[float, float]:
    return float(found.place[0]) - axle[0], float(found.place[1]) - axle[1]


def _sensors(n: _Numbers, found: Found, axle: tuple[float, float], ground: float) -> None:
    lidar, camera = found.frames.get("lidar"), found.frames.get("camera")
    top, middle = n.values["height"], n.values["outline_x"]
    if lidar is None:
        n.note(f"no lidar in {n.path.name}: one over the outline's middle taken, 0.05 m above its top")
        n.put("lidar_x", middle)
        n.put("lidar_z", top + 0.05)
    else:
        x, y = _place(lidar, axle)
        for name, value in (("lidar_x", x), ("lidar_y", y), ("lidar_z", float(lidar.place[2]) - ground)):
            n.put(name, value)
        turn = lidar.yaw + found.numbers.get("lidar_turn", 0.0)
        n.put("lidar_yaw", math.remainder(turn, math.tau))
    if n.values.get("lidar_range_min", 0.0) >= n.values.get("lidar_range_max", math.inf):
        raise ValueError(f"{n.path}: a lidar whose least range is its greatest; expected <min> below <max>")
    if camera is None:
        n.note(f"no camera in {n.path.name}: one at the outline's front taken, at the height of its top")
        n.put("camera_x", middle + 0.45 * n.values["length"])
        n.put("camera_z", top)
        return
    x, y = _place(camera, axle)
    n.put("camera_x", x)
    n.put("camera_z", float(camera.place[2]) - ground)
    n.put("camera_pitch", camera.pitch)
    if abs(y) > 0.05:
        n.note(f"camera of {n.path.name} is {y:.3f} m beside the middle: taken to be in it")
