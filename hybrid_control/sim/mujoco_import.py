"""MuJoCo, imported late and told how to draw; the one place that imports it."""

from __future__ import annotations

import ctypes
import os
from typing import Any, NamedTuple

# (MUJOCO_GL, library, Debian packages): ways to draw without a display, the faster first
GRAPHICS = (("egl", "libEGL.so.1", "libegl1 libgl1-mesa-dri"), ("osmesa", "libOSMesa.so.8", "libosmesa6"))


class MuJoCo(NamedTuple):
    """The library, a model and its state."""

    library: Any
    model: Any
    data: Any


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def import_mujoco() -> Any:
    """MuJoCo, imported when it is first needed and told how to draw without a display.

    MUJOCO_GL of the environment is kept where it is set. Without any GL MuJoCo is imported all the same: only
    the camera fails then. ValueError with the way to get MuJoCo where it is missing.
    """
    if "MUJOCO_GL" not in os.environ:
        os.environ["MUJOCO_GL"] = next((name for name, lib, _ in GRAPHICS if _loads(lib)), "disable")
    # Mesa draws in the calling thread: frames this small are not worth handing over, least of all on busy cores.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    try:
        import mujoco
    except ModuleNotFoundError as error:
        if error.name != "mujoco":
            raise
        raise ValueError("MuJoCo is not installed: pip install '.[sim]' in the repository") from None
    return mujoco
