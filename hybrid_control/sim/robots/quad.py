"""The quadrotor: its numbers, its models, the autopilot that stands in for a real one, and its odometry.

The autopilot takes what PX4's offboard and ArduPilot's guided mode take, a velocity in the body's level frame and a
yaw rate, and turns it into thrusts by a cascade of velocity, attitude and rate control (R. Mahony, V. Kumar and
P. Corke, "Multirotor Aerial Vehicles", IEEE Robotics and Automation Magazine 19, 2012). Rotors follow with a lag, and
their thrust grows with the square of their speed. Arming and take-off are not modelled: it begins hovering.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numba
import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.parameters import Value
from hybrid_control.signals import Odometry, Pose, Twist
from hybrid_control.sim.description import (
    BASE,
    BLACK,
    ODOM,
    RANGE_DOWN,
    RANGE_UP,
    YELLOW,
    Description,
    Joint,
    Link,
    Placement,
    Shape,
    Vector,
    box_inertia,
)
from hybrid_control.sim.mjcf import HIDDEN, ROBOT, mjcf_text
from hybrid_control.sim.mujoco_import import MuJoCo
from hybrid_control.sim.robots.vehicle import (
    CAMERA_TOP,
    LIDAR_TOP,
    STANDING_SPEED,
    Locomotion,
    Plugin,
    Vehicle,
    VerticalSensor,
    add_sensors,
    place_plugin,
)
from hybrid_control.sim.urdf import text
from hybrid_control.sim.worlds.thing import Thing

GRAVITY = 9.81  # m/s^2, MuJoCo's default

# gains of the autopilot's cascade, 1/s, each a few times faster than the one around it
VELOCITY_GAIN = 2.5
VELOCITY_INTEGRAL = 0.8  # 1/s^2
ATTITUDE_GAIN = 8.0
RATE_GAIN = 25.0
MAX_BODY_RATE = 6.0  # rad/s

# of the rotors, in their order: sides ahead and to the left, and sign of the torque that each puts on the body
SIDES = ((1, 1), (-1, 1), (-1, -1), (1, -1))
SPINS = (1, -1, 1, -1)

# Gazebo's controller
ROTOR_SPEED = 800.0  # rad/s at full thrust; the model's joints turn ten times slower
ATTITUDE = (57.0, 12.0)  # 1/s², 1/s: about 7.5 rad/s, damped by 0.8, for roll and pitch
YAW = (1.5, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadrotor(Vehicle):
    """A quadrotor with its rotors in an X, and range sensors up and down. Heights are above base_link.

    base_link lies in the middle of the four rotors, where the centre of mass is as well. The first rotor is the front
    left one, and they go on counter-clockwise from above; the first and the third turn clockwise.
    """

    rotor_x: float  # m, each rotor's distance from the middle along x
    rotor_y: float
    rotor_radius: float
    rotor_mass: float = 0.01  # of each; part of mass
    rotor_thrust: float  # N, most thrust of one rotor
    rotor_torque: float  # N m of reaction about the vertical for each N of thrust
    rotor_time_constant: float  # s, in which a rotor's speed follows
    max_climb: float  # m/s
    max_tilt: float  # rad
    hover_height: float  # m, of base_link above the ground where it begins
    vertical_rate: float = 40.0  # Hz, of the range sensors up and down
    vertical_range_max: float = 4.0
    vertical_noise: float = 0.01  # m, standard deviation
    gyro_drift: float = 0.001  # rad/s, of the yaw that the odometry has; standard deviation over robots

    kind: ClassVar[str] = "quadrotor"
    flies: ClassVar[bool] = True
    holonomic: ClassVar[bool] = True
    commands: ClassVar[tuple[str, ...]] = ("linear_x", "linear_y", "linear_z", "angular_z")
    obstacle_height: ClassVar[tuple[float, float]] = (2.5, 4.0)  # it flies round obstacles, not over them
    air_density: ClassVar[float] = 1.2
    gazebo_lidar_rate: ClassVar[float] = 40.0  # it drifts on for longer than a rover, and needs newer ones

    @property
    def vertical(self) -> VerticalSensor:
        """Its range sensors up and down."""
        return VerticalSensor(self.vertical_rate, self.vertical_range_max, self.vertical_noise)

    @property
    def reflex_settings(self) -> dict[str, Value]:
        """What a ground robot has not; config/quad.yaml has the same outline, and leaves height to an autopilot."""
        return {**self.shape_settings, "holonomic": True, "hover_height": self.hover_height}

    @property
    def reflex_gains(self) -> dict[str, Value]:
        """The fastest that its measured success holds for."""
        return {"max_speed": 1.0}

    @property
    def start_height(self) -> float:
        """It hovers."""
        return self.hover_height

    @property
    def top(self) -> float:
        """m above the ground of its highest part where it hovers."""
        lidar, camera = self.lidar_z + LIDAR_TOP, self.camera_z + CAMERA_TOP
        return self.hover_height + max(self.height / 2, lidar, camera)

    def meets(self, thing: Thing) -> bool:
        """Whether it touches a thing that its outline gets over, as high as it hovers."""
        return thing.touches(self.top) and thing.top > self.hover_height - self.height / 2

    @property
    def standing_height(self) -> float:
        """Its frame is base_link; it is put down from a hair above the ground."""
        return self.height / 2 + 0.002

    @property
    def inertia(self) -> Vector:
        """Principal moments of the whole, kg m²."""
        return box_inertia(self.mass, self.length, self.width, self.height)

    def describe(self) -> Description:
        """The drone's links, joints and sensors; its root is base_link.

        A body of half the outline hangs between thin rotors; the footprint, the whole outline, is what touches things.
        """
        body = self.mass - 4 * self.rotor_mass
        hull = Shape("footprint", "box", (self.length, self.width, self.height), colour=YELLOW)
        core = Shape("body", "box", (self.length / 2, self.width / 2, self.height / 2), colour=YELLOW)
        inertia = box_inertia(body, self.length, self.width, self.height)
        links = [Link(BASE, body, inertia, (core,), (hull,))]
        joints: list[Joint] = []
        r, m = self.rotor_radius, self.rotor_mass
        for i, (ahead, left) in enumerate(SIDES):
            disc = Shape(f"rotor{i}", "cylinder", (r, 0.005), colour=BLACK)
            links.append(Link(f"rotor{i}", m, (m * r * r / 4, m * r * r / 4, m * r * r / 2), (disc,)))
            at = Placement((ahead * self.rotor_x, left * self.rotor_y, 0.0))
            axis = (0.0, 0.0, 1.0)
            joints.append(Joint(f"rotor{i}_joint", "continuous", BASE, f"rotor{i}", at, axis, effort=1.0))
        frames = {
            **self.sensor_frames(),
            RANGE_UP: Placement((0.0, 0.0, self.height / 2), (0.0, -math.pi / 2, 0.0)),
            RANGE_DOWN: Placement((0.0, 0.0, -self.height / 2), (0.0, math.pi / 2, 0.0)),
        }
        add_sensors(links, joints, frames)
        return Description(self.name, tuple(links), tuple(joints))

    def check_obstacles(self, lowest: float) -> None:
        """It must not fly over them."""
        if lowest <= self.hover_height + self.height:
            raise ValueError(
                f"appearance: obstacles of {lowest} m stand lower than the drone flies, {self.hover_height} m"
            )

    def mjcf(self, start: Pose, camera: str) -> tuple[str, str]:
        """The drone, hovering; a box of its whole outline is what touches obstacles and the ground."""
        half = start.yaw / 2
        rotors = ""
        for i, (sx, sy) in enumerate(SIDES):
            at = mjcf_text(sx * self.rotor_x, sy * self.rotor_y, 0.0)
            rotors += f"""
          <site name="rotor{i}" pos="{at}" group="{HIDDEN}"/>
          <geom type="cylinder" size="{mjcf_text(self.rotor_radius, 0.004)}" pos="{at}" mass="0" group="{ROBOT}"
            contype="0" conaffinity="0" rgba="0.2 0.2 0.2 0.6"/>"""
        arms = "".join(
            f"""
          <geom type="capsule" fromto="{mjcf_text(self.rotor_x, side * self.rotor_y, 0)} {
                mjcf_text(-self.rotor_x, -side * self.rotor_y, 0)
            }" size="0.01" mass="0" group="{ROBOT}" contype="0" conaffinity="0" rgba="0.95 0.75 0.1 1"/>"""
            for side in (1, -1)
        )
        size = mjcf_text(self.length / 2, self.width / 2, self.height / 2)
        body = f"""
        <body name="robot" pos="{mjcf_text(start.x, start.y, self.hover_height)}"
          quat="{mjcf_text(math.cos(half), 0, 0, math.sin(half))}">
          <freejoint/>
          <inertial pos="0 0 0" mass="{mjcf_text(self.mass)}" diaginertia="{mjcf_text(*self.inertia)}"/>
          <geom name="footprint" type="box" size="{size}" group="{HIDDEN}" contype="0" conaffinity="3"/>
          <site name="lidar" pos="{mjcf_text(self.lidar_x, self.lidar_y, self.lidar_z)}"
            euler="{mjcf_text(0, 0, self.lidar_yaw)}" group="{HIDDEN}"/>
          <site name="imu" group="{HIDDEN}"/>
          {camera}{rotors}{arms}
        </body>"""
        motors = "".join(
            f'<motor name="rotor{i}" site="rotor{i}" gear="0 0 1 0 0 {mjcf_text(spin * self.rotor_torque)}" '
            f'ctrlrange="0 {mjcf_text(self.rotor_thrust)}"/>'
            for i, spin in enumerate(SPINS)
        )
        return body, motors

    def locomotion(self, mujoco: MuJoCo, start: Pose, seed: int) -> RotorLocomotion:
        """Rotors under an autopilot."""
        return RotorLocomotion(self, mujoco, start, seed)

    def gazebo_plugins(self, prefix: str, name: str) -> list[Plugin]:
        """Motors, a controller that flies velocities in the body's frame, and its place as odometry.

        Gazebo's controller listens below the model's name: to NAME/cmd_vel.
        """
        constant = self.rotor_thrust / ROTOR_SPEED**2  # thrust = constant · speed²
        motors = [
            {
                "robotNamespace": name,
                "jointName": f"rotor{i}_joint",
                "linkName": f"rotor{i}",
                "turningDirection": "ccw" if spin < 0 else "cw",
                "timeConstantUp": self.rotor_time_constant,
                "timeConstantDown": self.rotor_time_constant,
                "maxRotVelocity": ROTOR_SPEED,
                "motorConstant": constant,
                "momentConstant": self.rotor_torque,
                "commandSubTopic": "command/motor_speed",
                "motorNumber": i,
                "rotorDragCoefficient": 8e-5,
                "rollingMomentCoefficient": 1e-6,
                "rotorVelocitySlowdownSim": 10.0,
                "motorType": "velocity",
            }
            for i, spin in enumerate(SPINS)
        ]
        rotors = [
            {
                "jointName": f"rotor{i}_joint",
                "forceConstant": constant,
                "momentConstant": self.rotor_torque,
                "direction": -spin,
            }
            for i, spin in enumerate(SPINS)
        ]
        ixx, iyy, izz = self.describe().link(BASE).inertia
        control = {
            "robotNamespace": name,
            "commandSubTopic": "cmd_vel",
            "enableSubTopic": "enable",
            "comLinkName": BASE,
            "velocityGain": "2.7 2.7 2.7",
            "attitudeGain": text((ATTITUDE[0] * ixx, ATTITUDE[0] * iyy, YAW[0] * izz)),
            "angularRateGain": text((ATTITUDE[1] * ixx, ATTITUDE[1] * iyy, YAW[1] * izz)),
            "maximumLinearAcceleration": text((self.acceleration,) * 3),
            "maximumLinearVelocity": text((self.max_speed, self.max_speed, self.max_climb)),
            "maximumAngularVelocity": text((self.max_yaw_rate,) * 3),
            "rotorConfiguration": {"rotor": rotors},
        }
        return [
            *(Plugin("multicopter-motor-model", "MulticopterMotorModel", motor) for motor in motors),
            Plugin("multicopter-control", "MulticopterVelocityControl", control),
            place_plugin(self, ODOM, BASE, f"{prefix}odom", f"{prefix}tf", dimensions=3),
        ]


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
            + SIDES[i][1] * torque_x / rotor_y
            - SIDES[i][0] * torque_y / rotor_x
            + SPINS[i] * torque_z / drag
        )
        speed = math.sqrt(min(max(wished / most, 0.0), 1.0))
        rotors[i] += (speed - rotors[i]) * min(dt / lag, 1.0)
        thrusts[i] = most * rotors[i] * rotors[i]


class DriftingOdometry:
    """What a visual-inertial odometry says: its scale is off by a share, its yaw drifts, both drawn per drone."""

    def __init__(self, robot: Quadrotor, start: Pose, rng: np.random.Generator) -> None:
        self._scale = 1.0 + rng.normal(0.0, robot.odometry_scale_error)
        self._drift = rng.normal(0.0, robot.gyro_drift)
        self._yaw = start.yaw
        self.reading = Odometry(0, start, Twist(0))

    def update(self, true: Odometry) -> Odometry:
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
        return self.reading


class RotorLocomotion(Locomotion):
    """Four rotors under the autopilot; without a fresh command it hovers where it is."""

    def __init__(self, robot: Quadrotor, mujoco: MuJoCo, start: Pose, seed: int) -> None:
        super().__init__(robot)
        self._robot, self._data = robot, mujoco.data
        self._timestep = mujoco.model.opt.timestep
        self._target, self._still = np.zeros(4), np.zeros(4)
        self._integral, self._rotors = np.zeros(3), np.zeros(4)
        self._inertia = np.array(robot.inertia)
        rotor = (robot.rotor_x, robot.rotor_y, robot.rotor_thrust, robot.rotor_torque, robot.rotor_time_constant)
        self._numbers = np.array((robot.mass, *rotor, robot.acceleration, robot.max_tilt))
        self._odometry = DriftingOdometry(robot, start, np.random.default_rng([seed, 13]))
        self.odometry = self._odometry.reading

    def rest(self) -> None:
        """The rotors carry its weight."""
        self._integral[:] = 0.0
        self._rotors[:] = math.sqrt(self._robot.mass * GRAVITY / 4 / self._robot.rotor_thrust)

    def take(self, twist: Twist) -> None:
        """Velocity in the body's level frame and yaw rate."""
        robot = self._robot
        speed = math.hypot(twist.linear_x, twist.linear_y)
        share = min(1.0, robot.max_speed / speed) if speed > 0 else 1.0
        self._target[:] = (
            share * twist.linear_x,
            share * twist.linear_y,
            min(max(twist.linear_z, -robot.max_climb), robot.max_climb),
            min(max(twist.angular_z, -robot.max_yaw_rate), robot.max_yaw_rate),
        )

    def act(self, now_ns: int) -> None:
        """One step of the autopilot."""
        data, target = self._data, self._target if self.commanded(now_ns) else self._still
        state, body = (self._integral, self._rotors), (self._numbers, self._inertia)
        autopilot(data.qpos, data.qvel, target, *state, *body, self._timestep, data.ctrl)

    def reckon(self, truth: Odometry) -> None:
        """Visual-inertial dead reckoning."""
        self.odometry = self._odometry.update(truth)

    def standing(self, now_ns: int) -> bool:
        """Whether it hovers on the spot."""
        return not self.commanded(now_ns) or bool(np.abs(self._target[:3]).max() < STANDING_SPEED)


QUAD = Quadrotor(
    name="quad",
    length=0.41,
    width=0.41,
    height=0.12,
    mass=1.2,
    max_speed=2.0,
    max_yaw_rate=2.0,
    acceleration=3.0,
    deceleration=3.0,
    yaw_acceleration=8.0,
    command_timeout=0.5,
    camera_x=0.12,
    camera_z=0.0,
    lidar_z=0.07,
    odometry_scale_error=0.01,
    rotor_x=0.115,
    rotor_y=0.115,
    rotor_radius=0.09,
    rotor_thrust=6.5,
    rotor_torque=0.016,
    rotor_time_constant=0.03,
    max_climb=1.0,
    max_tilt=0.35,
    hover_height=0.8,
)
