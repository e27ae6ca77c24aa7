"""What has to be known of a new robot, question by question: name, range, default and why it is asked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hybrid_control.bringup.node_parameters import NODES
from hybrid_control.parameters import Parameter, ParameterError, Value

Answers = Mapping[str, Value]

DRIVES = ("differential", "skid", "mecanum", "ackermann")
NO_CONTROLLER = "none"
LONGEST = 200  # letters of an answer
_WORDS = {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}
_TOPIC = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*")
_TOPICS = {"scan": "scan", "odom": "odom", "cmd_vel": "cmd_vel", "camera": "camera/image_raw"}


def always(answers: Answers) -> bool:
    """Whatever was answered before."""
    return True


@dataclass(frozen=True)
class Question:
    """A question. parameter: name, type, unit and range of the answer; default: None where a person must say it; why:
    a line; asked: whether, by what was answered before."""

    parameter: Parameter
    default: Value | None
    why: str
    asked: Callable[[Answers], bool] = always

    @property
    def name(self) -> str:
        """Its name."""
        return self.parameter.name

    def read(self, text: str) -> Value:
        """An answer as typed; ParameterError, one line, where it is none."""
        text, known = text.strip(), self.parameter
        value: object = text
        if isinstance(known.default, bool):
            value = _WORDS.get(text.lower())
            if value is None:
                raise ParameterError(f"{self.name}: {text!r}; expected yes or no")
        elif isinstance(known.default, (int, float)):
            try:
                value = float(text) if isinstance(known.default, float) else int(text)
            except ValueError:
                wanted = f"{known.range_text} {known.unit}".strip()
                raise ParameterError(f"{self.name}: {text!r} is no number; expected {wanted}") from None
        elif not text.isprintable() or len(text) > LONGEST:
            raise ParameterError(
                f"{self.name}: expected at most {LONGEST} letters, digits and the like, on one line"
            )
        elif self.name in _TOPICS and not _TOPIC.fullmatch(text):
            raise ParameterError(f"{self.name}: {text!r} is no topic; expected a name such as {self.default}")
        if self.name == "drive" and text in ("drone", "quad"):
            raise ParameterError(
                "drive: this is for wheels; docs/drone.md sets up a drone, from config/quad.yaml"
            )
        if self.name == "drive" and text in ("holonomic", "omni", "omnidirectional", "planar"):
            raise ParameterError(f"drive: {text!r}; a base that moves sideways is mecanum here, whatever its wheels")
        return known.check(value)


def _of(node: str, name: str, low: float | None = None) -> Parameter:
    """A node's parameter. low: m and the like that an answer must have at least."""
    found = next(p for p in NODES[node] if p.name == name)
    return found if low is None else replace(found, low=low)


def _is(**wanted: Value) -> Callable[[Answers], bool]:
    return lambda answers: all(answers.get(name) == value for name, value in wanted.items())


def _has_controller(answers: Answers) -> bool:
    return answers.get("controller", NO_CONTROLLER) != NO_CONTROLLER


def _steers(answers: Answers) -> bool:
    return answers.get("drive") == "ackermann" and (
        "min_turning_radius" not in answers or _has_controller(answers)
    )


def _is_not_measured(answers: Answers) -> bool:
    return answers.get("measure") == "no"


def _names(name: str, what: str) -> Question:
    return Question(Parameter(name, "", "", what), _TOPICS[name], "the robot's own name for it")


#: In the order in which they are asked.
QUESTIONS: tuple[Question, ...] = (
    Question(
        Parameter("drive", "differential", "", "how it moves", choices=DRIVES), "differential",
        "differential and skid turn on the spot, mecanum moves sideways too (on any wheels), ackermann steers as a car",
    ),
    Question(
        Parameter("controller", NO_CONTROLLER, "", "what turns the wheels",
                  choices=(NO_CONTROLLER, *_of("firmware_bridge_node", "driver").choices)),
        NO_CONTROLLER,
        "none: the robot's own driver listens to cmd_vel; else our firmware bridge drives that controller",
    ),
    Question(_of("reflex_node", "robot_length"), None, "the guard believes it: with everything that sticks out"),
    Question(_of("reflex_node", "robot_width"), None, "the guard believes it: with everything that sticks out"),
    Question(
        _of("reflex_node", "outline_x"), 0.0, "0 where base_link is in the middle",
        lambda answers: answers.get("drive") != "ackermann",
    ),
    Question(
        _of("reflex_node", "outline_x"), None, "base_link is in the middle of the rear axle of a car",
        _is(drive="ackermann"),
    ),
    Question(
        _of("reflex_node", "max_speed", 0.05), None, "the speed that it is to drive at; reaction follows from it"
    ),
    Question(_of("reflex_node", "min_turning_radius"), None, "of a car whose circle is known", lambda answers: False),
    Question(
        _of("firmware_bridge_node", "wheelbase"), None, "its tightest circle is wheelbase / tan(max_steering)",
        lambda answers: _steers(answers) or (answers.get("drive") == "mecanum" and _has_controller(answers)),
    ),
    Question(
        _of("firmware_bridge_node", "max_steering"), None, "its tightest circle is wheelbase / tan(max_steering)",
        _steers,
    ),
    Question(
        _of("reflex_node", "max_yaw_rate", 0.05), None, "the turn that it is to make on the spot",
        lambda answers: answers.get("drive") != "ackermann",
    ),
    Question(
        Parameter("braking", 0.5, "m/s²", "braking that it surely has", 0.13, 20.0), 0.5,
        "rather too little: it is counted on, until less is measured",
    ),
    Question(
        Parameter("delay", 0.2, "s", "time from a command to the motion", 0.0, 1.0), 0.2,
        "rather too much: nobody measured it", _is_not_measured,
    ),
    Question(
        Parameter("lidar_rate", 10.0, "Hz", "scans a second", 1.0, 100.0), 10.0,
        "how long to wait for a scan before it stops", _is_not_measured,
    ),
    Question(
        Parameter("odometry_rate", 20.0, "Hz", "odometry messages a second", 1.0, 1000.0), 20.0,
        "how long to wait for odometry", _is_not_measured,
    ),
    Question(_of("reflex_node", "lidar_x"), 0.0, "ahead of base_link; behind it below 0"),
    Question(_of("reflex_node", "lidar_y"), 0.0, "to the left of base_link; to the right below 0"),
    Question(_of("reflex_node", "lidar_yaw"), 0.0, "0 where its 0 degrees look ahead, 3.1416 where they look back"),
    Question(
        _of("reflex_node", "no_echo"), "infinite", "nothing there must not be taken for a dead sensor, or the reverse"
    ),
    _names("scan", "topic of the lidar, a LaserScan"),
    _names("odom", "topic of the odometry"),
    _names("cmd_vel", "topic that the base listens to"),
    _names("camera", "topic of the camera, an Image or CompressedImage"),
    Question(_of("planner_node", "compressed"), False, "as the camera's driver has it"),
    Question(_of("reflex_node", "scan_frame"), "", "scans of other frames are refused"),
    Question(_of("reflex_node", "base_frame"), "base_link", "as in the robot's description"),
    Question(_of("reflex_node", "odom_frame"), "odom", "odometry of other frames is refused"),
    Question(_of("reflex_node", "stamped_cmd_vel"), True, "as the base's driver wants it"),
    Question(
        _of("firmware_bridge_node", "port"), "/dev/rover", "config/99-rover.rules gives it that name", _has_controller
    ),
    Question(_of("firmware_bridge_node", "wheel_radius"), None, "odometry's metres come from it", _has_controller),
    Question(_of("firmware_bridge_node", "track"), None, "odometry's turns come from it", _has_controller),
    Question(
        _of("firmware_bridge_node", "wheels_per_side"), 1, "as many as have encoders and motors of their own",
        lambda answers: _has_controller(answers) and answers.get("drive") == "skid",
    ),
    Question(
        _of("firmware_bridge_node", "slip"), 1.5, "wheels that scrub turn less: docs/tuning.md, step 1",
        lambda answers: _has_controller(answers) and answers.get("drive") == "skid",
    ),
)  # fmt: skip
TOPICS: Mapping[str, str] = _TOPICS


def given(words: list[str]) -> dict[str, Value]:
    """Answers in advance, each NAME=VALUE as typed. ParameterError for an unknown name or a value that can't be."""
    known = {q.name: q for q in QUESTIONS}
    answers: dict[str, Value] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in known:
            raise ParameterError(f"--set {word}: expected NAME=VALUE; names are {', '.join(known)}")
        answers[name] = known[name].read(text)
    return answers


def turning_radius(answers: Answers) -> float:
    """m of the tightest circle; 0 for a base that turns on the spot."""
    if answers["drive"] != "ackermann":
        return 0.0
    if "min_turning_radius" in answers:
        return float(answers["min_turning_radius"])
    return float(answers["wheelbase"]) / math.tan(float(answers["max_steering"]))
