"""From what is known of a robot to the reflex's parameters: the one place where reaction follows from the robot."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

from hybrid_control.navigation.reflex.feed import MID, NOMINAL_HALF_WIDTH
from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
from hybrid_control.navigation.reflex.guard import GUARD_MARGIN, REACTION
from hybrid_control.parameters import Value

COUNTED_ON = 0.8  # share of the least braking seen: the rest is for another floor, load or battery
UNFORESEEN = 0.25  # share of the braking way that is kept free beyond it
OVERSHOOT = math.pi / 4  # rad that a turn goes on for, ended as late as can be
LOST = 5  # messages in a row that may be missing
LEAST_TIMEOUT = 0.25  # s, below which a busy computer would stop the robot, not a sensor
GIVES_WAY = math.pi / 2  # rad that a robot turns, at most, to drive past what is ahead
_PARAMETERS = {p.name: p for p in (*SETTINGS, *GAINS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What is known of a robot, by ruler, description or measurement.

    length, width: m of the outline; middle: m of its middle ahead of base_link; max_speed: m/s; max_yaw_rate: rad/s;
    braking: m/s², the least that was seen; acceleration: m/s²; yaw_acceleration: rad/s²; delay: s from a command to the
    motion, the longest; lidar_rate, odometry_rate: Hz, the lowest; turning_radius: m of the tightest circle of a car, 0
    for a base that turns on the spot; holonomic: whether it moves sideways too. ValueError for what can't be.
    """

    length: float
    width: float
    max_speed: float
    max_yaw_rate: float
    braking: float
    delay: float
    lidar_rate: float
    odometry_rate: float
    acceleration: float = math.inf
    yaw_acceleration: float = math.inf
    middle: float = 0.0
    turning_radius: float = 0.0
    holonomic: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            may_be_zero = field.name in ("delay", "turning_radius", "holonomic")
            may_be_endless = field.name.endswith("acceleration")
            if field.name == "middle":
                value, may_be_zero = abs(value), True
            if not (value >= 0 and (value > 0 or may_be_zero) and (value < math.inf or may_be_endless)):
                raise ValueError(
                    f"{field.name}: {value:g} can't be; expected {'0 or more' if may_be_zero else 'more than 0'}"
                )


class Derived(NamedTuple):
    """A parameter's value, and why it is that, in one line."""

    value: Value
    reason: str


def derived(robot: Measures) -> dict[str, Value]:
    """The reflex's parameters that follow from a robot, by name. Errors as of `reasoned`."""
    return {name: each.value for name, each in reasoned(robot).items()}


def reasoned(robot: Measures) -> dict[str, Derived]:
    """As `derived`, each with its reason. ParameterError where a value is out of the parameter's range: the robot is
    none that this reflex can drive."""
    r = robot
    answers_in = max(r.delay, REACTION)  # s; less is not counted on
    swing = float(_PARAMETERS["max_yaw_acceleration"].default)
    if not r.turning_radius:  # a car's turns follow its steering
        swing = _down(min(swing, COUNTED_ON * r.yaw_acceleration))
    end, front = r.length / 2 + abs(r.middle), r.length / 2 + r.middle
    braking = _down(COUNTED_ON * min(r.braking, r.acceleration))
    speed = _down(min(r.max_speed, _PARAMETERS["max_speed"].high, _fastest_sideways(r, braking, answers_in)))
    yaw_rate = _down(
        min(r.max_yaw_rate, _slow_enough_to_end(answers_in, swing), _PARAMETERS["max_yaw_rate"].high)
    )
    late = max(r.delay - REACTION, 0.0) + 1.0 / r.odometry_rate
    braking_way = 0.5 * speed * speed / braking if braking > 0.0 else math.inf
    corner = 0.0 if r.turning_radius else math.hypot(end, r.width / 2) - front
    stop = _up(GUARD_MARGIN + max(corner, speed * late + UNFORESEEN * braking_way))
    clearance = _up(min(GUARD_MARGIN + end * yaw_rate * answers_in, r.width))
    way = front + stop + speed * (answers_in + REACTION + 1.0 / r.lidar_rate) + braking_way
    way += GIVES_WAY * r.turning_radius if r.turning_radius else GIVES_WAY * speed / yaw_rate
    scale = NOMINAL_HALF_WIDTH / (r.width / 2 + clearance)
    found: dict[str, tuple[Value, str]] = {
        "robot_length": (r.length, "the outline with everything that sticks out"),
        "robot_width": (r.width, "the outline with everything that sticks out"),
        "holonomic": (r.holonomic, "whether it moves sideways"),
        "min_turning_radius": (r.turning_radius, "tightest circle; 0: it turns on the spot"),
        "max_speed": (speed, f"it reaches {r.max_speed:.3g} m/s{_held_back(r, speed)}"),
        "max_yaw_rate": (
            yaw_rate,
            f"it reaches {r.max_yaw_rate:.3g} rad/s; a turn that ends {answers_in:.3g} s late goes on for "
            f"{math.degrees(OVERSHOOT):.0f} degrees at most",
        ),
        "max_acceleration": (
            braking,
            f"{COUNTED_ON:g} of the lower of braking, {r.braking:.3g}, and acceleration, {r.acceleration:.3g} m/s²",
        ),
        "stop_distance": (
            stop,
            f"{GUARD_MARGIN:g} m for the scan's noise, and the larger of {corner:.3g} m that a corner needs to turn "
            f"away and {speed * late + UNFORESEEN * braking_way:.3g} m of delay and unforeseen braking",
        ),
        "clearance": (
            clearance,
            f"{GUARD_MARGIN:g} m for the scan's noise, and what an end swings out in {answers_in:.3g} s of turn",
        ),
        "avoidance_distance": (
            _up(min(max(way * scale, MID), _PARAMETERS["avoidance_distance"].high)),
            f"{way:.3g} m to stop or to turn away, times {scale:.3g} for its width (the network knows one width)",
        ),
        "creep": (min(float(_PARAMETERS["creep"].default), speed), "no faster than it drives at all"),
        "scan_timeout": (_timeout("scan_timeout", r.lidar_rate), _timeout_reason("scans", r.lidar_rate)),
        "odometry_timeout": (
            _timeout("odometry_timeout", r.odometry_rate),
            _timeout_reason("odometry messages", r.odometry_rate),
        ),
    }  # fmt: skip
    if not r.turning_radius and r.yaw_acceleration < math.inf:
        found["max_yaw_acceleration"] = (
            swing,
            f"{COUNTED_ON:g} of {r.yaw_acceleration:.3g} rad/s² that it has",
        )
    if r.holonomic:
        braking_time = 0.5 * speed / braking if braking > 0.0 else 0.0
        found["response_time"] = (
            _up(answers_in + braking_time),
            f"the delay, for which it goes on as it did, and {braking_time:.3g} s for its way while it brakes",
        )
    return {name: Derived(_PARAMETERS[name].check(value), reason) for name, (value, reason) in found.items()}


def _fastest_sideways(robot: Measures, braking: float, answers_in: float) -> float:
    """m/s at which one that moves sideways follows within the longest response_time that there is, inf for others: at v
    it goes on for the delay, and for v / (2 braking) more."""
    if not robot.holonomic:
        return math.inf
    return max(2.0 * braking * (_PARAMETERS["response_time"].high - answers_in), 0.0)


def _held_back(robot: Measures, speed: float) -> str:
    slower = robot.holonomic and speed < _down(min(robot.max_speed, _PARAMETERS["max_speed"].high))
    return "; faster it would go on too long as it did, for its braking" if slower else ""


def _slow_enough_to_end(delay: float, yaw_acceleration: float) -> float:
    """rad/s from which a turn that is ended `delay` and REACTION late is over within OVERSHOOT: the positive root of
    w (delay + REACTION) + w² / (2 yaw_acceleration) = OVERSHOOT."""
    late, a = delay + REACTION, yaw_acceleration
    return a * (math.sqrt(late * late + 2.0 * OVERSHOOT / a) - late)


def _timeout(name: str, rate: float) -> float:
    known = _PARAMETERS[name]
    return _up(min(max(LOST / rate, LEAST_TIMEOUT, known.low), known.high))


def _timeout_reason(what: str, rate: float) -> str:
    return f"{LOST} {what} at {rate:.3g} Hz may be lost, and no less than {LEAST_TIMEOUT:g} s for a busy computer"


def _down(value: float) -> float:
    """To two decimals, the safe way; what is as good as there already stays."""
    return math.floor(value * 100 + 1e-6) / 100


def _up(value: float) -> float:
    return math.ceil(value * 100 - 1e-6) / 100
