"""The embedded simulator: a world, a rover with its sensors and its base, stepped in simulated time.

Everything follows from world, robot, seed and commands; the wall clock is never read.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid_control.geometry.shapes import FloatArray, footprint_distance
from hybrid_control.signals import Odometry, Pose, RangeScan, Twist
from hybrid_control.sim.camera import Camera
from hybrid_control.sim.model import OBSTACLE, Appearance, build_mjcf
from hybrid_control.sim.mujoco_import import import_mujoco
from hybrid_control.sim.robots import JACKAL, RobotModel, Vehicle
from hybrid_control.sim.sensors import Imu, ImuNoise, LidarNoise, WheelOdometry
from hybrid_control.sim.worlds import World

if TYPE_CHECKING:
    from typing_extensions import Self

CONTACT_GAP_NS = 200_000_000  # a touch of the same obstacle within this of the last one is the same contact
NOTE_NS = 10_000_000  # how often odometry, path length and closest approach are brought up to date
STANDING_SPEED = 0.02  # m/s; a robot whose wheels are told less than this stands


@dataclass(frozen=True, slots=True)
class Contact:
    """The robot at (x, y) touched an obstacle ('cylinder3', 'box0', 'mover1'), driving or standing."""

    time_ns: int
    obstacle: str
    x: float
    y: float
    standing: bool


class Event(NamedTuple):
    """A sensor's reading when it is due; kind is scan, imu, odometry or camera, value what it returns."""

    kind: str
    time_ns: int
    value: Any


def limit(value: float, target: float, rise: float, fall: float, dt: float) -> float:
    """One step of a ramp from value to target, by `rise` per s away from zero and `fall` towards it."""
    rate = fall if abs(target) < abs(value) or target * value < 0 else rise
    return value + min(max(target - value, -rate * dt), rate * dt)


class VehicleSimulator(ABC):
    """One vehicle in one world, whatever moves it; `Simulator` has a rover, `quadrotor.QuadSimulator` a drone.

    seed decides sensor noise and the errors of this robot's odometry and IMU; appearance decides what the
    camera sees. camera: whether camera readings are among the events of advance(); a frame needs GL when it
    is drawn, and must then be drawn by one thread only. timestep: s of a physics step. ValueError where the
    robot would start in an obstacle.
    """

    def __init__(
        self,
        world: World,
        robot: Vehicle,
        seed: int = 0,
        *,
        camera: bool = True,
        timestep: float = 0.002,
        appearance: Appearance | None = None,
    ) -> None:
        start = world.start
        if _gap(world, robot, start, world.cylinders) <= 0:
            raise ValueError(f"world {world.name!r}: a {robot.name} does not fit at the start {start}")
        self._step_ns = round(timestep * 1e9)
        if self._step_ns <= 0 or self._step_ns > 10_000_000:
            raise ValueError(f"simulator: timestep {timestep} s must be above 0 and at most 0.01 s")
        self._mujoco = import_mujoco()
        self.world, self.seed = world, seed
        self._vehicle = robot
        mjcf = self._mjcf(appearance, timestep)
        self.model = self._mujoco.MjModel.from_xml_string(mjcf)
        self.data = self._mujoco.MjData(self.model)
        self._timestep = timestep
        self._lens: Camera | None = None
        self._camera_events = camera
        obj, name2id = self._mujoco.mjtObj, self._mujoco.mj_name2id
        self._body = name2id(self.model, obj.mjOBJ_BODY, "robot")
        self._footprint = name2id(self.model, obj.mjOBJ_GEOM, "footprint")
        self._lidar = name2id(self.model, obj.mjOBJ_SITE, "lidar")
        lidar_angles = -math.pi + 2.0 * math.pi / robot.lidar_beams * np.arange(robot.lidar_beams)
        self._beams = np.column_stack(
            (np.cos(lidar_angles), np.sin(lidar_angles), np.zeros(robot.lidar_beams))
        )
        self._ray_groups = np.zeros(6, np.uint8)
        self._ray_groups[OBSTACLE] = 1
        self.reset()

    def reset(self, pose: Pose | None = None) -> None:
        """Back to time 0, at rest, at the world's start or another pose; noise begins anew from the seed."""
        pose = pose or self.world.start
        self.time_ns = 0
        self.contact_events: list[Contact] = []
        self.closest_approach = math.inf
        self.path_length = 0.0
        self._touched: dict[int, int] = {}
        self._until_ns = 0
        self._noted_ns = 0
        self._command_ns: int | None = None
        self._lidar_noise = LidarNoise(self._vehicle, np.random.default_rng([self.seed, 11]))
        self._imu_noise = ImuNoise(self._vehicle, np.random.default_rng([self.seed, 12]))
        self._period_ns = {kind: 1e9 / rate for kind, rate in self._rates().items()}
        self._sent = dict.fromkeys(self._period_ns, 0)
        self._mujoco.mj_resetData(self.model, self.data)
        self._begin(pose)
        self.place(pose)

    def place(self, pose: Pose) -> None:
        """Puts the robot elsewhere, at rest, without letting time pass; odometry does not notice."""
        half = pose.yaw / 2
        self.data.qpos[:3] = (pose.x, pose.y, self._rest_height)
        self.data.qpos[3:7] = (math.cos(half), 0.0, 0.0, math.sin(half))
        self.data.qvel[:] = 0.0
        self._rest()
        self._move_obstacles()
        self._mujoco.mj_forward(self.model, self.data)
        self._last_xy = (pose.x, pose.y)
        self.closest_approach = min(self.closest_approach, self.minimum_distance())

    # -- what differs from one kind of vehicle to another -----------------------------------------------------

    _rest_height: float  # m of base_link above the ground where it is placed

    @abstractmethod
    def _mjcf(self, appearance: Appearance | None, timestep: float) -> str:
        """The model's text."""

    def _rates(self) -> dict[str, float]:
        """Readings a second of each sensor, in the order in which they come at the same time."""
        robot = self._vehicle
        rates = {"odometry": robot.odometry_rate, "imu": robot.imu_rate, "scan": robot.lidar_rate}
        return {**rates, "camera": robot.camera_rate} if self._camera_events else rates

    @abstractmethod
    def _begin(self, pose: Pose) -> None:
        """Time is 0: forget commands, begin the odometry at the pose."""

    @abstractmethod
    def _rest(self) -> None:
        """It was put down at rest."""

    @abstractmethod
    def _drive(self) -> None:
        """Set what the actuators do in the next physics step."""

    @abstractmethod
    def _reckon(self) -> None:
        """Bring the odometry up to date."""

    @abstractmethod
    def _standing(self) -> bool:
        """Whether it was told to stand."""

    @abstractmethod
    def odometry(self) -> Odometry:
        """Where it believes it is, at most 10 ms old; it begins at the true start and drifts."""

    @abstractmethod
    def set_command(self, linear_x: float, angular_z: float) -> None:
        """Wished speeds in m/s and rad/s."""

    def _commanded(self) -> bool:
        """Whether the newest command still counts."""
        since = self._command_ns
        return since is not None and self.time_ns - since < self._vehicle.command_timeout * 1e9

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
        odometry, imu, scan, camera; the first of each is due one period after time 0.
        """
        while True:
            self._until_ns = max(self._until_ns, until_ns)
            due = {k: round((self._sent[k] + 1) * p) for k, p in self._period_ns.items()}
            kind = min(due, key=lambda k: due[k])
            if due[kind] > until_ns:
                self._run_until(until_ns)
                return
            self._run_until(due[kind])
            self._sent[kind] += 1
            yield Event(kind, self.time_ns, getattr(self, kind)())

    def _run_until(self, until_ns: int) -> None:
        steps = (until_ns - self.time_ns) // self._step_ns
        for _ in range(steps):
            self._drive()
            self._move_obstacles()
            self._mujoco.mj_step(self.model, self.data)
            self.time_ns += self._step_ns
            if self.data.ncon:
                self._note_contacts()
            if self.time_ns - self._noted_ns >= NOTE_NS:
                self._noted_ns = self.time_ns
                self._note_way()
        if steps > 0:
            # mj_step leaves what follows from the joints at the step before
            self._move_obstacles()
            self._mujoco.mj_kinematics(self.model, self.data)
            self._mujoco.mj_camlight(self.model, self.data)

    def _note_way(self) -> None:
        """What is followed at a fixed rate, whoever asks: dead reckoning, path length, closest approach."""
        self._reckon()
        x, y = self.data.qpos[:2].tolist()
        self.path_length += math.dist((x, y), self._last_xy)
        self._last_xy = (x, y)
        self.closest_approach = min(self.closest_approach, self.minimum_distance())

    def _move_obstacles(self) -> None:
        for i, mover in enumerate(self.world.movers):
            self.data.mocap_pos[i, :2] = mover.at(self.time_ns * 1e-9)

    def _note_contacts(self) -> None:
        geoms = self.data.contact.geom[: self.data.ncon]
        for pair in geoms[(geoms == self._footprint).any(axis=1)].tolist():
            other = pair[0] if pair[1] == self._footprint else pair[1]
            last = self._touched.get(other)
            self._touched[other] = self.time_ns
            if last is None or self.time_ns - last > CONTACT_GAP_NS:
                name = self._mujoco.mj_id2name(self.model, self._mujoco.mjtObj.mjOBJ_GEOM, other)
                pose = self.truth().pose
                self.contact_events.append(Contact(self.time_ns, name, pose.x, pose.y, self._standing()))

    # -- sensors -------------------------------------------------------------------------------------------

    def scan(self) -> RangeScan:
        """A sweep of the lidar from where the robot is now."""
        rotation = self.data.site_xmat[self._lidar].reshape(3, 3)
        distances = self._cast(self._beams @ rotation.T, self.data.site_xpos[self._lidar])
        return self._lidar_noise.read(self.time_ns, distances)

    def _cast(self, directions: FloatArray, origin: FloatArray) -> FloatArray:
        """Distance along unit vectors (n, 3) of the world to the nearest obstacle, (n,) m, negative for none."""
        count = len(directions)
        distances = np.zeros((count, 1))
        self._mujoco.mj_multiRay(
            m=self.model,
            d=self.data,
            pnt=origin.reshape(3, 1),
            vec=np.ascontiguousarray(directions).reshape(-1, 1),
            geomgroup=self._ray_groups,
            flg_static=True,
            bodyexclude=self._body,
            geomid=np.zeros((count, 1), np.int32),
            dist=distances,
            normal=None,
            nray=count,
            cutoff=self._vehicle.lidar_range_max + 1.0,
        )
        return distances[:, 0]

    def camera(self) -> NDArray[np.uint8]:
        """What the camera sees now, (height, width, 3) uint8 RGB. GraphicsError where there is no GL."""
        if self._lens is None:
            self._lens = Camera(self._mujoco, self.model, self._vehicle)
        return self._lens.frame(self.data)

    def imu(self) -> Imu:
        """Angular velocity and specific force of the last physics step, with bias and noise."""
        values = self.data.sensordata
        return self._imu_noise.read(self.time_ns, values[0:3], values[3:6])

    # -- ground truth: for the score and the report alone --------------------------------------------------

    def truth(self) -> Odometry:
        """True planar pose and body-frame twist."""
        x, y, _, qw, qx, qy, qz = self.data.qpos[:7].tolist()
        yaw = math.atan2(2.0 * (qw * qz + qx * qy), 1.0 - 2.0 * (qy * qy + qz * qz))
        vx, vy, vz, _, _, wz = self.data.qvel[:6].tolist()
        c, s = math.cos(yaw), math.sin(yaw)
        twist = Twist(self.time_ns, c * vx + s * vy, c * vy - s * vx, vz, wz)
        return Odometry(self.time_ns, Pose(x, y, yaw), twist)

    @property
    def contacts(self) -> int:
        """How many times the robot has touched an obstacle."""
        return len(self.contact_events)

    def minimum_distance(self) -> float:
        """Metres from the robot's rectangular outline to the nearest obstacle now; inf in an empty world."""
        movers = [(*m.at(self.time_ns * 1e-9), m.radius) for m in self.world.movers]
        cylinders = np.concatenate((self.world.cylinders, np.array(movers).reshape(-1, 3)))
        return _gap(self.world, self._vehicle, self.truth().pose, cylinders)

    def goal_distance(self) -> float:
        """Metres from the robot's centre to the goal."""
        pose = self.truth().pose
        return math.dist((pose.x, pose.y), self.world.goal)

    def viewer(self) -> Any:
        """Opens MuJoCo's window on this simulation: a context manager with sync() and is_running().

        ValueError where there is no display.
        """
        import mujoco.viewer

        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise ValueError("no display for MuJoCo's viewer: run headless, or set DISPLAY")
        return mujoco.viewer.launch_passive(self.model, self.data)

    def close(self) -> None:
        """Frees what the camera holds of GL; drawing takes it again."""
        if self._lens is not None:
            self._lens.close()
            self._lens = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Simulator(VehicleSimulator):
    """One rover in one world; see VehicleSimulator for what the arguments mean."""

    def __init__(
        self,
        world: World,
        robot: RobotModel = JACKAL,
        seed: int = 0,
        *,
        camera: bool = True,
        timestep: float = 0.002,
        appearance: Appearance | None = None,
    ) -> None:
        self.robot = robot
        self._rest_height = robot.wheel_radius
        super().__init__(world, robot, seed, camera=camera, timestep=timestep, appearance=appearance)

    def _mjcf(self, appearance: Appearance | None, timestep: float) -> str:
        return build_mjcf(self.world, self.robot, appearance or Appearance(), timestep)

    def _begin(self, pose: Pose) -> None:
        joints = [
            self._mujoco.mj_name2id(self.model, self._mujoco.mjtObj.mjOBJ_JOINT, f"{side}_wheel")
            for side in ("left", "right")
        ]
        self._wheel_q, self._wheel_v = self.model.jnt_qposadr[joints], self.model.jnt_dofadr[joints]
        self._target: tuple[float, float] = (0.0, 0.0)
        self._wheel_target: tuple[float, float] | None = None
        self._odometry = WheelOdometry(self.robot, pose, np.random.default_rng([self.seed, 13]))

    def _rest(self) -> None:
        self._speed = (0.0, 0.0)

    def _reckon(self) -> None:
        self._odometry.update(self.time_ns, self.data.qpos[self._wheel_q])

    def _standing(self) -> bool:
        return bool(np.abs(self.data.ctrl).max() * self.robot.wheel_radius < STANDING_SPEED)

    def odometry(self) -> Odometry:
        """Dead reckoning from the wheels, at most 10 ms old; it begins at the true start and drifts."""
        return self._odometry.reading

    def set_command(self, linear_x: float, angular_z: float) -> None:
        """Wished speeds in m/s and rad/s, cut to the robot's limits, kept for command_timeout at most.

        ValueError where one is not finite.
        """
        if not (math.isfinite(linear_x) and math.isfinite(angular_z)):
            raise ValueError(f"command: speeds {linear_x} m/s and {angular_z} rad/s must be finite")
        v, w = self.robot.max_speed, self.robot.max_yaw_rate
        self._target = (min(max(linear_x, -v), v), min(max(angular_z, -w), w))
        self._wheel_target = None
        self._command_ns = self.time_ns

    def set_wheel_speeds(self, left: float, right: float) -> None:
        """Wished wheel speeds in rad/s, without a ramp, for a firmware with its own limits; same timeout."""
        if not (math.isfinite(left) and math.isfinite(right)):
            raise ValueError(f"command: wheel speeds {left} and {right} rad/s must be finite")
        self._wheel_target = (left, right)
        self._command_ns = self.time_ns

    def wheel_states(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """True angles (2,) rad, unwrapped, and speeds (2,) rad/s of the left and right wheel."""
        return self.data.qpos[self._wheel_q].copy(), self.data.qvel[self._wheel_v].copy()

    def _drive(self) -> None:
        robot = self.robot
        fresh = self._commanded()
        if self._wheel_target is not None:
            self.data.ctrl[:] = self._wheel_target if fresh else (0.0, 0.0)
            return
        v, w = self._target if fresh else (0.0, 0.0)
        v = limit(self._speed[0], v, robot.acceleration, robot.deceleration, self._timestep)
        w = limit(self._speed[1], w, robot.yaw_acceleration, robot.yaw_acceleration, self._timestep)
        self._speed = (v, w)
        half = 0.5 * robot.track
        self.data.ctrl[0] = (v - w * half) / robot.wheel_radius
        self.data.ctrl[1] = (v + w * half) / robot.wheel_radius


def _gap(world: World, robot: Vehicle, pose: Pose, cylinders: NDArray[np.float64]) -> float:
    return footprint_distance(pose.x, pose.y, pose.yaw, robot.length, robot.width, cylinders, world.boxes)
