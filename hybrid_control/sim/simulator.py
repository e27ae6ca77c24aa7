"""The embedded simulator: a world, a robot with its sensors and what moves it, stepped in simulated time.

Everything follows from world, robot, seed and commands; the wall clock is never read.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals import Odometry, Pose, RangeScan, Twist, VerticalRanges
from hybrid_control.sim.camera import Camera
from hybrid_control.sim.depth import StereoDepth
from hybrid_control.sim.events import EventCamera
from hybrid_control.sim.lens import Lens
from hybrid_control.sim.model import Appearance, build_mjcf, paint
from hybrid_control.sim.mujoco_import import MuJoCo, import_mujoco
from hybrid_control.sim.rays import Rays
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.score import Contact, Score, outline_gap
from hybrid_control.sim.sensors import Imu, ImuNoise, Schedule
from hybrid_control.sim.worlds import World

if TYPE_CHECKING:
    from typing_extensions import Self

ACROSS = 2  # points at which a pixel of the event camera looks, across and along
LUMINANCE = np.array((0.2126, 0.7152, 0.0722)) / 255  # of red, green and blue: ITU-R BT.709
NOTE_NS = 10_000_000  # how often odometry, path length and closest approach are brought up to date


class Event(NamedTuple):
    """A sensor's reading when it is due; kind is scan, imu, odometry, vertical, events, depth or camera, value what the
    method of that name returns."""

    kind: str
    time_ns: int
    value: Any


class _Sensors(NamedTuple):
    """What makes readings of the true state, with its noise."""

    rays: Rays
    imu: ImuNoise
    pixels: EventCamera | None
    lens: Lens
    lens_draws: np.random.Generator
    stereo: StereoDepth
    stereo_draws: np.random.Generator


class Simulator:
    """One robot in one world.

    seed decides sensor noise and the errors of this robot's odometry and IMU; appearance decides what the
    camera sees. camera: whether camera readings are among the events of advance(); a frame needs GL when it
    is drawn, and must then be drawn by one thread only; depth: whether those of a depth camera are, too, at the same
    times. timestep: s of a physics step. ValueError where the robot would start in an obstacle.
    """

    def __init__(
        self,
        world: World,
        robot: Vehicle = JACKAL,
        seed: int = 0,
        *,
        camera: bool = True,
        depth: bool = False,
        timestep: float = 0.002,
        appearance: Appearance | None = None,
    ) -> None:
        if outline_gap(world, robot, world.start) <= 0:
            raise ValueError(f"world {world.name!r}: a {robot.name} does not fit at the start {world.start}")
        if not 0 < timestep <= 0.01 or round(timestep * 1e9) == 0:
            raise ValueError(f"simulator: timestep {timestep} s must be above 0 and at most 0.01 s")
        library = import_mujoco()
        model = library.MjModel.from_xml_string(build_mjcf(world, robot, appearance, timestep))
        paint(model, world, appearance)
        self.world, self.robot, self.seed = world, robot, seed
        self.mujoco = MuJoCo(library, model, library.MjData(model))
        rates = {"odometry": robot.odometry_rate, "imu": robot.imu_rate, "scan": robot.lidar_rate}
        if robot.vertical is not None:
            rates["vertical"] = robot.vertical.rate
        if robot.event_camera is not None:
            rates["events"] = robot.event_camera.rate
        if depth:
            rates["depth"] = robot.camera_rate
        if camera:
            rates["camera"] = robot.camera_rate
        self._schedule = Schedule(rates)
        self._lens = (appearance or Appearance()).lens
        self._footprint = model.geom("footprint").id
        self._lenses: dict[str, Camera] = {}
        self.reset()

    def reset(self, pose: Pose | None = None) -> None:
        """Back to time 0, at rest, at the world's start or another pose; noise begins anew from the seed."""
        pose = pose or self.world.start
        self.time_ns = self._until_ns = self._noted_ns = 0
        self.contact_events: list[Contact] = []
        self._score = Score(self.world, self.robot)
        self._schedule.reset()
        eye = self.robot.event_camera
        self._sensors = _Sensors(
            Rays(self.mujoco, self.robot, self.seed),
            ImuNoise(self.robot, np.random.default_rng([self.seed, 12])),
            None if eye is None else EventCamera(eye.width, eye.height, eye.pixels, self.seed),
            self._lens,
            np.random.default_rng([self.seed, 15]),
            StereoDepth(),
            np.random.default_rng([self.seed, 16]),
        )
        self.mujoco.library.mj_resetData(self.mujoco.model, self.mujoco.data)
        self.locomotion = self.robot.locomotion(self.mujoco, pose, self.seed)
        self.place(pose)

    def place(self, pose: Pose) -> None:
        """Puts the robot elsewhere, at rest, without letting time pass; odometry does not notice."""
        library, model, data = self.mujoco
        half = pose.yaw / 2
        data.qpos[:3] = (pose.x, pose.y, self.robot.start_height)
        data.qpos[3:7] = (math.cos(half), 0.0, 0.0, math.sin(half))
        data.qvel[:] = 0.0
        self.locomotion.rest()
        self._move_obstacles()
        library.mj_forward(model, data)
        self._score.see(self.time_ns, self.pose, placed=True)

    def apply(self, twist: Twist) -> None:
        """Wished velocity in the body's frame: cut to the robot's limits, approached as it can, and held for its
        command_timeout at most."""
        self.locomotion.apply(twist, self.time_ns)

    def set_wheel_speeds(self, left: float, right: float) -> None:
        """Wished wheel speeds in rad/s, without a ramp, for a firmware with its own limits; same timeout.

        ValueError where one is not finite, or the robot has no wheels.
        """
        self.locomotion.set_wheel_speeds(left, right, self.time_ns)

    def state(self) -> Any:
        """All that the future depends on, a copy; MuJoCo's among it."""
        data = copy.copy(self.mujoco.data)
        return data, copy.deepcopy(vars(self), self._kept())

    def set_state(self, state: Any) -> None:
        """Go on from a state of this simulator."""
        library, model, data = self.mujoco
        library.mj_copyData(data, model, state[0])
        vars(self).update(copy.deepcopy(state[1], self._kept()))

    def _kept(self) -> dict[int, Any]:
        """What is not copied, but stays as it is."""
        kept = (self.world, self.robot, self.mujoco, *self.mujoco, self._lenses)
        return {id(one): one for one in kept}

    # -- time ----------------------------------------------------------------------------------------------

    def step(self, duration_s: float) -> None:
        """Lets simulated time pass; no sensor is read.

        Whole physics steps are made; what is left of the durations adds up until there is one more.
        """
        if not 0 <= duration_s < math.inf:
            raise ValueError(f"simulator: a step of {duration_s} s is impossible; it must be >= 0 and finite")
        self._until_ns += round(duration_s * 1e9)
        self._run_until(self._until_ns)

    def advance(self, until_ns: int) -> Iterator[Event]:
        """Lets time pass until `until_ns`, yielding each sensor's reading when it is due.

        Commands set between two events take effect from there on. Readings at the same time come in the order
        odometry, imu, scan, vertical, events, depth, camera; the first of each is due one period after time 0.
        """
        while True:
            self._until_ns = max(self._until_ns, until_ns)
            kind, due = self._schedule.next()
            self._run_until(min(due, until_ns))
            if due > until_ns:
                return
            self._schedule.sent(kind)
            yield Event(kind, self.time_ns, getattr(self, kind)())

    def _run_until(self, until_ns: int) -> None:
        library, model, data = self.mujoco
        step_ns = round(model.opt.timestep * 1e9)
        steps = (until_ns - self.time_ns) // step_ns
        for _ in range(steps):
            self.locomotion.act(self.time_ns)
            self._move_obstacles()
            library.mj_step(model, data)
            self.time_ns += step_ns
            if data.ncon:
                self._note_contacts()
            if self.time_ns - self._noted_ns >= NOTE_NS:
                self._noted_ns = self.time_ns
                truth = self.truth()
                self.locomotion.reckon(truth)
                for patch in self._score.see(self.time_ns, truth.pose):
                    self._note(patch)
        if steps > 0:
            # mj_step leaves what follows from the joints at the step before
            self._move_obstacles()
            library.mj_kinematics(model, data)
            library.mj_camlight(model, data)

    def _move_obstacles(self) -> None:
        if self.world.movers:
            walk, (x, y) = self._score.walk, self.mujoco.data.qpos[:2].tolist()
            walk.to(self.time_ns * 1e-9, x, y)
            self.mujoco.data.mocap_pos[:, :2] = walk.places[:, :2]

    @property
    def movers(self) -> NDArray[np.float64]:
        """Where the world's movers are, (m, 3) as `Walk` has their places."""
        return self._score.walk.places.copy()

    def _note_contacts(self) -> None:
        model, data = self.mujoco.model, self.mujoco.data
        geoms = data.contact.geom[: data.ncon]
        for pair in geoms[(geoms == self._footprint).any(axis=1)].tolist():
            other = model.geom(pair[0] if pair[1] == self._footprint else pair[1]).name
            if self._score.touch(self.time_ns, other):
                self._note(other)

    def _note(self, touched: str) -> None:
        pose, standing = self.pose, self.locomotion.standing(self.time_ns)
        self.contact_events.append(Contact(self.time_ns, touched, pose.x, pose.y, standing))

    # -- sensors -------------------------------------------------------------------------------------------

    def odometry(self) -> Odometry:
        """Where the robot believes it is, at most 10 ms old; it begins at the true start and drifts."""
        return self.locomotion.odometry

    def scan(self) -> RangeScan:
        """A sweep of the lidar from where the robot is now."""
        return self._sensors.rays.scan(self.time_ns)

    def vertical(self) -> VerticalRanges:
        """The ranges up and down. ValueError where the robot has no such sensors."""
        return self._sensors.rays.vertical(self.time_ns)

    def camera(self) -> NDArray[np.uint8]:
        """What the camera sees now, (height, width, 3) uint8 RGB. GraphicsError where there is no GL."""
        frame = self._eye("camera", self.robot.camera_width, self.robot.camera_height).frame()
        lens, draws = self._sensors.lens, self._sensors.lens_draws
        if lens == Lens.clean:
            return frame
        moves = self.truth().twist
        return lens(frame, draws, moves.angular_z, moves.linear_x)

    def depth(self) -> NDArray[np.float32]:
        """What a depth camera in the camera's place measures now, (height, width) m along the optical axis, 0 where it
        measures nothing. Glass it sees through, with gaps. GraphicsError where there is no GL."""
        eye = self._eye("camera", self.robot.camera_width, self.robot.camera_height)
        true, model = eye.depth(), self.mujoco.model
        panes = [model.geom(f"thing{i}").id for i, thing in enumerate(self.world.things) if thing.kind == "pane"]
        glass = eye.depth(panes) < true - 1e-3 if panes else np.zeros(true.shape, np.bool_)
        return self._sensors.stereo(true, glass, eye.focal, self._sensors.stereo_draws)

    def events(self) -> NDArray[Any]:
        """The event camera's events since it was last read, (n,) of signals.events.EVENT; it remembers what it sees
        first, and gives none. ValueError where the robot has none; GraphicsError where there is no GL."""
        eye, pixels = self.robot.event_camera, self._sensors.pixels
        if eye is None or pixels is None:
            raise ValueError(f"simulator: the robot {self.robot.name!r} has no event camera")
        width, height, n = eye.width, eye.height, ACROSS
        picture = self._eye("event_camera", n * width, n * height).frame()
        # a pixel sees an area
        seen = (picture @ LUMINANCE).reshape(height, n, width, n).mean((1, 3))
        return pixels.put(seen, self.time_ns)

    def _eye(self, name: str, width: int, height: int) -> Camera:
        if name not in self._lenses:
            self._lenses[name] = Camera(self.mujoco, name, width, height)
        return self._lenses[name]

    def imu(self) -> Imu:
        """Angular velocity and specific force of the last physics step, with bias and noise."""
        values = self.mujoco.data.sensordata
        return self._sensors.imu.read(self.time_ns, values[0:3], values[3:6])

    # -- ground truth: for the score and the report alone --------------------------------------------------

    @property
    def pose(self) -> Pose:
        """The true planar pose."""
        x, y, _, qw, qx, qy, qz = self.mujoco.data.qpos[:7].tolist()
        return Pose(x, y, math.atan2(2.0 * (qw * qz + qx * qy), 1.0 - 2.0 * (qy * qy + qz * qz)))

    def truth(self) -> Odometry:
        """True planar pose and body-frame twist."""
        pose = self.pose
        vx, vy, vz, _, _, wz = self.mujoco.data.qvel[:6].tolist()
        c, s = math.cos(pose.yaw), math.sin(pose.yaw)
        twist = Twist(self.time_ns, c * vx + s * vy, c * vy - s * vx, vz, wz)
        return Odometry(self.time_ns, pose, twist)

    @property
    def height(self) -> float:
        """True height of base_link above the ground, m."""
        return float(self.mujoco.data.qpos[2])

    @property
    def contacts(self) -> int:
        """How many times the robot has touched an obstacle."""
        return len(self.contact_events)

    @property
    def path_length(self) -> float:
        """Metres that the robot's centre went, at most 10 ms old."""
        return self._score.path_length

    @property
    def closest_approach(self) -> float:
        """Metres from the outline to the nearest obstacle, the least so far."""
        return self._score.closest_approach

    def minimum_distance(self) -> float:
        """Metres from the robot's rectangular outline to the nearest obstacle now; inf in an empty world."""
        return outline_gap(self.world, self.robot, self.pose, self._score.walk)

    def goal_distance(self) -> float:
        """Metres from the robot's centre to the goal."""
        pose = self.pose
        return math.dist((pose.x, pose.y), self.world.goal)

    def viewer(self) -> Any:
        """Opens MuJoCo's window on this simulation: a context manager with sync() and is_running().

        ValueError where there is no display.
        """
        import mujoco.viewer

        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise ValueError("no display for MuJoCo's viewer: run headless, or set DISPLAY")
        return mujoco.viewer.launch_passive(self.mujoco.model, self.mujoco.data)

    def close(self) -> None:
        """Frees what the camera holds of GL; drawing takes it again."""
        for lens in self._lenses.values():
            lens.close()
        self._lenses.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
