"""Which nodes a robot runs, with which parameters, and what is to happen when one of them dies. No ROS here.

`hybrid-control up`, `hybrid-control sim` and the launch files all start what `build` describes.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from hybrid_control.bringup.node_parameters import NODES, USE_SIM_TIME
from hybrid_control.bringup.parameter_files import Sections, sections_of
from hybrid_control.parameters import ParameterError, Value, check_all

OURS = "hybrid_control_ros"  # the package of our nodes; module and executable bear one name
MAX_RESTARTS = 5  # of one program; one that dies more often is not brought back
RESTART_DELAY = 1.0  # s

_NAMESPACE = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*")
_TOPIC = re.compile(r"[/~]{0,2}[A-Za-z_]\w*(/[A-Za-z_]\w*)*")
_NO_VALUES: Mapping[str, Value] = {}


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a graph: the same name on the command line (with dashes) and in a launch file."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()

    def check(self, value: str) -> str:
        """The value; ValueError where it can't be."""
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.name}: {value!r} is unknown, expected {', '.join(self.choices)}")
        return value


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


# -- arguments -------------------------------------------------------------------------------------------------------


def _common(params: str, sim_time: bool) -> tuple[Argument, ...]:
    yes = ("true", "false")
    return (
        Argument("namespace", "", "namespace of every node and topic, such as robot1"),
        Argument("use_sim_time", str(sim_time).lower(), "go by /clock", yes),
        Argument("params_file", params, "parameters: a YAML file, or the name of one in config/"),
        Argument("model_file", "", "the planner, an ONNX file; empty for what the parameters say"),
        Argument("network_file", "", "the reflex's network, a NIR file; empty for what the parameters say"),
        Argument("log_level", "info", "least that is logged", ("debug", "info", "warn", "error", "fatal")),
        Argument("composed", "false", "planner, encoder and reflex in one process", yes),
        Argument(
            "goal", "", "where to go at once, 'X,Y' in the odometry's frame; empty to wait for goal_pose"
        ),
        Argument(
            "cmd_vel",
            "cmd_vel",
            "topic of the commands, such as cmd_vel_reflex where a twist_mux comes after",
        ),
        Argument(
            "remap",
            "",
            "topics that have other names on this robot, such as 'scan:=front/scan; odom:=platform/odom'",
        ),
        Argument("rviz", "false", "open rviz2 (package rviz2)", yes),
        Argument("foxglove", "false", "serve Foxglove on port 8765 (package foxglove_bridge)", yes),
    )


_ROBOT = (
    Argument(
        "base", "firmware",
        "what moves the robot: our firmware bridge; direct, the bridge in the reflex's process; "
        "none, where the robot's own driver listens to cmd_vel",
        ("firmware", "direct", "none"),
    ),
    Argument("port", "", "serial port of the motor controller; empty for what the parameters say"),
    Argument("lidar", "none", "driver to start: none, {}, or PACKAGE/EXECUTABLE"),
    Argument("camera", "none", "driver to start: none, {}, or PACKAGE/EXECUTABLE"),
)  # fmt: skip

_WORLD = (
    Argument("world", "default", "name of a world, or FILE.npz:ID"),
    Argument("seed", "0", "seed of the world and of everything random"),
    Argument("robot", "jackal", "name of a robot"),
)

#: Drivers of sensors by name: package, executable, parameters, and the topics that are ours. Never run here.
LIDARS: dict[str, tuple[str, str, Mapping[str, Value], tuple[tuple[str, str], ...]]] = {
    "rplidar": ("rplidar_ros", "rplidar_composition", {"frame_id": "lidar"}, ()),
    "urg": ("urg_node", "urg_node_driver", {"laser_frame_id": "lidar"}, ()),
}
CAMERAS: dict[str, tuple[str, str, Mapping[str, Value], tuple[tuple[str, str], ...]]] = {
    "v4l2": ("v4l2_camera", "v4l2_camera_node", {"camera_frame_id": "camera"}, (("image_raw", "camera/image_raw"),)),
    "usb_cam": ("usb_cam", "usb_cam_node_exe", {"frame_id": "camera"}, (("image_raw", "camera/image_raw"),)),
}  # fmt: skip


def _named(argument: Argument, names: Mapping[str, object]) -> Argument:
    return Argument(argument.name, argument.default, argument.description.format(", ".join(names)))


def arguments(kind: str) -> tuple[Argument, ...]:
    """The arguments of a kind of graph; ValueError for one that does not exist."""
    if kind not in _KINDS:
        raise ValueError(f"no graph {kind!r}; there are {', '.join(_KINDS)}")
    return _KINDS[kind][0]


def describe(kind: str) -> str:
    """A kind of graph in one line."""
    return _KINDS[kind][1]


# -- parameters ------------------------------------------------------------------------------------------------------


def config_folder() -> Path:
    """Where the parameter files are: as installed by hybrid_control_bringup, or else in the repository.

    OSError where neither is there.
    """
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        pass
    else:
        try:
            installed = Path(get_package_share_directory("hybrid_control_bringup")) / "config"
        except PackageNotFoundError:
            pass
        else:
            if installed.is_dir():
                return installed
    tree = Path(__file__).parents[2] / "config"
    if tree.is_dir():
        return tree
    raise OSError("config/ is not found: build and source the workspace (package hybrid_control_bringup)")


def params_path(name: str) -> Path:
    """A parameter file by path, or by its name in config/; OSError where it is neither."""
    if os.sep not in name and not name.endswith((".yaml", ".yml")):
        file = config_folder() / f"{name}.yaml"
        if not file.is_file():
            known = ", ".join(sorted(f.stem for f in config_folder().glob("*.yaml")))
            raise OSError(
                f"params_file: no {name!r} in config/, there are {known}; for another file give its path"
            )
        return file
    file = Path(name).expanduser()
    if not file.is_file():
        raise OSError(f"params_file: {name}: no such file")
    return file.resolve()


@dataclass(frozen=True, slots=True)
class _Build:
    """The arguments of a graph, and what all kinds make of them."""

    kind: str
    given: Mapping[str, str]
    namespace: str
    file: Path
    sections: Sections

    @property
    def sim_time(self) -> bool:
        return self.given["use_sim_time"] == "true"

    def true(self, name: str) -> bool:
        return self.given[name] == "true"

    def values(self, node: str, **over: Value) -> dict[str, Any]:
        """Every parameter of one of our nodes: defaults, the file's over them, and `over` over these."""
        full = f"{self.namespace}/{node}"
        given = {
            **self.sections.of(full, [p.name for p in (USE_SIM_TIME, *NODES[node])]),
            "autostart": False,
            **over,
        }
        given["use_sim_time"] = bool(over.get("use_sim_time", self.sim_time))
        return dict(check_all((USE_SIM_TIME, *NODES[node]), given, where=f"{self.file}: {node}"))

    def node(self, name: str, executable: str = "", **more: Any) -> Program:
        """One of our nodes in a process of its own. over: parameters."""
        over = more.pop("over", _NO_VALUES)
        return Program(name, OURS, executable or name, {name: self.values(name, **over)}, (name,), **more)

    def driver(self, name: str, wanted: str, known: Mapping[str, Any]) -> list[Program]:
        """Somebody else's driver of a sensor, under the name of the sensor."""
        if wanted == "none":
            return []
        if wanted in known:
            package, executable, values, remappings = known[wanted]
        else:
            package, slash, executable = wanted.partition("/")
            values, remappings = {}, ()
            if not slash or not package or not executable:
                raise ValueError(
                    f"{name}: {wanted!r}; expected none, {', '.join(known)}, or PACKAGE/EXECUTABLE"
                )
        values = {"use_sim_time": self.sim_time, **values}
        return [
            Program(name, package, executable, {name: values}, files=(str(self.file),), remappings=remappings)
        ]

    def mind(self, **reflex: Value) -> list[Program]:
        """Planner, encoder and reflex."""
        reflex = {**self._drone(), **reflex}
        planner: dict[str, Value] = {}
        if self.given["model_file"]:
            planner["model_file"] = _existing("model_file", self.given["model_file"])
        if self.given["network_file"]:
            reflex["network_file"] = _existing("network_file", self.given["network_file"])
        encoder: dict[str, Value] = {"seed": int(self.given["seed"])} if "seed" in self.given else {}
        over = {"planner_node": planner, "rate_to_spike_node": encoder, "reflex_node": reflex}
        topic = self.given["cmd_vel"]
        moved = (("cmd_vel", topic),) if topic != "cmd_vel" else ()
        if self.true("composed"):
            nodes = {name: self.values(name, **values) for name, values in over.items()}
            return [Program("composed_node", OURS, "composed_node", nodes, tuple(nodes), remappings=moved)]
        remaps = {"reflex_node": moved}
        return [
            self.node(name, over=values, remappings=remaps.get(name, ())) for name, values in over.items()
        ]

    def _drone(self) -> Mapping[str, Value]:
        """What the reflex of a simulated drone has otherwise than a rover's, unless the file says it itself."""
        from hybrid_control.sim.robots import ROBOTS, vehicle

        robot = vehicle(self.given["robot"]) if self.given.get("robot") in ROBOTS else None
        if robot is None or not robot.flies or self.values("reflex_node")["holonomic"]:
            return _NO_VALUES
        return robot.reflex_settings

    def views(self, programs: Sequence[Program]) -> list[Program]:
        """What a person looks through, and the transforms that it looks by where nobody else tells of them."""
        found = []
        clock = {"use_sim_time": self.sim_time}
        ours = self.kind != "gazebo" and self.given.get("base") != "none"  # else the robot's description does
        if ours and (self.true("rviz") or self.true("foxglove")):
            reflex = Graph(self.kind, self.namespace, tuple(programs)).values("reflex_node")
            same = {name: reflex[name] for name in ("odom_frame", "base_frame", "lidar_x", "lidar_yaw")}
            if self.kind == "sim":
                same["map_frame"] = "map"
            found.append(self.node("frames_node", over=same))
        if self.true("rviz"):
            look = ("-d", str(config_folder() / "hybrid_control.rviz"))
            # rviz itself names its topics relatively, so a namespace moves them; the frames stay
            found.append(Program("rviz2", "rviz2", "rviz2", {"rviz2": clock}, arguments=look, restart=False))
        if self.true("foxglove"):
            values = {**clock, "port": 8765}
            found.append(
                Program("foxglove_bridge", "foxglove_bridge", "foxglove_bridge", {"foxglove_bridge": values})
            )
        return found

    def graph(self, programs: list[Program], goal: tuple[float, float] | None = None) -> Graph:
        text = self.given["goal"]
        if text:
            goal = _point(text)
        moved = _remappings(self.given["remap"])
        everything = tuple(
            replace(p, remappings=(*p.remappings, *moved.items())) if p.package == OURS else p
            for p in (*self.views(programs), *programs)
        )
        return Graph(
            self.kind, self.namespace, everything, self.given["log_level"], self.given["cmd_vel"], goal,
            moved.get("goal_pose", "goal_pose"),
        )  # fmt: skip


def _existing(name: str, path: str) -> str:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f"{name}: {path}: no such file")
    return str(file.resolve())


def _point(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"goal: {text!r} is no point; expected X,Y in metres, such as 3,-1.5")
    return x, y


def _remappings(text: str) -> dict[str, str]:
    """'FROM:=TO; ...' as a table; ValueError where it is none."""
    found = {}
    for part in filter(None, (each.strip() for each in text.split(";"))):
        name, becomes = (side.strip() for side in part.partition(":=")[::2])
        if not _TOPIC.fullmatch(name) or not _TOPIC.fullmatch(becomes):
            raise ValueError(f"remap: {part!r}; expected FROM:=TO, such as scan:=front/scan")
        if name == "cmd_vel":
            raise ValueError("remap: cmd_vel has an argument of its own, cmd_vel")
        found[name] = becomes
    return found


def _int(name: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"\d+", text) or not low <= int(text) <= high:
        raise ValueError(f"{name}: {text!r}; expected a whole number, {low} .. {high}")
    return int(text)


def _float(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ValueError(f"{name}: {text!r}; expected a number, {low:g} .. {high:g}")
    return value


# -- kinds of graphs -------------------------------------------------------------------------------------------------


def _robot(b: _Build) -> Graph:
    drivers = [*b.driver("lidar", b.given["lidar"], LIDARS), *b.driver("camera", b.given["camera"], CAMERAS)]
    over: dict[str, Value] = {"port": b.given["port"]} if b.given["port"] else {}
    base, mind = b.given["base"], b.mind()
    if base == "none":
        return b.graph([*drivers, *mind])
    if base == "firmware":
        bridge = b.node("firmware_bridge_node", over={**over, "direct": False}, carries=True)
        return b.graph([*drivers, bridge, *mind])
    if b.true("composed"):
        raise ValueError("base: direct has the reflex in the bridge's process; it can't be composed as well")
    nodes = {
        "firmware_bridge_node": b.values("firmware_bridge_node", **over, direct=True),
        "reflex_node": dict(mind[-1].nodes["reflex_node"]),
    }
    wheels = Program(
        "reflex_wheels_node", OURS, "reflex_wheels_node", nodes, tuple(nodes), remappings=mind[-1].remappings
    )
    return b.graph([*drivers, *mind[:-1], wheels])


def _drone(b: _Build) -> Graph:
    drivers = [*b.driver("lidar", b.given["lidar"], LIDARS), *b.driver("camera", b.given["camera"], CAMERAS)]
    over: dict[str, Value] = {"address": b.given["address"]} if b.given["address"] else {}
    # it streams setpoints and tells where the drone is; it never arms by itself
    bridge = b.node("mavlink_bridge_node", over=over, carries=True)
    return b.graph([*drivers, bridge, *b.mind()])


def _sim(b: _Build) -> Graph:
    from hybrid_control.sim.worlds import load_world

    seed = _int("seed", b.given["seed"], 0, 2**31 - 1)
    factor = _float("real_time_factor", b.given["real_time_factor"], 0.0, 100.0)
    if factor != 1.0 and not b.sim_time:
        raise ValueError("real_time_factor: other than 1 needs use_sim_time true")
    world = load_world(b.given["world"], seed)
    simulator = b.node(
        "sim_node",
        over={
            "world": b.given["world"],
            "robot": b.given["robot"],
            "seed": seed,
            "real_time_factor": factor,
            "stamps": "simulated" if b.sim_time else "ros",
            "viewer": b.true("viewer"),
            "use_sim_time": False,
        },
        restart=False,
        essential=True,
    )
    # time begins when all who live in it are there
    return b.graph([*b.mind(), simulator], goal=world.goal)


def _replay(b: _Build) -> Graph:
    file = _existing("file", b.given["file"]) if b.given["file"] else ""
    if not file:
        raise ValueError("file: expected a recording, such as out/RUN/run.mcap")
    if not b.sim_time:
        raise ValueError("use_sim_time: a recording has its own time; it must be true")
    rate = _float("rate", b.given["rate"], 0.01, 100.0)
    player = b.node(
        "replay_node",
        over={"file": file, "rate": rate, "loop": b.true("loop"), "use_sim_time": False},
        restart=False,
        essential=True,
    )
    return b.graph([*b.mind(), player])


def _gazebo(b: _Build) -> Graph:
    from hybrid_control.sim import gazebo
    from hybrid_control.sim.description import BASE
    from hybrid_control.sim.robots import vehicle
    from hybrid_control.sim.worlds import load_world

    world = load_world(b.given["world"], _int("seed", b.given["seed"], 0, 2**31 - 1))
    if not b.sim_time:
        raise ValueError("use_sim_time: Gazebo makes the time; it must be true")
    physics = gazebo.Physics(
        _float("step", b.given["step"], 0.0001, 0.02), _float("real_time_factor", b.given["real_time_factor"], 0, 100),
        b.given["render_engine"],
    )  # fmt: skip
    robot = vehicle(b.given["robot"])
    mind = b.mind()
    stamped = bool(Graph(b.kind, "", tuple(mind)).values("reflex_node")["stamped_cmd_vel"])
    folder = Path(b.given["folder"] or tempfile.mkdtemp(prefix="hybrid-control-gazebo-"))
    lidar_rate = b.given["lidar_rate"] or f"{robot.gazebo_lidar_rate:g}"
    session = gazebo.prepare(
        folder, world, gazebo.release(b.given["gazebo"]), robot, {b.namespace: world.start},
        physics, lidar_rate=_float("lidar_rate", lidar_rate, 1, 100), stamped_cmd_vel=stamped,
    )  # fmt: skip
    command, spawned = session.command(b.true("gui")), session.robots[0]
    clock = {"use_sim_time": True}
    programs = [
        Program(
            "gazebo", "", command[0], arguments=tuple(command[1:]), restart=False, essential=True
        ),
        Program(
            "ros_gz_bridge", "ros_gz_bridge", "parameter_bridge",
            {"ros_gz_bridge": {**clock, "config_file": str(spawned.bridge_file)}},
        ),
        Program(
            "spawn", "ros_gz_sim", "create", arguments=tuple(spawned.spawn_arguments(session.world_name)),
            restart=False,
        ),
        Program(
            "robot_state_publisher", "robot_state_publisher", "robot_state_publisher",
            {"robot_state_publisher": {**clock, "robot_description": spawned.urdf}},
        ),
    ]  # fmt: skip
    for i, (frame, at) in enumerate(gazebo.sensor_frame_aliases(robot, spawned.name).items()):
        names = ("--x", "--y", "--z", "--roll", "--pitch", "--yaw")
        place = [word for pair in zip(names, map(str, (*at.xyz, *at.rpy)), strict=True) for word in pair]
        words = (*place, "--frame-id", BASE, "--child-frame-id", frame)
        programs.append(
            Program(
                f"alias{i}", "tf2_ros", "static_transform_publisher", {f"alias{i}": clock}, arguments=words
            )
        )
    if robot.vertical is not None:
        words = ("-m", f"{OURS}.run.gazebo_ranges", *(("--namespace", b.namespace) if b.namespace else ()))
        programs.append(Program("ranges", "", sys.executable, arguments=words))
    return b.graph([*programs, *mind, _judge(b, folder, mind)], goal=spawned.goal)


def _judge(b: _Build, folder: Path, mind: Sequence[Program]) -> Program:
    """Says how the run went; where a report is wanted, everything ends with it."""
    values = {name: dict(given) for program in mind for name, given in program.nodes.items()}
    file = folder / "parameters.json"
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    given = {
        "world": b.given["world"],
        "seed": b.given["seed"],
        "robot": b.given["robot"],
        "namespace": b.namespace,
        "gazebo": b.given["gazebo"],
        "duration": str(_float("duration", b.given["duration"], 1, 3600)),
        "parameters": str(file),
        "out": b.given["out"],
    }
    words = [word for name, value in given.items() if value for word in (f"--{name}", value)]
    module = f"{OURS}.run.gazebo"
    return Program(
        "judge",
        "",
        sys.executable,
        arguments=("-m", module, *words),
        restart=False,
        essential=bool(b.given["out"]),
    )


_FACTOR = Argument(
    "real_time_factor", "1.0", "simulated seconds in a second; other than 1 needs use_sim_time"
)
_KINDS: dict[str, tuple[tuple[Argument, ...], str, Callable[[_Build], Graph]]] = {
    "robot": (
        (
            *_common("custom_rover", False),
            *_ROBOT[:2],
            _named(_ROBOT[2], LIDARS),
            _named(_ROBOT[3], CAMERAS),
        ),
        "a real rover, its wheels by our firmware bridge or by its own driver",
        _robot,
    ),
    "drone": (
        (
            *_common("quad", False),
            Argument("address", "", "how the autopilot is reached; empty for what the parameters say"),
            _named(_ROBOT[2], LIDARS),
            _named(_ROBOT[3], CAMERAS),
        ),
        "a drone with a MAVLink autopilot; arming and flight mode stay with the pilot",
        _drone,
    ),
    "sim": (
        (
            *_common("sim", False),
            *_WORLD,
            _FACTOR,
            Argument("viewer", "false", "open MuJoCo's window", ("true", "false")),
        ),
        "the embedded simulator; the world's goal is told at once",
        _sim,
    ),
    "gazebo": (
        (
            *_common("sim", True),
            *_WORLD,
            Argument("gazebo", "harmonic", "release of Gazebo", ("fortress", "harmonic", "ionic")),
            Argument("step", "0.002", "seconds of a physics step"),
            Argument("real_time_factor", "1.0", "simulated seconds in a second; 0 for as fast as it goes"),
            Argument("render_engine", "ogre2", "what draws the camera", ("ogre2", "ogre")),
            Argument("lidar_rate", "", "scans a simulated second; empty for 20, for a drone 40"),
            Argument("gui", "false", "open Gazebo's window", ("true", "false")),
            Argument("out", "", "folder for a recording and a report; everything ends with the run then"),
            Argument("duration", "90", "simulated seconds after which a run is given up"),
            Argument("folder", "", "where world and robot are written; empty for a new one in /tmp"),
        ),
        "Gazebo with ros_gz_bridge; the world's goal is told at once",
        _gazebo,
    ),
    "replay": (
        (
            *_common("replay", True),
            Argument("file", "", "the recording, an MCAP file such as out/RUN/run.mcap"),
            Argument("rate", "1.0", "recorded seconds in a second"),
            Argument("loop", "false", "begin anew at the end", ("true", "false")),
        ),
        "a recorded run: its sensors and goal are played, planner and reflex answer anew",
        _replay,
    ),
}
KINDS = tuple(_KINDS)


def build(kind: str, given: Mapping[str, str] | None = None) -> Graph:
    """The graph of a kind with these arguments, the defaults for the others.

    ValueError for an argument that does not exist or can't be, or a parameter file that can't be; OSError where a file
    is missing. Nothing is started.
    """
    known = {a.name: a for a in arguments(kind)}
    for name in given or {}:
        if name not in known:
            raise ValueError(f"{kind}: unknown argument {name!r}; known are {', '.join(known)}")
    values = {name: a.check((given or {}).get(name, a.default)) for name, a in known.items()}
    namespace = values["namespace"]
    if namespace and not _NAMESPACE.fullmatch(namespace):
        raise ValueError(f"namespace: {namespace!r} can't be one; expected a name such as robot1")
    file = params_path(values["params_file"])
    namespace = f"/{namespace.strip('/')}" if namespace else ""
    return _KINDS[kind][2](_Build(kind, values, namespace, file, sections_of(file)))


def node_parameters_file(program: Program, folder: Path, namespace: str) -> Path | None:
    """Writes the parameters of a program's nodes into a file of their own; None where it has none."""
    given = {
        f"{namespace}/{name}": {"ros__parameters": dict(values)}
        for name, values in program.nodes.items()
        if values
    }
    if not given:
        return None
    path = folder / f"{program.name}.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")
    return path


def command(program: Program, graph: Graph, folder: Path) -> list[str]:
    """The words that start a program, its parameters written into `folder`. OSError where it is not installed."""
    if not program.package:
        return [program.executable, *program.arguments]
    words = (
        [sys.executable, "-m", f"{OURS}.{program.executable}"]
        if program.package == OURS
        else [str(_executable(program.package, program.executable))]
    )
    words += [*program.arguments, "--ros-args", "--log-level", graph.log_level]
    if len(program.managed) < 2:
        words += ["-r", f"__node:={program.name}"]
    if graph.namespace:
        words += ["-r", f"__ns:={graph.namespace}"]
    for was, becomes in program.remappings:
        words += ["-r", f"{was}:={becomes}"]
    for file in program.files:
        words += ["--params-file", file]
    own = node_parameters_file(program, folder, graph.namespace)
    return [*words, "--params-file", str(own)] if own else words


def _executable(package: str, name: str) -> Path:
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_prefix
    except ImportError:
        raise OSError("ROS 2 is not in this shell: source it, or scripts/env.sh") from None
    try:
        path = Path(get_package_prefix(package)) / "lib" / package / name
    except PackageNotFoundError:
        raise OSError(
            f"package {package} is not installed (apt install ros-$ROS_DISTRO-{package.replace('_', '-')})"
        ) from None
    if not path.is_file():
        raise OSError(f"package {package} has no program {name}")
    return path


__all__ = [
    "KINDS", "Argument", "Graph", "ParameterError", "Program", "arguments", "build", "command", "config_folder",
    "describe", "params_path",
]  # fmt: skip
