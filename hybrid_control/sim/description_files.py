"""The made files of hybrid_control_description, and ros_gz_bridge's configurations and Gazebo's worlds in config/.

    python -m hybrid_control.sim.description_files .

writes them anew below the top folder of the repository.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import yaml

from hybrid_control.sim.gazebo import (
    HARMONIC,
    RELEASES,
    bridge_entries,
    bridge_yaml,
    model_sdf,
    robot_model,
    urdf_elements,
    world_sdf,
)
from hybrid_control.sim.robots import ROBOTS, vehicle
from hybrid_control.sim.urdf import urdf
from hybrid_control.sim.worlds import generate

PACKAGE = "ros2_ws/src/hybrid_control_description"
MADE = "made by python -m hybrid_control.sim.description_files from hybrid_control/sim/robots"

_MODEL_CONFIG = """<?xml version="1.0"?>
<model>
  <name>{name}</name>
  <version>0.1.0</version>
  <sdf version="1.9">model.sdf</sdf>
  <description>{description}</description>
</model>
"""


def files() -> dict[str, str]:
    """Every made file: its path below the repository's top folder, and its text."""
    made = {}
    for robot in map(vehicle, ROBOTS):
        numbers = yaml.safe_dump(asdict(robot), sort_keys=False)
        made[f"{PACKAGE}/config/{robot.name}.yaml"] = f"# {MADE}; SI units\n{numbers}"
        whole = urdf(robot.describe(), urdf_elements(robot, HARMONIC))
        made[f"{PACKAGE}/urdf/{robot.name}.urdf"] = _marked(whole)
        for release in RELEASES.values():
            folder = f"{PACKAGE}/models/{release.name}/{robot.name}"
            made[f"{folder}/model.sdf"] = _marked(model_sdf(robot_model(robot, release)))
            text = f"The {robot.kind} of hybrid_control for Gazebo {release.name.capitalize()}"
            made[f"{folder}/model.config"] = _MODEL_CONFIG.format(name=robot.name, description=text)
            # a drone's topics carry its name, those of all rovers are the same
            name = robot.name if robot.flies else robot.kind
            entries = bridge_yaml(bridge_entries(release, robot))
            made[f"config/ros_gz_bridge/{release.name}_{name}.yaml"] = f"# {MADE}\n{entries}"
    for release in RELEASES.values():
        world = generate("default", 0)
        made[f"config/worlds/{release.name}_default.sdf"] = _marked(world_sdf(world, release))
    return made


def _marked(xml: str) -> str:
    head, _, body = xml.partition("\n")
    return f"{head}\n<!-- {MADE} -->\n{body}"


def write(top: Path) -> int:
    """Write every made file below a folder; how many."""
    made = files()
    for name, text in made.items():
        file = top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return len(made)


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]))} files\n")
