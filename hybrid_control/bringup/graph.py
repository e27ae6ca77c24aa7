"""A graph: which programs a robot runs, with which parameters, and what is to happen when one of them dies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OURS = "hybrid_control_ros"  # the package of our nodes, and the Python package that runs them
MAX_RESTARTS = 5  # of one program; one that dies more often is not brought back
RESTART_DELAY = 1.0  # s


@dataclass(frozen=True, slots=True)
class Program:
    """A process of the graph.

    name: the ROS node's name; unique in the graph. package, executable: as for `ros2 run`; where package is empty,
    executable is a command of the system's, without ROS arguments. nodes: parameters by the name of each node in it.
    managed: lifecycle nodes in it, in the order in which they are activated. restart: whether it is started again when
    it dies. essential: when it ends, everything ends. carries: the reflex is inactive while this is not active: it is
    what moves the robot or tells where it is.
    """

    name: str
    package: str
    executable: str
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    managed: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()  # parameter files, for programs that are not ours
    restart: bool = True
    essential: bool = False
    carries: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """What one robot runs. namespace: "" or "/robot1". cmd_vel: topic of the reflex's commands. goal: (x, y) m in
    the odometry's frame, told once on the topic goal_topic."""

    kind: str
    namespace: str
    programs: tuple[Program, ...]
    log_level: str = "info"
    cmd_vel: str = "cmd_vel"
    goal: tuple[float, float] | None = None
    goal_topic: str = "goal_pose"

    @property
    def managed(self) -> dict[str, Program]:
        """The program of each lifecycle node, in the order in which they are activated."""
        return {node: program for program in self.programs for node in program.managed}

    def values(self, node: str) -> Mapping[str, Any]:
        """The parameters of a node; KeyError where it is not in the graph."""
        for program in self.programs:
            if node in program.nodes:
                return program.nodes[node]
        raise KeyError(node)
