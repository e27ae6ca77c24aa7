"""The files and command lines that one start of Gazebo needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hybrid_control.signals import Pose
from hybrid_control.sim.description import Placement
from hybrid_control.sim.gazebo.bridge import bridge_entries, bridge_yaml
from hybrid_control.sim.gazebo.releases import Release
from hybrid_control.sim.gazebo.robots import looks, odometry_origin, robot_model, standing
from hybrid_control.sim.gazebo.sdf import model_sdf
from hybrid_control.sim.gazebo.world import Physics, goal_in_odometry, world_name, world_sdf
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.urdf import urdf
from hybrid_control.sim.worlds import World


def server_command(to: Release, world_file: str, gui: bool = False, verbosity: int = 2) -> list[str]:
    """The command that starts Gazebo on a world file, running at once; without a window it draws off screen."""
    shown = [] if gui else ["-s", "--headless-rendering"]
    return [*to.command, *shown, "-r", "-v", str(verbosity), world_file]


@dataclass(frozen=True, slots=True)
class Spawned:
    """A robot of a session.

    pose, place: of robot and model in the world; goal: (x, y) m in its odometry's frame; model_file: SDF to spawn;
    bridge_file: configuration of its ros_gz_bridge, which runs in the robot's namespace; urdf: its description.
    """

    name: str
    namespace: str
    pose: Pose
    place: Placement
    goal: tuple[float, float]
    model_file: Path
    bridge_file: Path
    urdf: str

    def spawn_arguments(self, world: str) -> list[str]:
        """Arguments of `ros2 run ros_gz_sim create` that put it into the running world of that name."""
        x, y, z = self.place.xyz
        place = {"x": x, "y": y, "z": z, "Y": self.pose.yaw}
        numbers = [part for key, value in place.items() for part in (f"-{key}", f"{value:.9g}")]
        return ["-world", world, "-file", str(self.model_file), "-name", self.name, *numbers]


@dataclass(frozen=True, slots=True)
class Session:
    """What one start of Gazebo needs: the world's name and file, and the robots."""

    release: Release
    world_name: str
    world_file: Path
    robots: tuple[Spawned, ...]

    def command(self, gui: bool = False) -> list[str]:
        """The command that starts it, with or without a window."""
        return server_command(self.release, str(self.world_file), gui)


def prepare(
    folder: Path,
    world: World,
    to: Release,
    robot: Vehicle = JACKAL,
    starts: Mapping[str, Pose] | None = None,
    physics: Physics | None = None,
    *,
    lidar_rate: float = 20.0,
    stamped_cmd_vel: bool = True,
) -> Session:
    """Writes the files for Gazebo into a folder, which is made where it is missing.

    starts: a pose for each robot by its namespace ("" for none); for None one robot without a namespace at the
    world's start. The first robot's bridge carries the clock. ValueError where something is impossible, OSError where
    the folder cannot be written.
    """
    starts = {"": world.start} if starts is None else starts
    folder.mkdir(parents=True, exist_ok=True)
    world_file = folder / "world.sdf"
    content = world_sdf(world, to, physics, appearance=looks(robot))
    world_file.write_text(content, encoding="utf-8")
    robots = []
    for i, (namespace, pose) in enumerate(starts.items()):
        model = robot_model(robot, to, namespace, lidar_rate=lidar_rate)
        name = str(model.get("name"))
        model_file, bridge_file = folder / f"{name}.sdf", folder / f"{name}_bridge.yaml"
        model_file.write_text(model_sdf(model), encoding="utf-8")
        entries = bridge_entries(to, robot, namespace, clock=i == 0, stamped_cmd_vel=stamped_cmd_vel)
        bridge_file.write_text(bridge_yaml(entries), encoding="utf-8")
        goal = goal_in_odometry(world, odometry_origin(robot, pose))
        place, description = standing(robot, pose), urdf(robot.describe())
        robots.append(
            Spawned(name, namespace.strip("/"), pose, place, goal, model_file, bridge_file, description)
        )
    return Session(to, world_name(world), world_file, tuple(robots))
