"""A base that moves in any direction, on four mecanum wheels at the corners of a rectangle, in MuJoCo and in Gazebo.

A mecanum wheel pushes along one line alone, at 45 degrees to its axle. With rollers that turn freely, its rim's speed
is the product of its contact point's velocity and (1, -1) or (1, 1), and its torque over its radius, times the same
vector, is its force (H. Taheri, B. Qiao and N. Ghaeminezhad, "Kinematic model of a four mecanum wheeled mobile robot",
2015). In MuJoCo each wheel is just that, a servo of that speed with that force: rollers are not simulated and do not
slip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.parameters import Value
from hybrid_control.signals import Odometry, Pose, Twist
from hybrid_control.sim.description import BASE, Description, Joint, Link, Placement, Shape, Vector
from hybrid_control.sim.mjcf import HIDDEN, ROBOT, mjcf_text
from hybrid_control.sim.mujoco_import import MuJoCo
from hybrid_control.sim.robots.rover import Rover
from hybrid_control.sim.robots.vehicle import REACTION, STANDING_SPEED, Locomotion, Plugin, Wheels
from hybrid_control.sim.wheels import WheelOdometry, ramp, ramp_in_plane, within

#: Wheels in the order of `WheelOdometry`: sides ahead and to the left, and that of the line along which each pushes.
CORNERS = {
    "front_left": (1, 1, -1),
    "front_right": (1, -1, 1),
    "rear_left": (-1, 1, 1),
    "rear_right": (-1, -1, -1),
}
FOLLOWS = 0.01  # s, in which the wheels follow their ramps
LONGEST_RESPONSE = 2.0  # s; who is slower to follow is to be told a lower max_speed
GRIP = 0.8  # friction of the rollers on the ground


@dataclass(frozen=True, slots=True, kw_only=True)
class Holonomic(Rover):
    """A base that moves in any direction. Its frame is in the middle of its wheels, max_speed is that of any direction.

    wheelbase: m, from axle to axle. What moves sideways by other means (three wheels with rollers, steered ones, a
    planar joint) is one on four mecanum wheels to the simulators: only its odometry's errors would tell.
    """

    wheelbase: float

    holonomic: ClassVar[bool] = True
    commands: ClassVar[tuple[str, ...]] = ("linear_x", "linear_y", "angular_z")

    @property
    def wheels(self) -> Wheels:
        """Its four wheels."""
        return Wheels(
            self.wheel_radius, self.track, self.encoder_counts, self.wheel_radius_error, self.track_error, 0.0,
            self.wheelbase,
        )  # fmt: skip

    @property
    def reflex_settings(self) -> dict[str, Value]:
        """As a rover's; and sideways, with how long it goes on as it did: a reaction, and v / 2a more, for its way
        while it brakes from v at a m/s²."""
        goes_on = min(REACTION + 0.5 * self.max_speed / self.deceleration, LONGEST_RESPONSE)
        return {**super(Holonomic, self).reflex_settings, "holonomic": True, "response_time": goes_on}

    @property
    def body_mass(self) -> float:
        """kg, without the wheels."""
        return self.mass - 4 * self.wheel_mass

    def casters(self) -> tuple[Shape, ...]:
        """None: it stands on four wheels."""
        return ()

    def place(self, wheel: str) -> Vector:
        """Where the middle of a wheel of CORNERS is in base_link, m."""
        ahead, left, _ = CORNERS[wheel]
        return 0.5 * ahead * self.wheelbase, 0.5 * left * self.track, 0.0

    @property
    def rim_speed(self) -> float:
        """m/s of a wheel's rim at most: aslant it is the sum of both parts of the base's speed."""
        return math.sqrt(2.0) * self.max_speed

    def add_wheels(self, links: list[Link], joints: list[Joint]) -> None:
        """Four wheels."""
        for wheel, (_, _, line) in CORNERS.items():
            at = Placement(self.place(wheel))
            self.add_wheel(links, joints, f"{wheel}_wheel", BASE, at, self.wheel_effort, (1.0, float(line), 0.0))

    def wheels_mjcf(self, description: Description) -> str:
        """Balls on which the body slides, discs to the eye, and under each the place where it pushes."""
        text = ""
        for wheel in CORNERS:
            link = description.link(f"{wheel}_wheel")
            (ball,), (tyre,) = link.collisions, link.visuals
            text += f"""
          <body name="{link.name}" pos="{mjcf_text(*self.place(wheel))}">
            <site name="{link.name}" pos="{mjcf_text(0.0, 0.0, -self.wheel_radius)}" group="{HIDDEN}"/>
            <geom type="sphere" size="{mjcf_text(*ball.size)}" mass="{mjcf_text(link.mass)}" group="{HIDDEN}"
              contype="0" conaffinity="1" condim="1" friction="0 0 0" priority="1"/>
            <geom type="cylinder" size="{mjcf_text(tyre.size[0], tyre.size[1] / 2)}" mass="0"
              euler="{mjcf_text(*tyre.at.rpy)}" group="{ROBOT}" contype="0" conaffinity="0"
              rgba="{mjcf_text(*tyre.colour)}"/>
          </body>"""
        return text

    def actuators_mjcf(self) -> str:
        """A servo of each wheel's rim, with what its motor and a quarter of the weight on its rollers let it push."""
        # the force is sqrt(2) times as long
        most = min(self.wheel_effort / self.wheel_radius, GRIP * 9.81 * self.mass / (4.0 * math.sqrt(2.0)))
        stiffness = self.mass / (4.0 * FOLLOWS)
        return "".join(
            f'<velocity name="{wheel}_wheel" site="{wheel}_wheel" gear="1 {line} 0 0 0 0" kv="{mjcf_text(stiffness)}" '
            f'forcerange="{mjcf_text(-most, most)}"/>'
            for wheel, (_, _, line) in CORNERS.items()
        )

    def locomotion(self, mujoco: MuJoCo, start: Pose, seed: int) -> HolonomicLocomotion:
        """Four wheels with the base's ramps, and odometry by their encoders."""
        return HolonomicLocomotion(self, mujoco, start, seed)

    def gazebo_plugins(self, prefix: str, name: str) -> list[Plugin]:
        """Mecanum drive in the place of the differential drive."""
        drive, states, *others = Rover.gazebo_plugins(self, prefix, name)
        own = ("left_joint", "right_joint")
        mecanum = {
            **{f"{end}_{side}_joint": f"{ours}_{side}_wheel_joint"
               for end, ours in (("front", "front"), ("back", "rear")) for side in ("left", "right")},
            "wheelbase": self.wheelbase,
            **{key: value for key, value in drive.parameters.items() if key not in own},
        }  # fmt: skip
        turned = {**states.parameters, "joint_name": [f"{wheel}_wheel_joint" for wheel in CORNERS]}
        return [
            Plugin("mecanum-drive", "MecanumDrive", mecanum),
            Plugin(states.file, states.system, turned),
            *others,
        ]


class HolonomicLocomotion(Locomotion):
    """Four wheels that follow velocity and yaw rate by the base's ramps, and count their turns."""

    def __init__(self, robot: Holonomic, mujoco: MuJoCo, start: Pose, seed: int) -> None:
        super().__init__(robot)
        self._robot, self._data = robot, mujoco.data
        self._timestep = mujoco.model.opt.timestep
        self._velocity = self._target = (0.0, 0.0, 0.0)
        self._angles = np.zeros(len(CORNERS))
        lever = robot.wheels.lever
        #: of a velocity (x, y m/s, yaw rad/s) the rims' speeds, m/s
        self._rims: FloatArray = np.array([(1.0, line, -left * lever) for _, left, line in CORNERS.values()])
        rng = np.random.default_rng([seed, 13])
        self._odometry = WheelOdometry(robot.wheels, robot.odometry_scale_error, start, rng)
        self.odometry = self._odometry.reading

    def take(self, twist: Twist) -> None:
        """Velocity along the ground, and yaw rate."""
        w = self._robot.max_yaw_rate
        x, y = within(twist.linear_x, twist.linear_y, self._robot.max_speed)
        self._target = (x, y, min(max(twist.angular_z, -w), w))

    def set_wheel_speeds(self, left: float, right: float, now_ns: int) -> None:
        """ValueError: it has four wheels."""
        raise ValueError(f"command: {self._robot.name} has four mecanum wheels, and takes no speeds of two")

    def rest(self) -> None:
        """The ramps begin at zero."""
        self._velocity = (0.0, 0.0, 0.0)

    def act(self, now_ns: int) -> None:
        """One step of the ramps, as speeds of the rims; the wheels turn as their rims went in the step before."""
        robot, dt = self._robot, self._timestep
        self._angles += self._data.actuator_velocity[: len(CORNERS)] * dt / robot.wheel_radius
        x, y, w = self._target if self.commanded(now_ns) else (0.0, 0.0, 0.0)
        x, y = ramp_in_plane(*self._velocity[:2], x, y, robot.acceleration, robot.deceleration, dt)
        w = ramp(self._velocity[2], w, robot.yaw_acceleration, robot.yaw_acceleration, dt)
        self._velocity = (x, y, w)
        self._data.ctrl[: len(CORNERS)] = self._rims @ self._velocity

    def reckon(self, truth: Odometry) -> None:
        """From the wheels' angles; of the truth only its stamp counts."""
        self.odometry = self._odometry.update(truth.stamp_ns, self._angles)

    def standing(self, now_ns: int) -> bool:
        """Whether the wheels are commanded to stand."""
        return bool(np.abs(self._data.ctrl[: len(CORNERS)]).max() < STANDING_SPEED)
