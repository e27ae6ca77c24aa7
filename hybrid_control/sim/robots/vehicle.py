"""What every robot has, and what simulators, Gazebo and the reflex ask of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from hybrid_control.geometry.outline import Outline
from hybrid_control.signals import Pose
from hybrid_control.sim.description import (
    BASE,
    CAMERA,
    EVENTS,
    IMU,
    LIDAR,
    OPTICAL,
    Description,
    Joint,
    Link,
    Placement,
)
from hybrid_control.sim.events import EventPixels
from hybrid_control.sim.worlds.generators import scale_for
from hybrid_control.sim.worlds.thing import Thing

if TYPE_CHECKING:
    from hybrid_control.parameters import Value
    from hybrid_control.signals import Odometry, Twist
    from hybrid_control.sim.mujoco_import import MuJoCo


STANDING_SPEED = 0.02  # m/s; a robot whose wheels are commanded less than this stands
COMMANDED_SPEED, COMMANDED_YAW_RATE = 1.0, 2.2  # m/s and rad/s that the reflex asks for at most where nobody says more
COMMANDED_YAW_ACCELERATION = 8.0  # rad/s²
LIDAR_TOP, CAMERA_TOP = 0.04, 0.03  # m that a lidar and a camera reach above their middles
REACTION, SWING = 0.1, 0.0276  # s and m
SCAN_COUNTS = 0.5  # s
TRUTH_TOPIC = "ground_truth"  # in Gazebo, of a robot whose odometry drifts


class Wheels(NamedTuple):
    """Driven wheels with encoders: two on one axle, or four mecanum wheels at the corners of a rectangle. radius, track
    (between the wheels' middles): m; encoder_counts: of a turn; errors: relative, standard deviations over robots, of
    each wheel's radius for itself and of the track. turning_radius: m, of the tightest circle that the axle's middle
    drives, as a car's; 0: it turns on the spot. wheelbase: m, between the axles of mecanum wheels; 0: two wheels."""

    radius: float
    track: float
    encoder_counts: int
    radius_error: float
    track_error: float
    turning_radius: float = 0.0
    wheelbase: float = 0.0

    @property
    def number(self) -> int:
        """How many have encoders."""
        return 4 if self.wheelbase else 2

    @property
    def lever(self) -> float:
        """m/s of a wheel's rim for 1 rad/s of the base: half the track, or of mecanum wheels half the sum of track and
        wheelbase (H. Taheri et al., "Kinematic model of a four mecanum wheeled mobile robot", 2015, eq. 20)."""
        return 0.5 * (self.track + self.wheelbase)


class VerticalSensor(NamedTuple):
    """Range sensors up and down: readings in Hz, m, and the standard deviation of their noise in m."""

    rate: float
    range_max: float
    noise: float


class EventSensor(NamedTuple):
    """An event camera, pinhole, in the body's frame as the camera is: place in m, pitch (positive looks down) and width
    of view in rad, pixels. rate: packets/s, and frames that are drawn for it, between which the logarithm of the
    intensity runs straight: enough that an edge goes on by less than a pixel from one to the next."""

    x: float = 0.25
    z: float = 0.28
    pitch: float = 0.0
    hfov: float = math.radians(90.0)
    width: int = 128
    height: int = 96
    rate: float = 250.0
    pixels: EventPixels = EventPixels()


class Plugin(NamedTuple):
    """A system in a robot's model for Gazebo: file and class without what differs between releases, and parameters."""

    file: str
    system: str
    parameters: Mapping[str, object]


class Locomotion(ABC):
    """How a robot moves in MuJoCo: commands to actuators, and the odometry that comes of it.

    odometry: where it believes it is; it begins at the true start and drifts.
    """

    odometry: Odometry

    def __init__(self, robot: Vehicle) -> None:
        self._timeout_ns = robot.command_timeout * 1e9
        self._command_ns: int | None = None

    @abstractmethod
    def take(self, twist: Twist) -> None:
        """Keep a command, cut to the robot's limits."""

    @abstractmethod
    def rest(self) -> None:
        """It was put down at rest."""

    @abstractmethod
    def act(self, now_ns: int) -> None:
        """Set what the actuators do in the next physics step."""

    @abstractmethod
    def reckon(self, truth: Odometry) -> None:
        """Bring the odometry up to date."""

    @abstractmethod
    def standing(self, now_ns: int) -> bool:
        """Whether it is commanded to stand."""

    def apply(self, twist: Twist, now_ns: int) -> None:
        """A command, which holds for command_timeout."""
        self.take(twist)
        self._command_ns = now_ns

    def set_wheel_speeds(self, left: float, right: float, now_ns: int) -> None:
        """Wished wheel speeds in rad/s. ValueError for a robot without wheels."""
        raise ValueError("command: this robot has no wheels")

    def commanded(self, now_ns: int) -> bool:
        """Whether the newest command still holds."""
        return self._command_ns is not None and now_ns - self._command_ns < self._timeout_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle(ABC):
    """A robot with a camera, a planar lidar and an IMU: measures and limits in SI units, and how it is simulated."""

    name: str
    # body: seen from above, a rectangle of length x width, whose middle lies outline_x ahead of base_link
    length: float
    width: float
    height: float
    mass: float
    # what it does with a velocity command
    max_speed: float  # m/s
    max_yaw_rate: float  # rad/s
    acceleration: float  # m/s^2
    deceleration: float  # m/s^2
    yaw_acceleration: float  # rad/s^2
    outline_x: float = 0.0  # m
    command_timeout: float = 0.25  # s without a fresh command until the base stops by itself
    # camera: pinhole, in the body's frame
    camera_x: float = 0.25
    camera_z: float = 0.28
    camera_pitch: float = 0.08  # rad, positive looks down
    camera_hfov: float = math.radians(90.0)
    camera_width: int = 160
    camera_height: int = 120
    camera_rate: float = 15.0  # Hz
    event_camera: EventSensor | None = None
    # lidar; x, y and yaw in the body's frame
    lidar_x: float = 0.0
    lidar_y: float = 0.0
    lidar_yaw: float = 0.0
    lidar_z: float = 0.30
    lidar_fov: float = math.tau  # rad
    lidar_beams: int = 360  # over the field of view; over a full circle beam 0 points backwards
    lidar_rate: float = 40.0  # Hz
    lidar_range_min: float = 0.05
    lidar_range_max: float = 10.0
    lidar_noise: float = 0.01  # m, standard deviation
    lidar_dropout: float = 0.001  # share of beams that come back empty
    # IMU
    imu_rate: float = 100.0
    gyro_noise: float = 0.005  # rad/s, standard deviation of a reading
    gyro_bias: float = 0.005  # rad/s, standard deviation over robots
    accelerometer_noise: float = 0.05  # m/s^2
    accelerometer_bias: float = 0.05  # m/s^2
    # odometry
    odometry_rate: float = 50.0
    odometry_scale_error: float = 0.005  # relative; standard deviation over robots

    kind: ClassVar[str]  # what it is, in a word
    flies: ClassVar[bool] = False
    holonomic: ClassVar[bool] = False  # whether it moves in any direction
    #: of a Twist what it is commanded by
    commands: ClassVar[tuple[str, ...]] = ("linear_x", "angular_z")
    obstacle_height: ClassVar[tuple[float, float]] = (0.6, 1.2)  # m, of the obstacles in its world
    air_density: ClassVar[float] = 0.0  # kg/m^3; 0 for no air resistance
    gazebo_lidar_rate: ClassVar[float] = 20.0  # Hz; the lidar's own are much for software rendering

    # -- its parts ------------------------------------------------------------------------------------------

    @property
    def wheels(self) -> Wheels | None:
        """Its wheels; None where it has none."""
        return None

    @property
    def vertical(self) -> VerticalSensor | None:
        """Its range sensors up and down; None where it has none."""
        return None

    @property
    def mount_height(self) -> float:
        """m of base_link above what the heights of camera and lidar are measured from."""
        return 0.0

    @abstractmethod
    def describe(self) -> Description:
        """Its links, joints and sensors."""

    def sensor_frames(self) -> dict[str, Placement]:
        """Where lidar, cameras (looking along their x) and IMU stand in base_link."""
        floor, eye = self.mount_height, self.event_camera
        return {
            LIDAR: Placement((self.lidar_x, self.lidar_y, self.lidar_z - floor), (0.0, 0.0, self.lidar_yaw)),
            CAMERA: Placement((self.camera_x, 0.0, self.camera_z - floor), (0.0, self.camera_pitch, 0.0)),
            IMU: Placement(),
            **({} if eye is None else {EVENTS: Placement((eye.x, 0.0, eye.z - floor), (0.0, eye.pitch, 0.0))}),
        }

    @property
    def lidar(self) -> Pose:
        """Where its lidar is in the body's frame."""
        return Pose(self.lidar_x, self.lidar_y, self.lidar_yaw)

    @property
    def beams(self) -> tuple[float, float]:
        """Of its lidar's beams the first, and the angle from one to the next, rad."""
        if self.lidar_fov >= math.tau:
            return -math.pi, math.tau / self.lidar_beams
        return -0.5 * self.lidar_fov, self.lidar_fov / max(self.lidar_beams - 1, 1)

    @property
    def outline(self) -> Outline:
        """Its outline, in the body's frame."""
        return Outline(0.5 * self.length, 0.5 * self.width, self.outline_x)

    @property
    def world_scale(self) -> float:
        """How large generated worlds have to be for it."""
        return scale_for(self.length, self.width)

    @property
    def front(self) -> float:
        """m from base_link to the outline's front."""
        return 0.5 * self.length + self.outline_x

    @property
    def top(self) -> float:
        """m above the ground of its highest part: hull, lidar or camera."""
        return max(self.height, self.lidar_z + LIDAR_TOP, self.camera_z + CAMERA_TOP)

    def meets(self, thing: Thing) -> bool:
        """Whether it touches a thing that its outline gets onto."""
        return thing.touches(self.top)

    def middle(self, pose: Pose) -> Pose:
        """Where the middle of its outline is, of one whose base_link is there."""
        x, y = self.outline_x * math.cos(pose.yaw), self.outline_x * math.sin(pose.yaw)
        return Pose(pose.x + x, pose.y + y, pose.yaw)

    def footprint(self, pose: Pose) -> tuple[float, float, float, float, float]:
        """Its outline as `geometry.footprint_distance` takes it: middle, yaw, length and width."""
        middle = self.middle(pose)
        return middle.x, middle.y, middle.yaw, self.length, self.width

    # -- the reflex -----------------------------------------------------------------------------------------

    @property
    def reflex_settings(self) -> dict[str, Value]:
        """Settings of the reflex that drives it, over the reflex's own."""
        settings = self.shape_settings
        turning = 2.0 * self.yaw_acceleration / 3.0
        if turning < COMMANDED_YAW_ACCELERATION:
            settings["max_yaw_acceleration"] = turning
        if self.wheels is not None and self.wheels.turning_radius:
            settings["min_turning_radius"] = self.wheels.turning_radius
        return settings

    @property
    def shape_settings(self) -> dict[str, Value]:
        """Of those its outline and its lidar's mount."""
        # the simulator's worlds are open: where its lidar meets nothing there is nothing
        shape: dict[str, Value] = {"robot_length": self.length, "robot_width": self.width, "open_space": True}
        places = ("outline_x", "lidar_x", "lidar_y", "lidar_yaw")
        return shape | {name: value for name in places if (value := getattr(self, name))}

    @property
    def camera_settings(self) -> dict[str, Value]:
        """Where its camera is, as the learner of the ground is told it."""
        return {
            "camera_x": self.camera_x, "camera_z": self.camera_z, "camera_pitch": self.camera_pitch,
            "camera_hfov": self.camera_hfov, "camera_aspect": self.camera_height / self.camera_width,
        }  # fmt: skip

    @property
    def reflex_gains(self) -> dict[str, Value]:
        """Gains of the reflex that drives it, over the reflex's own: what it can't do is not commanded, braking is
        counted on as half of what it has, and a scan counts for four of its lidar's periods. It turns no faster than
        its farthest corner R keeps to SWING while the turn w is braked by a, beyond a reaction t: R (w² / 2a - t w)."""
        a = min(2.0 * self.yaw_acceleration / 3.0, COMMANDED_YAW_ACCELERATION)
        stopping = a * (REACTION + math.sqrt(REACTION**2 + 2.0 * SWING / (self.outline.reach * a)))
        wished: dict[str, float] = {
            "max_yaw_rate": min(COMMANDED_YAW_RATE, self.max_yaw_rate, stopping),
            "max_acceleration": min(0.5 * self.deceleration, 2.0 * self.acceleration / 3.0),
            "scan_timeout": max(SCAN_COUNTS, 4.0 / self.lidar_rate),
        }
        if self.max_speed < COMMANDED_SPEED:  # else the rules of a drive say how fast
            wished["max_speed"] = self.max_speed
        return dict(wished)

    # -- the embedded simulator -----------------------------------------------------------------------------

    @property
    def start_height(self) -> float:
        """m of base_link above the ground where it begins."""
        return self.mount_height

    @abstractmethod
    def check_obstacles(self, lowest: float) -> None:
        """ValueError where obstacles as low as `lowest` m would not stand in its way."""

    @abstractmethod
    def mjcf(self, start: Pose, camera: str) -> tuple[str, str]:
        """MJCF of its body, which holds the camera's, and of its actuators."""

    @abstractmethod
    def locomotion(self, mujoco: MuJoCo, start: Pose, seed: int) -> Locomotion:
        """What moves it in a model made of `mjcf`; start: where the odometry begins, seed: of its errors."""

    # -- Gazebo ---------------------------------------------------------------------------------------------

    @property
    def standing_height(self) -> float:
        """m of its model's frame above the ground where it stands in Gazebo."""
        return 0.0

    @abstractmethod
    def gazebo_plugins(self, prefix: str, name: str) -> list[Plugin]:
        """What moves it and tells where it is; prefix: of its topics, name: of its model."""


def add_sensors(links: list[Link], joints: list[Joint], frames: Mapping[str, Placement]) -> None:
    """Adds the sensors' frames, which have no mass, and the camera's optical frame to a description's parts."""
    for frame, at in frames.items():
        links.append(Link(frame))
        joints.append(Joint(f"{frame}_joint", "fixed", BASE, frame, at))
    links.append(Link(OPTICAL))
    optical = Placement(rpy=(-math.pi / 2, 0.0, -math.pi / 2))
    joints.append(Joint(f"{OPTICAL}_joint", "fixed", CAMERA, OPTICAL, optical))


def place_plugin(
    robot: Vehicle, odom_frame: str, base: str, topic: str, tf_topic: str, dimensions: int
) -> Plugin:
    """Gazebo tells the model's place in the world, as an odometry that does not drift."""
    place = {
        "odom_frame": odom_frame,
        "robot_base_frame": base,
        "odom_topic": topic,
        "tf_topic": tf_topic,
        "odom_publish_frequency": robot.odometry_rate,
        "dimensions": dimensions,
    }
    return Plugin("odometry-publisher", "OdometryPublisher", place)
