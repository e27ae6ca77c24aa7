"""What a person should read where a robot waits: facts about topics, clock, goal and progress as lines. No ROS here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hybrid_control.signals import Goal

LASTING = 2.5  # s that something must hold before it is said: nodes that start find each other by and by
FORGOTTEN = 25.0  # s after which DDS has forgotten a process that was killed, and that its successor's twin is no more
NO_PROGRESS = 10.0  # s of driving without coming nearer
NEARER = 0.1  # m that count as nearer


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One node's end of a topic. kind: such as geometry_msgs/msg/Twist. reliable, latched: what it offers where it
    sends, and asks for where it hears."""

    node: str
    kind: str
    reliable: bool = True
    latched: bool = False


_TWISTS = {"geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"}


def mismatches(topic: str, ours: Endpoint, others: Iterable[Endpoint], sends: bool) -> list[str]:
    """Those on the other side of the topic with whom nothing is exchanged. sends: whether we do; else we hear."""
    do, they_do = ("sends", "hears") if sends else ("hears", "sends")
    lines = []
    for other in others:
        sender, hearer = (ours, other) if sends else (other, ours)
        if other.kind != ours.kind:
            cure = "give both the same type"
            if {other.kind, ours.kind} == _TWISTS:
                cure = "set stamped_cmd_vel so that both have the same type"
            lines.append(f"{topic}: {other.node} {they_do} {other.kind}, this node {do} {ours.kind}: {cure}")
        elif hearer.reliable and not sender.reliable:
            lines.append(
                f"{topic}: {sender.node} sends best effort and {hearer.node} asks for reliable, so nothing is "
                "received: set both to reliable"
            )
        elif hearer.latched and not sender.latched:
            lines.append(
                f"{topic}: {sender.node} sends volatile and {hearer.node} asks for transient local, so nothing is "
                "received: set both to the same"
            )
    return lines


_TWIN = "; all have the same name: is it started twice?"


def rivals(topic: str, publishers: Sequence[str]) -> list[str]:
    """More than one publisher where one must rule. publishers: their nodes' names."""
    if len(publishers) < 2:
        return []
    twins = _TWIN if len(set(publishers)) == 1 else ""
    names = ", ".join(sorted(publishers))
    return [f"{topic}: {len(publishers)} publishers ({names}), expected one: end the others, or mux them{twins}"]


def contradiction(publishers: Sequence[str]) -> str:
    """Why a topic of one sensor, say, is not believed. publishers: the names of all nodes that publish it."""
    return f"more than one publisher speaks on it ({', '.join(sorted(publishers))}): end the others"


def clock_hints(publishers: Sequence[str]) -> list[str]:
    """For a node that goes by simulated time. publishers: nodes that publish /clock."""
    if not publishers:
        return [
            "use_sim_time is true and nobody publishes /clock: start what does, or set use_sim_time to false"
        ]
    return rivals("/clock", publishers)


class Lasting:
    """Lets a line through once it has held for a while."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def see(self, lines: Iterable[str], now: float) -> list[str]:
        """The lines that hold now (monotonic s) and have held long enough; in their order, each once."""
        self._since = {line: self._since.get(line, now) for line in lines}
        return [line for line, since in self._since.items() if now - since >= patience(line)]


def patience(line: str) -> float:
    """How long (s) a line must hold."""
    return FORGOTTEN if line.endswith(_TWIN) else LASTING


class Way:
    """The way to the goal, seen from outside: whether the robot comes nearer."""

    def __init__(self) -> None:
        self._goal: Goal | None = None
        self._at: tuple[float, float] | None = None
        self._nearest, self._since = math.inf, -math.inf

    def moved(self, x: float, y: float) -> None:
        """Where the robot is by its odometry, m."""
        self._at = x, y

    @property
    def distance(self) -> float:
        """m to the goal, NaN where one of the two is not known."""
        if self._goal is None or self._at is None:
            return math.nan
        return math.hypot(self._goal.x - self._at[0], self._goal.y - self._at[1])

    def aim(self, goal: Goal) -> bool:
        """Where it is sent; the same goal again changes nothing. Whether it is another one."""
        if self._goal is not None and (goal.x, goal.y) == (self._goal.x, self._goal.y):
            return False
        self._goal, self._nearest = goal, math.inf
        return True

    def progress(self, driving: bool, now: float) -> str:
        """A line where it has driven for NO_PROGRESS without getting NEARER, else "". now: s of the ROS clock."""
        distance = self.distance
        if not driving or math.isnan(distance):
            self._nearest = math.inf
            return ""
        if self._nearest - distance >= NEARER or now < self._since:
            self._nearest, self._since = distance, now
        if now - self._since < NO_PROGRESS:
            return ""
        return f"not {NEARER:g} m nearer to the goal for {NO_PROGRESS:g} s"
