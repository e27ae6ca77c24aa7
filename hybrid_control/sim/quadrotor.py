"""The embedded simulator's drone: a quadrotor, the autopilot that stands in for a real one, its sensors.

The autopilot takes what PX4's offboard and ArduPilot's guided mode take, a velocity in the body's level frame and a
yaw rate, and turns it into thrusts by a cascade of velocity, attitude and rate control (R. Mahony, V. Kumar and
P. Corke, "Multirotor Aerial Vehicles", IEEE Robotics and Automation Magazine 19, 2012). Rotors follow with a lag, and
their thrust grows with the square of their speed.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.signals import Odometry, Pose, Twist, VerticalRanges
from hybrid_control.sim.description import box_inertia
from hybrid_control.sim.model import HIDDEN, ROBOT, Appearance, camera_mjcf, mjcf_text, scene_mjcf
from hybrid_control.sim.robots import QUAD, QuadModel
from hybrid_control.sim.simulator import STANDING_SPEED, VehicleSimulator
from hybrid_control.sim.worlds import World

GRAVITY = 9.81  # m/s^2, MuJoCo's default
AIR = 1.2  # kg/m^3
OBSTACLE_HEIGHT = (2.5, 4.0)  # m: a drone that keeps its height flies round obstacles, not over them

# gains of the autopilot's cascade, 1/s, each a few times faster than the one around it
VELOCITY_GAIN = 2.5
VELOCITY_INTEGRAL = 0.8  # 1/s^2
ATTITUDE_GAIN = 8.0
RATE_GAIN = 25.0
MAX_BODY_RATE = 6.0  # rad/s

SIDES = np.array(((1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)))  # of the rotors, in their order
SPINS = np.array((1.0, -1.0, 1.0, -1.0))  # sign of the torque that each puts on the body


@numba.njit(cache=True, nogil=True)
def autopilot(
    position: FloatArray,
    velocity: FloatArray,
    target: FloatArray,
    integral: FloatArray,
    rotors: FloatArray,
    numbers: FloatArray,
    inertia: FloatArray,
    dt: float,
    thrusts: FloatArray,
) -> None:
    """One step of autopilot and rotors.

    position: (7,) m and quaternion (w, x, y, z); velocity: (6,) m/s in the world, rad/s in the body, as a MuJoCo free
    joint has them. target: (4,) forward, left, up m/s, yaw rad/s. integral: (3,) m/s^2 and rotors: (4,) speed as a
    share of the largest, both brought up to date. numbers: mass, rotor x and y m, most thrust N, torque per thrust m,
    rotor time constant s, most horizontal acceleration m/s^2, most tilt rad. inertia: (3,) kg m^2. thrusts: (4,) N,
    out.
    """
    mass, rotor_x, rotor_y, most, drag, lag, acceleration, tilt = numbers
    w, x, y, z = position[3], position[4], position[5], position[6]
    # columns of the body's rotation: where its axes point
    ax = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
    ay = (2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x))
    az = (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y))
    yaw = math.atan2(ax[1], ax[0])
    c, s = math.cos(yaw), math.sin(yaw)
    error_x = c * target[0] - s * target[1] - velocity[0]
    error_y = s * target[0] + c * target[1] - velocity[1]
    error_z = target[2] - velocity[2]
    integral[0] = min(max(integral[0] + VELOCITY_INTEGRAL * error_x * dt, -1.0), 1.0)
    integral[1] = min(max(integral[1] + VELOCITY_INTEGRAL * error_y * dt, -1.0), 1.0)
    integral[2] = min(max(integral[2] + VELOCITY_INTEGRAL * error_z * dt, -2.0), 2.0)
    fx = VELOCITY_GAIN * error_x + integral[0]
    fy = VELOCITY_GAIN * error_y + integral[1]
    fz = GRAVITY + min(max(VELOCITY_GAIN * error_z + integral[2], -4.0), 4.0)
    level = math.hypot(fx, fy)
    allowed = min(acceleration, fz * math.tan(tilt))
    if level > allowed:
        fx, fy = fx * allowed / level, fy * allowed / level
    norm = math.sqrt(fx * fx + fy * fy + fz * fz)
    thrust = mass * max(fx * az[0] + fy * az[1] + fz * az[2], 0.0)
    # the turn from the body's z to the wished direction of thrust, in the body's frame
    ex, ey, ez = az[1] * fz - az[2] * fy, az[2] * fx - az[0] * fz, az[0] * fy - az[1] * fx
    wished_x = ATTITUDE_GAIN * (ax[0] * ex + ax[1] * ey + ax[2] * ez) / norm
    wished_y = ATTITUDE_GAIN * (ay[0] * ex + ay[1] * ey + ay[2] * ez) / norm
    wished_x = min(max(wished_x, -MAX_BODY_RATE), MAX_BODY_RATE)
    wished_y = min(max(wished_y, -MAX_BODY_RATE), MAX_BODY_RATE)
    torque_x = inertia[0] * RATE_GAIN * (wished_x - velocity[3])
    torque_y = inertia[1] * RATE_GAIN * (wished_y - velocity[4])
    torque_z = inertia[2] * 0.4 * RATE_GAIN * (target[3] - velocity[5])  # little authority, so a slower loop
    limit = 0.5 * thrust * drag  # half of the thrust is left to keep it level
    torque_z = min(max(torque_z, -limit), limit)
    for i in range(4):
        wished = 0.25 * (
            thrust
            + SIDES[i, 1] * torque_x / rotor_y
            - SIDES[i, 0] * torque_y / rotor_x
            + SPINS[i] * torque_z / drag
        )
        speed = math.sqrt(min(max(wished / most, 0.0), 1.0))
        rotors[i] += (speed - rotors[i]) * min(dt / lag, 1.0)
        thrusts[i] = most * rotors[i] * rotors[i]


class DriftingOdometry:
    """What a visual-inertial odometry says: its scale is off by a share, its yaw drifts, both drawn per drone."""

    def __init__(self, robot: QuadModel, start: Pose, rng: np.random.Generator) -> None:
        self._scale = 1.0 + rng.normal(0.0, robot.odometry_scale_error)
        self._drift = rng.normal(0.0, robot.gyro_drift)
        self._yaw = start.yaw
        self.reading = Odometry(0, start, Twist(0))

    def update(self, true: Odometry) -> None:
        """The true speed of now, held since the last update, and the true yaw."""
        old = self.reading
        dt = (true.stamp_ns - old.stamp_ns) * 1e-9
        turn = math.remainder(true.pose.yaw - self._yaw, 2.0 * math.pi) + self._drift * dt
        self._yaw = true.pose.yaw
        forward, left = self._scale * true.twist.linear_x, self._scale * true.twist.linear_y
        middle = old.pose.yaw + 0.5 * turn
        c, s = math.cos(middle), math.sin(middle)
        pose = Pose(
            old.pose.x + (c * forward - s * left) * dt,
            old.pose.y + (s * forward + c * left) * dt,
            old.pose.yaw + turn,
        )
        twist = Twist(true.stamp_ns, forward, left, true.twist.linear_z, turn / dt)
        self.reading = Odometry(true.stamp_ns, pose, twist)


def quad_mjcf(robot: QuadModel, start: Pose, camera: str) -> str:
    """MJCF of the drone's body, hovering; a box of its whole outline is what touches obstacles and the ground."""
    half = start.yaw / 2
    rotors = ""
    for i, (sx, sy) in enumerate(SIDES.tolist()):
        at = mjcf_text(sx * robot.rotor_x, sy * robot.rotor_y, 0.0)
        rotors += f"""
          <site name="rotor{i}" pos="{at}" group="{HIDDEN}"/>
          <geom type="cylinder" size="{mjcf_text(robot.rotor_radius, 0.004)}" pos="{at}" mass="0" group="{ROBOT}"
            contype="0" conaffinity="0" rgba="0.2 0.2 0.2 0.6"/>"""
    arms = "".join(
        f"""
          <geom type="capsule" fromto="{mjcf_text(robot.rotor_x, side * robot.rotor_y, 0)} {
            mjcf_text(-robot.rotor_x, -side * robot.rotor_y, 0)
        }" size="0.01" mass="0" group="{ROBOT}" contype="0" conaffinity="0" rgba="0.95 0.75 0.1 1"/>"""
        for side in (1, -1)
    )
    inertia = box_inertia(robot.mass, robot.length, robot.width, robot.height)
    size = mjcf_text(robot.length / 2, robot.width / 2, robot.height / 2)
    return f"""
        <body name="robot" pos="{mjcf_text(start.x, start.y, robot.hover_height)}"
          quat="{mjcf_text(math.cos(half), 0, 0, math.sin(half))}">
          <freejoint/>
          <inertial pos="0 0 0" mass="{mjcf_text(robot.mass)}" diaginertia="{mjcf_text(*inertia)}"/>
          <geom name="footprint" type="box" size="{size}" group="{HIDDEN}" contype="0" conaffinity="3"/>
          <site name="lidar" pos="{mjcf_text(0, 0, robot.lidar_z)}" group="{HIDDEN}"/>
          <site name="imu" group="{HIDDEN}"/>
          {camera}{rotors}{arms}
        </body>"""


class QuadSimulator(VehicleSimulator):
    """One quadrotor in one world, hovering at the start; see VehicleSimulator for what the arguments mean.

    Readings: odometry, imu, scan and camera as of the rover, and `vertical`, the ranges up and down. Arming and
    take-off are not modelled.
    """

    def __init__(
        self,
        world: World,
        robot: QuadModel = QUAD,
        seed: int = 0,
        *,
        camera: bool = True,
        timestep: float = 0.002,
        appearance: Appearance | None = None,
    ) -> None:
        self.robot = robot
        self._rest_height = robot.hover_height
        super().__init__(world, robot, seed, camera=camera, timestep=timestep, appearance=appearance)

    def _mjcf(self, appearance: Appearance | None, timestep: float) -> str:
        robot = self.robot
        appearance = appearance or Appearance(obstacle_height=OBSTACLE_HEIGHT)
        if appearance.obstacle_height[0] <= robot.hover_height + robot.height:
            raise ValueError(
                f"appearance: obstacles of {appearance.obstacle_height[0]} m stand lower than the drone flies, "
                f"{robot.hover_height} m"
            )
        body = quad_mjcf(robot, self.world.start, camera_mjcf(robot, appearance))
        motors = "".join(
            f'<motor name="rotor{i}" site="rotor{i}" gear="0 0 1 0 0 {mjcf_text(spin * robot.rotor_torque)}" '
            f'ctrlrange="0 {mjcf_text(robot.rotor_thrust)}"/>'
            for i, spin in enumerate(SPINS.tolist())
        )
        return scene_mjcf(self.world, appearance, timestep, body, motors, AIR)

    def _rates(self) -> dict[str, float]:
        rates = super()._rates()
        camera = {"camera": rates.pop("camera")} if "camera" in rates else {}
        return {**rates, "vertical": self.robot.vertical_rate, **camera}

    def _begin(self, pose: Pose) -> None:
        robot = self.robot
        self._target = np.zeros(4)
        self._integral = np.zeros(3)
        self._rotors = np.zeros(4)
        self._still = np.zeros(4)
        self._inertia = np.array(box_inertia(robot.mass, robot.length, robot.width, robot.height))
        self._numbers = np.array(
            (
                robot.mass,
                robot.rotor_x,
                robot.rotor_y,
                robot.rotor_thrust,
                robot.rotor_torque,
                robot.rotor_time_constant,
                robot.acceleration,
                robot.max_tilt,
            )
        )
        self._odometry = DriftingOdometry(robot, pose, np.random.default_rng([self.seed, 13]))
        self._vertical_rng = np.random.default_rng([self.seed, 14])

    def _rest(self) -> None:
        self._integral[:] = 0.0
        self._rotors[:] = math.sqrt(self.robot.mass * GRAVITY / 4 / self.robot.rotor_thrust)

    def set_twist(self, twist: Twist) -> None:
        """Wished velocity in the body's level frame and yaw rate, cut to the limits, kept for command_timeout.

        Without a newer one it hovers where it is.
        """
        robot = self.robot
        speed = math.hypot(twist.linear_x, twist.linear_y)
        share = min(1.0, robot.max_speed / speed) if speed > 0 else 1.0
        self._target[:] = (
            share * twist.linear_x,
            share * twist.linear_y,
            min(max(twist.linear_z, -robot.max_climb), robot.max_climb),
            min(max(twist.angular_z, -robot.max_yaw_rate), robot.max_yaw_rate),
        )
        self._command_ns = self.time_ns

    def set_command(self, linear_x: float, angular_z: float) -> None:
        """Wished speeds in m/s and rad/s, at the same height. ValueError where one is not finite."""
        self.set_twist(Twist(self.time_ns, linear_x=linear_x, angular_z=angular_z))

    def _drive(self) -> None:
        autopilot(
            self.data.qpos,
            self.data.qvel,
            self._target if self._commanded() else self._still,
            self._integral,
            self._rotors,
            self._numbers,
            self._inertia,
            self._timestep,
            self.data.ctrl,
        )

    def _reckon(self) -> None:
        self._odometry.update(self.truth())

    def _standing(self) -> bool:
        return not self._commanded() or bool(np.abs(self._target[:3]).max() < STANDING_SPEED)

    def odometry(self) -> Odometry:
        """Visual-inertial dead reckoning, at most 10 ms old; it begins at the true start and drifts."""
        return self._odometry.reading

    @property
    def height(self) -> float:
        """True height of base_link above the ground, m."""
        return float(self.data.qpos[2])

    def _to_ground(self, directions: FloatArray, origin: FloatArray) -> FloatArray:
        """Distance along unit vectors (n, 3) of the world to the level ground, (n,) m, inf for none."""
        down = -directions[:, 2]
        return np.where(down > 1e-9, origin[2] / np.maximum(down, 1e-9), np.inf)

    def _cast(self, directions: FloatArray, origin: FloatArray) -> FloatArray:
        """The ground is met too: a drone that tilts sees it."""
        distances = super()._cast(directions, origin)
        return np.minimum(np.where(distances < 0, np.inf, distances), self._to_ground(directions, origin))

    def vertical(self) -> VerticalRanges:
        """The range sensors along the body's z axis, both in its middle."""
        robot = self.robot
        axis = self.data.xmat[self._body].reshape(3, 3)[:, 2]
        distances = self._cast(np.stack((axis, -axis)), self.data.xpos[self._body].copy())
        noisy = np.maximum(distances + self._vertical_rng.normal(0.0, robot.vertical_noise, 2), 0.0)
        up, down = np.where(distances > robot.vertical_range_max, np.inf, noisy).tolist()
        return VerticalRanges(self.time_ns, up, down)
