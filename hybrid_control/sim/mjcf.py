"""Small pieces of MJCF, MuJoCo's model files, that robots and worlds are put together from."""

from __future__ import annotations

import sys

# Geom groups: the lidar's rays meet obstacles, the camera draws scenery and obstacles, a viewer draws 0 to 2.
SCENERY, OBSTACLE, ROBOT, HIDDEN = 0, 1, 2, 4


def mjcf_text(*values: float) -> str:
    """Numbers as they stand in MJCF; MuJoCo 3 refuses those too small for a normal float."""
    return " ".join(f"{float(v) if abs(v) >= sys.float_info.min else 0.0:.9g}" for v in values)
