"""Draws what the camera sees in worlds with what a planar lidar does not show; the picture in simulator.md.

    python docs/draw_hidden_worlds.py OUT.png
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from PIL import Image

from hybrid_control.signals import Pose
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import generate

SCENES = (("low", 1, 2), ("overhangs", 1, 5), ("glass", 1, 3), ("wires", 1, 9), ("holes", 1, 4), ("forbidden", 4, 8))


def frame(name: str, seed: int, look: int) -> np.ndarray:
    """The camera's frame 1.1 m before the first that lies across the straight way."""
    world = generate(name, seed)
    first = (*world.things, *world.patches)[0]
    robot = replace(JACKAL, camera_width=240, camera_height=180)
    with Simulator(world, robot, appearance=Appearance(look, textures=True)) as sim:
        sim.place(Pose(first.x - 1.1, 0.0, 0.0))
        return sim.camera()


if __name__ == "__main__":
    frames = [frame(*scene) for scene in SCENES]
    rows = [np.concatenate(frames[k : k + 3], axis=1) for k in (0, 3)]
    picture = Image.fromarray(np.concatenate(rows, axis=0))
    picture.quantize(128).save(sys.argv[1], optimize=True)
