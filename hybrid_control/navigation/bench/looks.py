"""How the worlds of a benchmark look to a camera, and through what lens."""

from __future__ import annotations

import zlib
from dataclasses import replace

from hybrid_control.sim.lens import Lens
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.robots.vehicle import Vehicle

PLAIN = "plain"
LENSES = {
    "varied": Lens(),
    "night": Lens.night,
    "blurred": replace(Lens(), blur=(1.0, 0.06), rolling=(1.0, 0.05)),
    "lowered": Lens(),
    "black": replace(Lens.clean, dim=1e-9),
}
LOOKS: tuple[str, ...] = (PLAIN, *LENSES)
"""plain: the same in every world, without a fault of the lens. varied: colours, light, materials, a little of the
camera's mount by the world's name, and what a lens does. night, blurred: as varied, with a worse lens; lowered: with
the camera LOWERED by so much; black: it shows nothing from the first frame on."""
LOWERED = 0.08, 0.08  # m, and rad that it looks down by more


def appearance_of(looks: str, world: str, robot: Vehicle) -> Appearance | None:
    """How a world of that name looks; None for the robot's own appearance."""
    if looks == PLAIN:
        return None
    seed = zlib.crc32(world.encode())
    return Appearance(
        seed, vary=True, camera_shift=0.01, camera_tilt=0.02, camera_zoom=0.01, textures=True,
        obstacle_height=robot.obstacle_height, shadows=bool(seed % 4 == 0), lens=LENSES[looks],
    )  # fmt: skip


def mounted(looks: str, robot: Vehicle) -> Vehicle:
    """A robot with its camera where these looks have it, and told so."""
    if looks != "lowered":
        return robot
    by, more = LOWERED
    return replace(robot, camera_z=robot.camera_z - by, camera_pitch=robot.camera_pitch + more)
