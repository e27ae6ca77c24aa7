"""The embedded simulator as parts: a robot in a world as a plant, and a camera that is carried along a way.

All that passes are plain values, so that any network can be coupled. Images are grey levels 0 .. 255, as the planner
takes them; they are drawn with OpenGL, by one thread alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hybrid_control.cosim.clock import text
from hybrid_control.cosim.part import Array, CalledPart, Port, Runs, Stateless
from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.kinematic import STEP_NS, KinematicSimulator
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.score import GOAL_RADIUS
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World

LEVELS = ("physics", "kinematic")
_LARGEST = (640, 480)  # pixels that MuJoCo draws off screen
_SMALLEST = 8


def with_camera(robot: Vehicle, size: Sequence[int] | None) -> Vehicle:
    """A robot with a camera of (width, height) pixels, its own where None. ValueError for what cannot be drawn."""
    if size is None:
        return robot
    whole = isinstance(size, Sequence) and all(isinstance(n, int) for n in size) and len(size) == 2
    if not whole or not all(_SMALLEST <= n <= most for n, most in zip(size, _LARGEST, strict=True)):
        most = " x ".join(map(str, _LARGEST))
        raise ValueError(f"camera: {size!r}; expected [width, height] in pixels, {_SMALLEST} x {_SMALLEST} to {most}")
    return replace(robot, camera_width=size[0], camera_height=size[1])


class RobotPlant(CalledPart):
    """A robot in a world, with its sensors: what they say now, then on by a period under a command.

    Sensors have their own rates, and their ports hold the newest reading. camera: whether its port is there, and
    images are drawn. level: physics, or kinematic, without pictures, where a touch ends all motion. goal_cap: m, at
    which the goal's distance is cut. Noise is drawn by the simulation's seed. ValueError where the robot does not fit
    at the start, or a level has not what is asked.

    Input: `command`, what the robot is commanded by (`Vehicle.commands`): forward m/s and yaw rate rad/s, of one that
    moves in any direction forward, left, yaw rate, of a flying one forward, left, up, yaw rate. Outputs, of the
    sensors: `scan` (beams,) m, from behind counter-clockwise, the lidar's range where nothing is met; `odometry` (3,)
    x, y, yaw; `velocity`, as a command; `goal` (3,) distance in m, cosine and sine of its bearing; `bearing` (1,) rad;
    `camera` (height, width, 3); `vertical` (2,) m up and down, of a robot that has it. Of the truth: `pose` (3,);
    `contacts` (1,) so far; `done` (1,), 1 at the goal or after a contact.
    """

    one_thread = True  # OpenGL

    def __init__(
        self,
        world: World,
        robot: Vehicle,
        *,
        level: str = "physics",
        camera: bool = False,
        goal_cap: float = math.inf,
    ) -> None:
        if level not in LEVELS:
            raise ValueError(f"level: {level!r}; there are {' and '.join(LEVELS)}")
        if camera and level != "physics":
            raise ValueError(f"camera: the level {level} has no pictures; the level physics has")
        if not isinstance(goal_cap, (int, float)) or not goal_cap > 0.0:
            raise ValueError(f"goal_cap: {goal_cap!r} must be a number of m above 0")
        self._goal_cap, self._commands = goal_cap, robot.commands
        kind = Simulator if level == "physics" else KinematicSimulator
        self._simulator: Simulator | KinematicSimulator = kind(world, robot, camera=camera)
        self._step_ns = STEP_NS
        if isinstance(self._simulator, Simulator):
            self._step_ns = round(self._simulator.mujoco.model.opt.timestep * 1e9)
        motion = Port("values", (len(robot.commands),))
        self.inputs = {"command": motion}
        self.outputs = {
            "scan": Port("values", (robot.lidar_beams,)),
            "odometry": Port("values", (3,)),
            "velocity": motion,
            "goal": Port("values", (3,)),
            "bearing": Port("values", (1,)),
            "pose": Port("values", (3,)),
            "contacts": Port("values", (1,)),
            "done": Port("values", (1,)),
        }
        if robot.vertical is not None:
            self.outputs["vertical"] = Port("values", (2,))
        if camera:
            self.outputs["camera"] = Port("values", (robot.camera_height, robot.camera_width, 3))
        self._now_ns, self._readings = 0, dict[str, Any]()

    def check(self, period_ns: int) -> None:
        """ValueError for a period that is not a whole number of the simulator's steps."""
        if period_ns % self._step_ns:
            raise ValueError(f"period: {text(period_ns)}; expected a multiple of the simulator's {text(self._step_ns)}")

    def reset(self, seed: int) -> None:
        """To the world's start, with noise and errors of this seed."""
        self._simulator.seed = seed
        self._simulator.reset()
        self._now_ns, self._readings = 0, {}

    def call(self, inputs: Mapping[str, Array], period_ns: int) -> Mapping[str, Any]:
        """What is there now, then a period."""
        self.check(period_ns)
        simulator = self._simulator
        if self._now_ns == 0:  # before the first of each sensor is due
            self._readings = {"odometry": simulator.truth()}
            for kind in ("scan", *(self.outputs.keys() & {"vertical", "camera"})):
                self._readings[kind] = getattr(simulator, kind)()
        measured = self._measured()
        simulator.apply(self._twist(inputs["command"]))
        self._now_ns += period_ns
        for kind, _, value in simulator.advance(self._now_ns):
            self._readings[kind] = value
        return measured

    def _twist(self, command: Array) -> Twist:
        return Twist(self._now_ns, **dict(zip(self._commands, command.tolist(), strict=True)))

    def _measured(self) -> dict[str, Any]:
        simulator, readings = self._simulator, self._readings
        scan, odometry = readings["scan"], readings["odometry"]
        twist, believed, true = odometry.twist, odometry.pose, simulator.pose
        distance, bearing = believed.to_body(*simulator.world.goal)
        contacts = len(simulator.contact_events)
        measured = {
            "scan": np.minimum(scan.ranges, scan.range_max),
            "odometry": (believed.x, believed.y, believed.yaw),
            "velocity": [getattr(twist, name) for name in self._commands],
            "goal": (min(distance, self._goal_cap), math.cos(bearing), math.sin(bearing)),
            "bearing": bearing,
            "pose": (true.x, true.y, true.yaw),
            "contacts": contacts,
            "done": contacts > 0 or simulator.goal_distance() < GOAL_RADIUS,
        }
        if "vertical" in self.outputs:
            sensor, value = simulator.robot.vertical, readings["vertical"]
            assert sensor is not None
            measured["vertical"] = np.minimum((value.up, value.down), sensor.range_max)
        if "camera" in self.outputs:
            measured["camera"] = readings["camera"]
        return measured

    def state(self) -> Any:
        """Of the simulator, and what its sensors said last."""
        return self._simulator.state(), self._now_ns, dict(self._readings)

    def set_state(self, state: Any) -> None:
        """Go on from there."""
        self._simulator.set_state(state[0])
        self._now_ns, self._readings = state[1], dict(state[2])


class CarriedCamera(Stateless):
    """A robot's camera that is carried along a way, without the robot: an image a run, (height, width, 3), at `out`.

    path: (n, 4) rows of time in s, x, y in m and yaw in rad, by time; straight lines between them, yaw the shorter way
    round, and the first and last pose before and after. What moves in the world is where it is at the run's time.
    ValueError for another path.
    """

    one_thread = True  # OpenGL

    def __init__(self, world: World, robot: Vehicle, path: ArrayLike) -> None:
        try:
            rows = np.array(path, np.float64)
        except (ValueError, TypeError):
            rows = np.empty(0)
        if rows.ndim != 2 or rows.shape[1:] != (4,) or not len(rows) or not np.isfinite(rows).all():
            raise ValueError("path: expected rows of 4 numbers, [time in s, x in m, y in m, yaw in rad]")
        if (np.diff(rows[:, 0]) <= 0.0).any():
            raise ValueError("path: each row's time must be later than the one before")
        rows[:, 3] = np.unwrap(rows[:, 3])
        self._path = rows
        self._simulator = Simulator(world, robot, camera=False)
        self.inputs: Mapping[str, Port] = {}
        self.outputs = {"out": Port("values", (robot.camera_height, robot.camera_width, 3))}

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """An image a run."""
        return {"out": np.stack([self._image(time_ns).reshape(-1) for time_ns in runs.begins])}

    def _image(self, time_ns: int) -> Array:
        x, y, yaw = (float(np.interp(time_ns * 1e-9, self._path[:, 0], self._path[:, i])) for i in (1, 2, 3))
        self._simulator.time_ns = time_ns
        self._simulator.place(Pose(x, y, yaw))
        return self._simulator.camera()
