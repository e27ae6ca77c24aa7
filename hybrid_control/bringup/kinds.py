"""The kinds of graphs that there are, and what each is made of. No ROS here.

`hybrid-control up`, `hybrid-control sim` and the launch files all start what `build` describes.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from hybrid_control.bringup.arguments import (
    BASE,
    CAMERAS,
    FLAG,
    GROUND,
    LIDARS,
    SENSORS,
    WORLD,
    Argument,
    Arguments,
    Driver,
    common,
)  # fmt: skip
from hybrid_control.bringup.graph import OURS, Graph, Program
from hybrid_control.bringup.node_parameters import CAMERA_INPUT, MOUNTS, NODES, USE_SIM_TIME
from hybrid_control.bringup.parameter_files import Sections, config_folder, params_path, sections_of
from hybrid_control.navigation.ground.classes import read_effects
from hybrid_control.parameters import ParameterError, Value, check_all

if TYPE_CHECKING:
    from hybrid_control.navigation.planner.contract import ModelInfo
    from hybrid_control.sim.robots.vehicle import Vehicle

_GROUND_TIMEOUT = 0.5  # s, of what the reflex knows of the ground
_NO_VALUES: Mapping[str, Value] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Builder:
    """The arguments of a graph, and what all kinds make of them."""

    kind: str
    arguments: Arguments
    namespace: str
    file: Path
    sections: Sections

    @property
    def sim_time(self) -> bool:
        """Whether the nodes go by /clock."""
        return self.arguments.true("use_sim_time")

    def values(self, node: str, **over: Value) -> dict[str, Any]:
        """Every parameter of one of our nodes: defaults, the simulated robot's, the file's, and `over` over these.

        Where that robot is not the one that our own file is for, its numbers count and not the file's.
        """
        known = (USE_SIM_TIME, *NODES[node])
        robot = self._simulated() if node == "reflex_node" else None
        numbers = {**robot.reflex_settings, **robot.reflex_gains} if robot is not None else _NO_VALUES
        usual = {a.name: a.default for a in KINDS[self.kind].arguments}
        of_another = self.arguments["params_file"] == usual["params_file"] and (
            self.arguments.get("robot") != usual.get("robot")
        )
        values = {
            **numbers,
            **self.sections.of(f"{self.namespace}/{node}", [p.name for p in known]),
            **(numbers if of_another else _NO_VALUES),
            "autostart": False,
            "use_sim_time": self.sim_time,
            **over,
        }
        checked = dict(check_all(known, values, where=f"{self.file}: {node}"))
        if node == "reflex_node" and self.arguments.get("base", "none") != "none":
            checked["min_turning_radius"] = self._turning_radius(float(checked["min_turning_radius"]))
        return checked

    def _turning_radius(self, said: float) -> float:
        """m, of the tightest circle that our firmware bridge's wheels can drive, or a wider one that the file says;
        ParameterError for a tighter one."""
        wheels = self.values("firmware_bridge_node")
        if wheels["kinematics"] != "ackermann":
            return said
        tightest: float = wheels["wheelbase"] / math.tan(wheels["max_steering"])
        if 0.0 < said < 0.999 * tightest:
            raise ParameterError(
                f"{self.file}: reflex_node: min_turning_radius {said:g} m is tighter than the wheels of "
                f"firmware_bridge_node can, {tightest:.3f} m (wheelbase / tan(max_steering)); leave it at 0 for theirs"
            )
        return max(said, tightest)

    def node(self, name: str, over: Mapping[str, Value] = _NO_VALUES, **more: Any) -> Program:
        """One of our nodes in a process of its own. over: parameters."""
        return Program(name, OURS, name, {name: self.values(name, **over)}, (name,), **more)

    def drivers(self) -> list[Program]:
        """Other people's drivers of lidar and camera, each under the name of the sensor."""
        return [*self._driver("lidar", LIDARS), *self._driver("camera", CAMERAS)]

    def _driver(self, name: str, known: Mapping[str, Driver]) -> list[Program]:
        wanted = self.arguments[name]
        if wanted == "none":
            return []
        package, _, executable = wanted.partition("/")
        if wanted not in known and not (package and executable):
            raise ValueError(f"{name}: {wanted!r}; expected none, {', '.join(known)}, or PACKAGE/EXECUTABLE")
        driver = known.get(wanted) or Driver(package, executable, {})
        values = {"use_sim_time": self.sim_time, **driver.values}
        return [
            Program(
                name, driver.package, driver.executable, {name: values}, files=(str(self.file),),
                remappings=driver.remappings,
            )
        ]  # fmt: skip

    def mind(self) -> list[Program]:
        """Planner, encoder and reflex."""
        seed: dict[str, Value] = {"seed": self.arguments.seed()} if "seed" in self.arguments else {}
        reflex = {**self.arguments.file("network_file"), **self._camera()}
        has = self.values("reflex_node", **reflex)
        robot, outline = self._simulated(), ("robot_length", "robot_width", "outline_x")
        same = outline if robot is None else (*outline, "lidar_x", "lidar_y", "lidar_yaw")
        over: dict[str, dict[str, Value]] = {
            "planner_node": {
                **self.arguments.file("model_file"),
                **{name: has[name] for name in (*same, *CAMERA_INPUT)},
            },
            "rate_to_spike_node": seed,
            "reflex_node": reflex,
        }
        learner = self.arguments.get("learner", "")
        if learner:
            over["reflex_node"]["sensors"] = self._sensors_with_ground()
        topic = self.arguments["cmd_vel"]
        moved = (("cmd_vel", topic),) if topic != "cmd_vel" else ()
        if learner and self.arguments.true("composed"):
            raise ValueError("learner: changes plans between planner and encoder; it can't be had with composed")
        if self.arguments.true("composed"):
            nodes = {name: self.values(name, **values) for name, values in over.items()}
            return [Program("composed_node", OURS, "composed_node", nodes, tuple(nodes), remappings=moved)]
        remaps = {"reflex_node": moved}
        if learner:
            reflex = over.pop("reflex_node")  # it comes last: it needs what the learner tells
            over |= {"learner_node": self._learner(learner, reflex), "reflex_node": reflex}
            over["planner_node"]["route_scan"] = "learner/scan"
            remaps["rate_to_spike_node"] = (("planner/rates", "learner/plan"),)
        programs = [self.node(name, values, remappings=remaps.get(name, ())) for name, values in over.items()]
        if learner and not programs[-2].nodes["learner_node"]["memory_file"]:
            # one that began anew with nothing in its memory would let the robot drive where it kept off before
            programs[-2] = replace(programs[-2], restart=False)
        return programs

    def _camera(self) -> Mapping[str, Value]:
        """What the reflex has to know of the camera besides its file: where a simulated robot has it, and that the
        camera of what flies has no place above the ground, so that no planner says what lies there."""
        robot = self._simulated()
        if self.kind == "drone" or (robot is not None and robot.vertical is not None):
            return {"directions_reach": 0.0}
        return _NO_VALUES if robot is None else robot.camera_settings

    def planner(self) -> ModelInfo | None:
        """What the planner's file says about itself; None where it is none, which the node says in its own words."""
        from hybrid_control.navigation.planner import contract

        file = self.values("planner_node", **self.arguments.file("model_file"))["model_file"]
        try:
            return contract.load(contract.named(str(file)))[1]
        except contract.PlannerError:
            return None

    def _sensors_with_ground(self) -> str:
        """What the reflex sees by where the learner tells of the ground besides."""
        reflex = self.values("reflex_node")
        sensors = str(reflex["sensors"])
        if sensors.split() == ["scan", "laser"]:
            places = " ".join(f"{axis}={reflex[f'lidar_{axis}']}" for axis in ("x", "y", "yaw"))
            sensors += f" {places} timeout={reflex['scan_timeout']}"
        named = [entry.split()[0] for entry in sensors.split(";") if entry.strip()]
        if "learner/ground" not in named:
            sensors += f"; learner/ground ground timeout={_GROUND_TIMEOUT}"
        return sensors

    def _learner(self, effects: str, reflex: Mapping[str, Value]) -> dict[str, Value]:
        """The learner's parameters that others say: where lidar and camera are, and the robot's outline."""
        of_reflex = self.values("reflex_node", **reflex)
        shared = {name: of_reflex[name] for name in (*(p.name for p in MOUNTS), "odom_frame", "base_frame")}
        robot = self._simulated()
        camera: Mapping[str, Value] = _NO_VALUES if robot is None else robot.camera_settings
        try:
            read_effects(effects)
        except ValueError as error:
            raise ValueError(f"learner: {error}") from None
        return {**camera, **shared, "effects": effects}

    def _simulated(self) -> Vehicle | None:
        """The robot that the graph simulates, if it does."""
        from hybrid_control.sim.robots import vehicle

        name = self.arguments.get("robot", "")
        return vehicle(name) if name else None

    def views(self, programs: Sequence[Program]) -> list[Program]:
        """What a person looks through, and the transforms that it looks by where nobody else tells of them."""
        views = []
        clock = {"use_sim_time": self.sim_time}
        ours = self.kind != "gazebo" and self.arguments.get("base") != "none"  # else the robot's description does
        if ours and (self.arguments.true("rviz") or self.arguments.true("foxglove")):
            reflex = Graph(self.kind, self.namespace, tuple(programs)).values("reflex_node")
            same = {name: reflex[name] for name in ("odom_frame", "base_frame", "lidar_x", "lidar_y", "lidar_yaw")}
            if self.kind == "sim":
                same["map_frame"] = "map"
            views.append(self.node("frames_node", over=same))
        if self.arguments.true("rviz"):
            look = ("-d", str(config_folder() / "hybrid_control.rviz"))
            # rviz itself names its topics relatively, so a namespace moves them; the frames stay
            views.append(Program("rviz2", "rviz2", "rviz2", {"rviz2": clock}, arguments=look, restart=False))
        if self.arguments.true("foxglove"):
            values = {**clock, "port": 8765}
            views.append(
                Program("foxglove_bridge", "foxglove_bridge", "foxglove_bridge", {"foxglove_bridge": values})
            )
        return views

    def graph(self, programs: list[Program], goal: tuple[float, float] | None = None) -> Graph:
        """The graph of these programs. goal: where to go at once, unless the arguments say."""
        goal = self.arguments.goal() or goal
        moved = self.arguments.remappings()
        everything = tuple(
            replace(p, remappings=(*p.remappings, *moved.items())) if p.package == OURS else p
            for p in (*self.views(programs), *programs)
        )
        return Graph(
            self.kind, self.namespace, everything, self.arguments["log_level"], self.arguments["cmd_vel"], goal,
            moved.get("goal_pose", "goal_pose"),
        )  # fmt: skip


# -- kinds of graphs -------------------------------------------------------------------------------------------------


def _robot(b: Builder) -> Graph:
    over: dict[str, Value] = {"port": b.arguments["port"]} if b.arguments["port"] else {}
    base, mind = b.arguments["base"], b.mind()
    if base == "none":
        return b.graph([*b.drivers(), *mind])
    if base == "firmware":
        bridge = b.node("firmware_bridge_node", over={**over, "direct": False}, carries=True)
        return b.graph([*b.drivers(), bridge, *mind])
    if b.arguments.true("composed"):
        raise ValueError("base: direct has the reflex in the bridge's process; it can't be composed as well")
    nodes = {
        "firmware_bridge_node": b.values("firmware_bridge_node", **over, direct=True),
        "reflex_node": dict(mind[-1].nodes["reflex_node"]),
    }
    wheels = Program(
        "reflex_wheels_node", OURS, "reflex_wheels_node", nodes, tuple(nodes), remappings=mind[-1].remappings
    )
    return b.graph([*b.drivers(), *mind[:-1], wheels])


def _drone(b: Builder) -> Graph:
    over: dict[str, Value] = {"address": b.arguments["address"]} if b.arguments["address"] else {}
    # it streams setpoints and tells where the drone is; it never arms by itself
    bridge = b.node("mavlink_bridge_node", over=over, carries=True)
    return b.graph([*b.drivers(), bridge, *b.mind()])


def _sim(b: Builder) -> Graph:
    from hybrid_control.sim.robots import vehicle
    from hybrid_control.sim.worlds import load_world

    seed = b.arguments.seed()
    factor = b.arguments.number("real_time_factor", 0.0, 100.0)
    if factor != 1.0 and not b.sim_time:
        raise ValueError("real_time_factor: other than 1 needs use_sim_time true")
    world = load_world(b.arguments["world"], seed, vehicle(b.arguments["robot"]).world_scale)
    planner = b.planner()
    depth: dict[str, Value] = {"depth": True} if planner is not None and planner.depths else {}
    simulator = b.node(
        "sim_node",
        over={
            "world": b.arguments["world"],
            "robot": b.arguments["robot"],
            "seed": seed,
            "real_time_factor": factor,
            "stamps": "simulated" if b.sim_time else "ros",
            "viewer": b.arguments.true("viewer"),
            "use_sim_time": False,
            **depth,
        },
        restart=False,
        essential=True,
    )
    # time begins when all who live in it are there
    return b.graph([*b.mind(), simulator], goal=world.goal)


def _replay(b: Builder) -> Graph:
    file = b.arguments.file("file")
    if not file:
        raise ValueError("file: expected a recording, such as out/RUN/run.mcap")
    if not b.sim_time:
        raise ValueError("use_sim_time: a recording has its own time; it must be true")
    rate = b.arguments.number("rate", 0.01, 100.0)
    player = b.node(
        "replay_node",
        over={**file, "rate": rate, "loop": b.arguments.true("loop"), "use_sim_time": False},
        restart=False,
        essential=True,
    )
    return b.graph([*b.mind(), player])


def _gazebo(b: Builder) -> Graph:
    from hybrid_control.sim import gazebo
    from hybrid_control.sim.description import BASE
    from hybrid_control.sim.robots import vehicle
    from hybrid_control.sim.worlds import load_world

    robot = vehicle(b.arguments["robot"])
    world = load_world(b.arguments["world"], b.arguments.seed(), robot.world_scale)
    if not b.sim_time:
        raise ValueError("use_sim_time: Gazebo makes the time; it must be true")
    physics = gazebo.Physics(
        b.arguments.number("step", 0.0001, 0.02),
        b.arguments.number("real_time_factor", 0, 100),
        b.arguments["render_engine"],
    )
    mind = b.mind()
    stamped = bool(Graph(b.kind, "", tuple(mind)).values("reflex_node")["stamped_cmd_vel"])
    folder = Path(b.arguments["folder"] or tempfile.mkdtemp(prefix="hybrid-control-gazebo-"))
    session = gazebo.prepare(
        folder, world, gazebo.release(b.arguments["gazebo"]), robot, {b.namespace: world.start},
        physics, lidar_rate=b.arguments.number("lidar_rate", 1, 100, f"{robot.gazebo_lidar_rate:g}"),
        stamped_cmd_vel=stamped,
    )  # fmt: skip
    command, spawned = session.command(b.arguments.true("gui")), session.robots[0]
    clock = {"use_sim_time": True}
    programs = [
        Program("gazebo", "", command[0], arguments=tuple(command[1:]), restart=False, essential=True),
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


def _judge(b: Builder, folder: Path, mind: Sequence[Program]) -> Program:
    """Says how the run went; where a report is wanted, everything ends with it."""
    parameters = {name: dict(values) for program in mind for name, values in program.nodes.items()}
    file = folder / "parameters.json"
    file.write_text(json.dumps(parameters, indent=2) + "\n", encoding="utf-8")
    options = {
        "world": b.arguments["world"],
        "seed": b.arguments["seed"],
        "robot": b.arguments["robot"],
        "namespace": b.namespace,
        "gazebo": b.arguments["gazebo"],
        "duration": str(b.arguments.number("duration", 1, 3600)),
        "parameters": str(file),
        "out": b.arguments["out"],
    }
    words = [word for name, value in options.items() if value for word in (f"--{name}", value)]
    module = f"{OURS}.run.gazebo"
    return Program(
        "judge",
        "",
        sys.executable,
        arguments=("-m", module, *words),
        restart=False,
        essential=bool(b.arguments["out"]),
    )


class Kind(NamedTuple):
    """A kind of graph. description: in one line."""

    arguments: tuple[Argument, ...]
    description: str
    make: Callable[[Builder], Graph]


KINDS = {
    "robot": Kind(
        (*common("custom_rover", False), *BASE, *SENSORS, *GROUND),
        "a real rover, its wheels by our firmware bridge or by its own driver",
        _robot,
    ),
    "drone": Kind(
        (
            *common("quad", False),
            Argument("address", "", "how the autopilot is reached; empty for what the parameters say"),
            *SENSORS,
        ),
        "a drone with a MAVLink autopilot; arming and flight mode stay with the pilot",
        _drone,
    ),
    "sim": Kind(
        (
            *common("sim", False),
            *WORLD,
            *GROUND,
            Argument(
                "real_time_factor", "1.0", "simulated seconds in a second; other than 1 needs use_sim_time"
            ),
            Argument("viewer", "false", "open MuJoCo's window", FLAG),
        ),
        "the embedded simulator; the world's goal is told at once",
        _sim,
    ),
    "gazebo": Kind(
        (
            *common("sim", True),
            *WORLD,
            *GROUND,
            Argument("gazebo", "harmonic", "release of Gazebo", ("fortress", "harmonic", "ionic")),
            Argument("step", "0.002", "seconds of a physics step"),
            Argument("real_time_factor", "1.0", "simulated seconds in a second; 0 for as fast as it goes"),
            Argument("render_engine", "ogre2", "what draws the camera", ("ogre2", "ogre")),
            Argument("lidar_rate", "", "scans a simulated second; empty for 20, for a drone 40"),
            Argument("gui", "false", "open Gazebo's window", FLAG),
            Argument("out", "", "folder for a recording and a report; everything ends with the run then"),
            Argument("duration", "90", "simulated seconds after which a run is given up"),
            Argument("folder", "", "where world and robot are written; empty for a new one in /tmp"),
        ),
        "Gazebo with ros_gz_bridge; the world's goal is told at once",
        _gazebo,
    ),
    "replay": Kind(
        (
            *common("replay", True),
            Argument("file", "", "the recording, an MCAP file such as out/RUN/run.mcap"),
            Argument("rate", "1.0", "recorded seconds in a second"),
            Argument("loop", "false", "begin anew at the end", FLAG),
        ),
        "a recorded run: its sensors and goal are played, planner and reflex answer anew",
        _replay,
    ),
}


def build(kind: str, words: Mapping[str, str] = MappingProxyType({})) -> Graph:
    """The graph of a kind with these arguments, the defaults for the others.

    ValueError for an argument that does not exist or can't be, or a parameter file that can't be; OSError where a file
    is missing. Nothing is started.
    """
    arguments = Arguments.check(kind, KINDS[kind].arguments, words)
    namespace = arguments.namespace()
    file = params_path(arguments["params_file"])
    return KINDS[kind].make(Builder(kind, arguments, namespace, file, sections_of(file)))
