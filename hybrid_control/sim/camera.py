"""Draws what the robot's cameras see, off screen, with whatever OpenGL there is."""

from __future__ import annotations

import atexit
import math
import os
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid_control.sim.mjcf import OBSTACLE, SCENERY
from hybrid_control.sim.mujoco_import import GRAPHICS, MuJoCo

_of_thread = threading.local()


class GraphicsError(ValueError):
    """No off-screen GL on this machine, so no camera."""


def _current_context(width: int, height: int) -> None:
    """Makes this thread's GL context current.

    One for each size is made and kept: a fresh one compiles its shaders anew, 0.2 s with software GL.
    """
    contexts = _of_thread.__dict__.setdefault("contexts", {})
    if (width, height) not in contexts:
        from mujoco.gl_context import GLContext

        context = GLContext(width, height)
        atexit.register(context.free)  # before the interpreter takes GL apart
        contexts[width, height] = context
    contexts[width, height].make_current()


class Camera:
    """A camera of a model, by its name, in so many pixels. Frames must be drawn by the thread that made it.

    GraphicsError where there is no off-screen GL.
    """

    def __init__(self, mujoco: MuJoCo, name: str, width: int, height: int) -> None:
        self._mujoco = mujoco
        library, model, _ = mujoco
        self._width, self._height = width, height
        try:
            _current_context(self._width, self._height)
        # MuJoCo and PyOpenGL say in many ways that a library, a driver or a context is missing.
        except (ImportError, AttributeError, RuntimeError, OSError, TypeError) as error:
            packages = " or ".join(packages for _, _, packages in GRAPHICS)
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise GraphicsError(
                f"no camera: no off-screen OpenGL here (MUJOCO_GL={os.environ.get('MUJOCO_GL')}: {reason}); "
                f"on Debian and Ubuntu: apt-get install {packages}"
            ) from None
        self._drawing = library.MjrContext(model, library.mjtFontScale.mjFONTSCALE_100)
        library.mjr_setBuffer(library.mjtFramebuffer.mjFB_OFFSCREEN, self._drawing)
        self._drawing.readDepthMap = library.mjtDepthMap.mjDEPTH_ZEROFAR  # finer far away
        self._rectangle = library.MjrRect(0, 0, self._width, self._height)
        self._scene = library.MjvScene(model, maxgeom=model.ngeom + 100)
        self._options = library.MjvOption()
        self._options.geomgroup[:] = 0
        self._options.geomgroup[[SCENERY, OBSTACLE]] = 1
        self._view = library.MjvCamera()
        self._view.type = library.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = model.camera(name).id
        self._pixels = np.empty((self._height, self._width, 3), np.uint8)

    def frame(self) -> NDArray[np.uint8]:
        """What it sees now, (height, width, 3) RGB, a new array."""
        self._draw()
        self._mujoco.library.mjr_readPixels(self._pixels, None, self._rectangle, self._drawing)
        return self._pixels[::-1].copy()  # OpenGL counts rows from below

    def depth(self, opaque: Sequence[int] = ()) -> NDArray[np.float32]:
        """m along its axis to what it sees now, (height, width), a new array. It looks through what is not wholly
        opaque, but for the geoms of these numbers."""
        library, model, _ = self._mujoco
        opacity = model.geom_rgba[list(opaque), 3]
        model.geom_rgba[list(opaque), 3] = 1.0
        self._draw()
        model.geom_rgba[list(opaque), 3] = opacity
        depth = np.empty((self._height, self._width), np.float32)
        library.mjr_readPixels(None, depth, self._rectangle, self._drawing)
        near, far = (edge * model.stat.extent for edge in (model.vis.map.znear, model.vis.map.zfar))
        # of a perspective view its inverse is straight, here from 1 at the nearest to 0 at the farthest
        return (1.0 / (1.0 / far + depth[::-1] * (1.0 / near - 1.0 / far))).astype(np.float32)

    @property
    def focal(self) -> float:
        """Its focal length in pixels."""
        model = self._mujoco.model
        fovy = float(model.cam_fovy[self._view.fixedcamid])
        return self._height / 2 / math.tan(math.radians(fovy) / 2)

    def _draw(self) -> None:
        library, model, data = self._mujoco
        _current_context(self._width, self._height)
        everything = library.mjtCatBit.mjCAT_ALL
        library.mjv_updateScene(model, data, self._options, None, self._view, everything, self._scene)
        library.mjr_render(self._rectangle, self._scene, self._drawing)

    def close(self) -> None:
        """Frees what GL holds for the model."""
        _current_context(self._width, self._height)
        self._drawing.free()
