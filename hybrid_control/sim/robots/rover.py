"""What a differential-drive rover is in MuJoCo and in Gazebo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.signals import Odometry, Pose, Twist
from hybrid_control.sim.description import (
    BASE,
    BLACK,
    FOOTPRINT,
    IMU,
    LIDAR,
    ODOM,
    YELLOW,
    Description,
    Joint,
    Link,
    Placement,
    Shape,
    Vector,
    ball_inertia,
    box_inertia,
)
from hybrid_control.sim.mjcf import HIDDEN, ROBOT, mjcf_text
from hybrid_control.sim.mujoco_import import MuJoCo
from hybrid_control.sim.robots.vehicle import (
    STANDING_SPEED,
    TRUTH_TOPIC,
    Locomotion,
    Plugin,
    Vehicle,
    Wheels,
    add_sensors,
    place_plugin,
)
from hybrid_control.sim.wheels import WheelOdometry, ramp

SIDES = ("left", "right")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rover(Vehicle):
    """A differential-drive rover with a planar lidar over its centre and a camera at its front.

    Heights of camera and lidar are above the ground.
    """

    wheel_radius: float
    track: float  # m between the wheels' middles
    # what is under the body: it ends at ground_clearance, and two casters keep it level
    ground_clearance: float = 0.04
    wheel_mass: float = 0.5  # of each wheel; part of mass
    wheel_width: float = 0.04
    wheel_effort: float = 20.0  # N m, most torque of each wheel
    caster_radius: float = 0.03
    # wheel odometry
    encoder_counts: int = 48_000  # per turn of a wheel
    wheel_radius_error: float = 0.001  # relative, of each wheel for itself; standard deviations over robots
    track_error: float = 0.01  # relative

    kind: ClassVar[str] = "rover"

    @property
    def wheels(self) -> Wheels:
        """Its wheels."""
        return Wheels(
            self.wheel_radius, self.track, self.encoder_counts, self.wheel_radius_error, self.track_error
        )

    @property
    def mount_height(self) -> float:
        """Heights are above the ground, base_link is in the middle of the axle."""
        return self.wheel_radius

    def describe(self) -> Description:
        """The rover's links, joints and sensors.

        The footprint, a box of the whole outline clear of the ground, is what touches obstacles. Wheels are balls to
        the ground: they meet it in one point under the wheel's middle, so that nothing scrubs and the track is exact.
        Two casters without friction keep the body level. The centre of mass is in the middle of the axle.
        """
        r, body = self.wheel_radius, self.body_mass
        half = (self.height - self.ground_clearance) / 2
        middle = Placement((self.outline_x, 0.0, self.ground_clearance + half - r))
        hull = Shape("footprint", "box", (self.length, self.width, 2 * half), middle, YELLOW)
        shapes = (hull, *self.casters())
        inertia = box_inertia(body, self.length, self.width, self.height)
        links = [Link(FOOTPRINT), Link(BASE, body, inertia, shapes, shapes, self.centre)]
        joints = [Joint("base_joint", "fixed", FOOTPRINT, BASE, Placement((0.0, 0.0, r)))]
        self.add_wheels(links, joints)
        add_sensors(links, joints, self.sensor_frames())
        return Description(self.name, tuple(links), tuple(joints))

    @property
    def body_mass(self) -> float:
        """kg, without the wheels."""
        return self.mass - 2 * self.wheel_mass

    @property
    def centre(self) -> tuple[float, float, float]:
        """The body's centre of mass in base_link, m."""
        return 0.0, 0.0, 0.0

    def casters(self) -> tuple[Shape, ...]:
        """What keeps the body level beside the driven wheels."""
        ends, caster = self.length / 2 - self.caster_radius, self.caster_radius
        places = (("front_caster", self.outline_x + ends), ("rear_caster", self.outline_x - ends))
        height = caster - self.wheel_radius
        return tuple(
            Shape(name, "sphere", (caster,), Placement((x, 0.0, height)), slippery=True) for name, x in places
        )

    def add_wheels(self, links: list[Link], joints: list[Joint]) -> None:
        """Add the driven wheels to a description's parts."""
        for side, sign in zip(SIDES, (1, -1), strict=True):
            at = Placement((0.0, sign * self.track / 2, 0.0))
            self.add_wheel(links, joints, f"{side}_wheel", BASE, at, self.wheel_effort)

    @property
    def rim_speed(self) -> float:
        """m/s of a wheel's rim at most, straight ahead."""
        return self.max_speed

    def add_wheel(
        self, links: list[Link], joints: list[Joint], name: str, parent: str, at: Placement, effort: float,
        grips: Vector | None = None,
    ) -> None:  # fmt: skip
        """Add a wheel and its joint to a description's parts. grips: as a Shape has it."""
        r = self.wheel_radius
        ball = Shape(name, "sphere", (r,), grips=grips)
        tyre = Shape(name, "cylinder", (r, self.wheel_width), Placement(rpy=(math.pi / 2, 0.0, 0.0)), BLACK)
        links.append(Link(name, self.wheel_mass, ball_inertia(self.wheel_mass, r), (tyre,), (ball,)))
        fastest = self.rim_speed / r
        joints.append(
            Joint(f"{name}_joint", "continuous", parent, name, at, effort=effort, velocity=fastest)
        )

    def check_obstacles(self, lowest: float) -> None:
        """The lidar must not look over them."""
        if lowest <= self.lidar_z:
            raise ValueError(
                f"appearance: obstacles of {lowest} m stand lower than the lidar at {self.lidar_z} m"
            )

    def mjcf(self, start: Pose, camera: str) -> tuple[str, str]:
        """The rover as describe() lays it out; its frame is base_link.

        A footprint touches obstacles, wheels and casters the ground; the casters are softer than the wheels, so that
        these carry the robot.
        """
        description = self.describe()
        base = description.link(BASE)
        hull, *rollers = base.collisions
        half_yaw = start.yaw / 2
        casters = ""
        for caster in rollers:
            casters += f"""
          <geom name="{caster.name}" type="sphere" size="{mjcf_text(*caster.size)}" pos="{mjcf_text(*caster.at.xyz)}"
            group="{ROBOT}" contype="0" conaffinity="1" condim="1" friction="0 0 0" priority="1"
            solref="0.06 1" rgba="{mjcf_text(*caster.colour)}"/>"""
        sites = "".join(
            f"""
          <site name="{frame}" pos="{mjcf_text(*at.xyz)}" euler="{mjcf_text(*at.rpy)}" group="{HIDDEN}"/>"""
            for frame, at in ((frame, description.joint_to(frame).at) for frame in (LIDAR, IMU))
        )
        body = f"""
        <body name="robot" pos="{mjcf_text(start.x, start.y, self.wheel_radius)}"
          quat="{mjcf_text(math.cos(half_yaw), 0, 0, math.sin(half_yaw))}">
          <freejoint/>
          <inertial pos="{mjcf_text(*base.centre)}" mass="{mjcf_text(base.mass)}"
            diaginertia="{mjcf_text(*base.inertia)}"/>
          <geom name="{hull.name}" type="box" size="{mjcf_text(*(s / 2 for s in hull.size))}"
            pos="{mjcf_text(*hull.at.xyz)}" group="{ROBOT}" contype="0" conaffinity="2"
            condim="3" friction="0.4 0.005 0.0001" rgba="{mjcf_text(*hull.colour)}"/>{sites}
          {camera}{casters}{self.wheels_mjcf(description)}
        </body>"""
        return body, self.actuators_mjcf()

    def wheels_mjcf(self, description: Description) -> str:
        """MJCF of the wheels, in the body."""
        return "".join(wheel_mjcf(description, f"{side}_wheel") for side in SIDES)

    def actuators_mjcf(self) -> str:
        """MJCF of what turns the wheels."""
        effort = mjcf_text(-self.wheel_effort, self.wheel_effort)
        return "".join(
            f'<velocity name="{side}_wheel" joint="{side}_wheel" kv="10" forcerange="{effort}"/>'
            for side in SIDES
        )

    def locomotion(self, mujoco: MuJoCo, start: Pose, seed: int) -> Locomotion:
        """Wheels with their ramps and odometry."""
        return WheelLocomotion(self, mujoco, start, seed)

    def gazebo_plugins(self, prefix: str, name: str) -> list[Plugin]:
        """Differential drive with wheel odometry, joint states, and for the score its true place."""
        wheels = [f"{side}_wheel_joint" for side in SIDES]
        drive = {
            "left_joint": wheels[0],
            "right_joint": wheels[1],
            "wheel_separation": self.track,
            "wheel_radius": self.wheel_radius,
            # for speed and yaw rate alike, the only limits that Fortress before 6.5 knows; those below take precedence
            "max_acceleration": self.yaw_acceleration,
            "min_acceleration": -self.yaw_acceleration,
            "max_linear_velocity": self.max_speed,
            "min_linear_velocity": -self.max_speed,
            "max_angular_velocity": self.max_yaw_rate,
            "min_angular_velocity": -self.max_yaw_rate,
            "max_linear_acceleration": self.acceleration,
            "min_linear_acceleration": -self.deceleration,
            "max_angular_acceleration": self.yaw_acceleration,
            "min_angular_acceleration": -self.yaw_acceleration,
            "odom_publish_frequency": self.odometry_rate,
            "topic": f"{prefix}cmd_vel",
            "odom_topic": f"{prefix}odom",
            "tf_topic": f"{prefix}tf",
            "frame_id": ODOM,
            "child_frame_id": BASE,
        }
        states = {"topic": f"{prefix}joint_states", "joint_name": wheels}
        truth = f"{prefix}{TRUTH_TOPIC}"
        return [
            Plugin("diff-drive", "DiffDrive", drive),
            Plugin("joint-state-publisher", "JointStatePublisher", states),
            place_plugin(self, "world", FOOTPRINT, truth, f"{truth}/tf", dimensions=2),
        ]


def wheel_mjcf(description: Description, name: str, lag: float = 0.01) -> str:
    """MJCF of a wheel in its parent: a ball to the ground, a disc to the eye. lag: of what turns with it, kg m², and of
    its bearings, N m s."""
    link, joint = description.link(name), description.joint_to(name)
    (ball,), (tyre,) = link.collisions, link.visuals
    return f"""
          <body name="{link.name}" pos="{mjcf_text(*joint.at.xyz)}">
            <joint name="{link.name}" type="hinge" axis="{mjcf_text(*joint.axis)}" armature="{mjcf_text(lag)}"
              damping="{mjcf_text(lag)}"/>
            <geom type="sphere" size="{mjcf_text(*ball.size)}" mass="{mjcf_text(link.mass)}" group="{HIDDEN}"
              contype="0" conaffinity="1" condim="3" friction="1 0.005 0.0001"/>
            <geom type="cylinder" size="{mjcf_text(tyre.size[0], tyre.size[1] / 2)}" mass="0"
              euler="{mjcf_text(*tyre.at.rpy)}" group="{ROBOT}" contype="0" conaffinity="0"
              rgba="{mjcf_text(*tyre.colour)}"/>
          </body>"""


class WheelLocomotion(Locomotion):
    """Two wheels that follow speed and yaw rate by the base's ramps, and count their turns."""

    def __init__(self, robot: Rover, mujoco: MuJoCo, start: Pose, seed: int) -> None:
        super().__init__(robot)
        self._robot, self._data = robot, mujoco.data
        self._timestep = mujoco.model.opt.timestep
        joints = [mujoco.model.joint(f"{side}_wheel").id for side in SIDES]
        self._angles, self._speeds = mujoco.model.jnt_qposadr[joints], mujoco.model.jnt_dofadr[joints]
        self._speed = self._target = (0.0, 0.0)
        self._wheel_target: tuple[float, float] | None = None
        rng = np.random.default_rng([seed, 13])
        self._odometry = WheelOdometry(robot.wheels, robot.odometry_scale_error, start, rng)
        self.odometry = self._odometry.reading

    def take(self, twist: Twist) -> None:
        """Speed and yaw rate; the rest is not for a rover."""
        v, w = self._robot.max_speed, self._robot.max_yaw_rate
        self._target = (min(max(twist.linear_x, -v), v), min(max(twist.angular_z, -w), w))
        self._wheel_target = None

    def set_wheel_speeds(self, left: float, right: float, now_ns: int) -> None:
        """Without a ramp, for a firmware that has its own; the same timeout. ValueError where one is not finite."""
        if not (math.isfinite(left) and math.isfinite(right)):
            raise ValueError(f"command: wheel speeds {left} and {right} rad/s must be finite")
        self._wheel_target = (left, right)
        self._command_ns = now_ns

    def wheel_states(self) -> tuple[FloatArray, FloatArray]:
        """True angles (2,) rad, unwrapped, and speeds (2,) rad/s of the left and right wheel."""
        return self._data.qpos[self._angles].copy(), self._data.qvel[self._speeds].copy()

    def rest(self) -> None:
        """The ramps begin at zero."""
        self._speed = (0.0, 0.0)

    def act(self, now_ns: int) -> None:
        """One step of the ramps, as wheel speeds."""
        robot, dt = self._robot, self._timestep
        fresh = self.commanded(now_ns)
        if self._wheel_target is not None:
            self._data.ctrl[: len(SIDES)] = self._wheel_target if fresh else (0.0, 0.0)
            return
        v, w = self._target if fresh else (0.0, 0.0)
        v = ramp(self._speed[0], v, robot.acceleration, robot.deceleration, dt)
        w = ramp(self._speed[1], w, robot.yaw_acceleration, robot.yaw_acceleration, dt)
        self._speed = (v, w)
        self._drive(v, w)

    def _drive(self, v: float, w: float) -> None:
        """Set the wheels' speeds for a speed and a yaw rate."""
        half, radius = 0.5 * self._robot.track, self._robot.wheel_radius
        self._data.ctrl[: len(SIDES)] = (v - w * half) / radius, (v + w * half) / radius

    def reckon(self, truth: Odometry) -> None:
        """From the wheels' angles; of the truth only its stamp counts."""
        self.odometry = self._odometry.update(truth.stamp_ns, self._data.qpos[self._angles])

    def standing(self, now_ns: int) -> bool:
        """Whether the wheels are commanded to stand."""
        return bool(np.abs(self._data.ctrl[: len(SIDES)]).max() * self._robot.wheel_radius < STANDING_SPEED)
