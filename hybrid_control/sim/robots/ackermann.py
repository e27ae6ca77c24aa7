"""A car: driven rear wheels, whose axle's middle is base_link, and steered front wheels, in MuJoCo and in Gazebo.

The middle of the front axle steers by delta; the axle then drives a circle of radius L / tan(delta), and each front
wheel stands square to its own line to that circle's middle (R. N. Jazar, "Vehicle Dynamics", 3rd ed., 2017, ch. 7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.description import BASE, Description, Joint, Link, Placement, Shape
from hybrid_control.sim.mjcf import mjcf_text
from hybrid_control.sim.mujoco_import import MuJoCo
from hybrid_control.sim.robots.rover import SIDES, Rover, WheelLocomotion, wheel_mjcf
from hybrid_control.sim.robots.vehicle import Plugin, Wheels
from hybrid_control.sim.wheels import ramp

STEERS = 0.01  # m/s, below which a command does not say where to steer to
KNUCKLE_MASS = 0.05  # kg, of what holds each front wheel; part of the body's


@dataclass(frozen=True, slots=True, kw_only=True)
class Car(Rover):
    """A car. wheelbase: m from axle to axle; max_steering, steering_rate: rad and rad/s, of the front axle's middle."""

    wheelbase: float
    max_steering: float
    steering_rate: float = 3.0

    @property
    def wheels(self) -> Wheels:
        """Its driven wheels, and the tightest circle."""
        return Wheels(
            self.wheel_radius, self.track, self.encoder_counts, self.wheel_radius_error, self.track_error,
            self.wheelbase / math.tan(self.max_steering),
        )  # fmt: skip

    @property
    def body_mass(self) -> float:
        """kg, without wheels and knuckles."""
        return self.mass - 4 * self.wheel_mass - 2 * KNUCKLE_MASS

    @property
    def centre(self) -> tuple[float, float, float]:
        """Half-way between the axles, so that each carries as much."""
        return self.wheelbase / 2, 0.0, 0.0

    def casters(self) -> tuple[Shape, ...]:
        """None: it stands on four wheels."""
        return ()

    def front_angles(self, steering: float) -> tuple[float, float]:
        """Of the left and right front wheel for a steering angle of the axle's middle, rad."""
        tangent, half = math.tan(steering), 0.5 * self.track
        left = math.atan(self.wheelbase * tangent / (self.wheelbase - half * tangent))
        right = math.atan(self.wheelbase * tangent / (self.wheelbase + half * tangent))
        return left, right

    def add_wheels(self, links: list[Link], joints: list[Joint]) -> None:
        """The driven ones, and in front two, each in a knuckle that turns about the vertical."""
        Rover.add_wheels(self, links, joints)
        inertia = (1e-5, 1e-5, 1e-5)
        most, _ = self.front_angles(self.max_steering)
        for side, sign in zip(SIDES, (1, -1), strict=True):
            knuckle = f"{side}_steering"
            links.append(Link(knuckle, KNUCKLE_MASS, inertia))
            at = Placement((self.wheelbase, sign * self.track / 2, 0.0))
            joints.append(
                Joint(
                    f"{knuckle}_joint", "revolute", BASE, knuckle, at, (0.0, 0.0, 1.0), effort=self.wheel_effort,
                    velocity=self.steering_rate, limits=(-most, most),
                )
            )  # fmt: skip
            self.add_wheel(links, joints, f"front_{side}_wheel", knuckle, Placement(), self.wheel_effort)

    def wheels_mjcf(self, description: Description) -> str:
        """The driven ones, and the knuckles with theirs."""
        text = Rover.wheels_mjcf(self, description)
        for side in SIDES:
            link, joint = description.link(f"{side}_steering"), description.joint_to(f"{side}_steering")
            text += f"""
          <body name="{link.name}" pos="{mjcf_text(*joint.at.xyz)}">
            <inertial pos="0 0 0" mass="{mjcf_text(link.mass)}" diaginertia="{mjcf_text(*link.inertia)}"/>
            <joint name="{link.name}" type="hinge" axis="{mjcf_text(*joint.axis)}" armature="0.002" damping="0.05"
              range="{mjcf_text(*joint.limits)}"/>{wheel_mjcf(description, f"front_{side}_wheel", 1e-4)}
          </body>"""
        return text

    def actuators_mjcf(self) -> str:
        """As a rover's, with a position servo for each knuckle."""
        servos = "".join(
            f'<position name="{side}_steering" joint="{side}_steering" kp="20" dampratio="1"/>' for side in SIDES
        )
        return Rover.actuators_mjcf(self) + servos

    def locomotion(self, mujoco: MuJoCo, start: Pose, seed: int) -> CarLocomotion:
        """Driven rear wheels, steered front wheels, and odometry by the rear ones."""
        return CarLocomotion(self, mujoco, start, seed)

    def gazebo_plugins(self, prefix: str, name: str) -> list[Plugin]:
        """Ackermann steering in the place of the differential drive."""
        drive, *others = Rover.gazebo_plugins(self, prefix, name)
        common = ("odom_publish_frequency", "topic", "odom_topic", "tf_topic", "frame_id", "child_frame_id")
        steering = {
            "left_joint": [f"{axle}left_wheel_joint" for axle in ("", "front_")],
            "right_joint": [f"{axle}right_wheel_joint" for axle in ("", "front_")],
            "left_steering_joint": "left_steering_joint",
            "right_steering_joint": "right_steering_joint",
            "kingpin_width": self.track,
            "wheel_base": self.wheelbase,
            "steering_limit": self.max_steering,
            "wheel_separation": self.track,
            "wheel_radius": self.wheel_radius,
            "min_velocity": -self.max_speed,
            "max_velocity": self.max_speed,
            "min_acceleration": -self.deceleration,
            "max_acceleration": self.acceleration,
            **{key: drive.parameters[key] for key in common},
        }
        return [Plugin("ackermann-steering", "AckermannSteering", steering), *others]


class CarLocomotion(WheelLocomotion):
    """A speed that follows its ramp, and a steering angle that follows its own; yaw rate is what comes of both."""

    def __init__(self, robot: Car, mujoco: MuJoCo, start: Pose, seed: int) -> None:
        super().__init__(robot, mujoco, start, seed)
        self._car = robot
        self._steering = self._wished = 0.0

    def take(self, twist: Twist) -> None:
        """Speed, and the curve that the yaw rate makes of it."""
        super().take(twist)
        v, w = self._target
        if abs(v) > STEERS:
            steering = math.atan(self._car.wheelbase * w / v)
            self._wished = min(max(steering, -self._car.max_steering), self._car.max_steering)

    def rest(self) -> None:
        """It stands, with its wheels straight ahead."""
        super().rest()
        self._steering = self._wished = 0.0

    def act(self, now_ns: int) -> None:
        """One step of both ramps."""
        car, dt = self._car, self._timestep
        v = self._target[0] if self.commanded(now_ns) else 0.0
        v = ramp(self._speed[0], v, car.acceleration, car.deceleration, dt)
        step = car.steering_rate * dt
        self._steering += min(max(self._wished - self._steering, -step), step)
        w = v * math.tan(self._steering) / car.wheelbase
        self._speed = (v, w)
        self._drive(v, w)
        self._data.ctrl[len(SIDES) :] = car.front_angles(self._steering)
