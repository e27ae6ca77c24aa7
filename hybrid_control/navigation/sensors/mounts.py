"""Where a sensor is on the robot: poses given by hand, and the tree of frames that /tf and /tf_static tell of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
_DEPTH = 100  # frames in a chain; more is a loop

#: Turns a camera's optical frame (x right, y down, z ahead) into one with x ahead, y left, z up (REP 103).
OPTICAL: Matrix = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


class MissingTransform(ValueError):
    """A frame is not connected to the robot's. The message says which, and what to do."""


@dataclass(frozen=True, eq=False)
class Mount:
    """A rigid transform: a point of the sensor's frame is ``rotation @ point + offset`` in the robot's.

    rotation: (3, 3); offset: (3,) m.
    """

    rotation: Matrix
    offset: Matrix

    @classmethod
    def of(
        cls,
        x: float = 0.0,
        y: float = 0.0,
        z: float = 0.0,
        roll: float = 0.0,
        pitch: float = 0.0,
        yaw: float = 0.0,
    ) -> Mount:
        """From metres and radians, turned about the fixed axes x, y, z in this order, as URDF has it."""
        cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
        rotation = np.array(
            [
                [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
                [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
                [-sp, cp * sr, cp * cr],
            ]
        )
        return cls(rotation, np.array([x, y, z]))

    @classmethod
    def of_quaternion(
        cls, offset: tuple[float, float, float], x: float, y: float, z: float, w: float
    ) -> Mount:
        """From an offset in metres and a quaternion; ValueError where it is not of unit length, to 1 in 100."""
        norm = x * x + y * y + z * z + w * w
        if not 0.98 < norm < 1.02 or not all(map(math.isfinite, offset)):
            raise ValueError(
                f"transform: offset {offset} with quaternion ({x:g}, {y:g}, {z:g}, {w:g}) is none"
            )
        s = 2.0 / norm
        rotation = np.array(
            [
                [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
                [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
                [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
            ]
        )
        return cls(rotation, np.array(offset, dtype=np.float64))

    def __matmul__(self, other: Mount) -> Mount:
        """First `other`, then this."""
        return Mount(self.rotation @ other.rotation, self.rotation @ other.offset + self.offset)

    def inverse(self) -> Mount:
        """The way back."""
        return Mount(self.rotation.T, -self.rotation.T @ self.offset)

    def optical(self) -> Mount:
        """For a camera whose body is mounted so: the mount of its optical frame."""
        return Mount(self.rotation @ OPTICAL, self.offset)

    @property
    def upright(self) -> bool:
        """Whether the sensor is turned about the vertical alone, to 3 degrees."""
        return bool(self.rotation[2, 2] > math.cos(math.radians(3.0)))

    @property
    def yaw(self) -> float:
        """Where the sensor's x axis points in the plane, rad."""
        return math.atan2(self.rotation[1, 0], self.rotation[0, 0])


class Frames:
    """A tree of frames: each has a parent, and a mount on it. The newest that was told counts; time is not looked at,
    so only what is fixed to the robot should be asked for."""

    def __init__(self) -> None:
        self._parent: dict[str, tuple[str, Mount]] = {}

    def put(self, parent: str, child: str, mount: Mount) -> None:
        """Where a frame is on its parent."""
        self._parent[child.lstrip("/")] = (parent.lstrip("/"), mount)

    def _chain(self, frame: str) -> list[tuple[str, Mount]]:
        """The frames from this one to its root, each with the mount of this one on it."""
        chain = [(frame, Mount.of())]
        while chain[-1][0] in self._parent and len(chain) <= _DEPTH:
            parent, mount = self._parent[chain[-1][0]]
            chain.append((parent, mount @ chain[-1][1]))
        return chain

    def mount(self, frame: str, on: str) -> Mount:
        """Where a frame is on another. MissingTransform where nothing connects them."""
        frame, on = frame.lstrip("/"), on.lstrip("/")
        ours = self._chain(on)
        for name, mount in self._chain(frame):
            for other, way in ours:
                if name == other:
                    return way.inverse() @ mount
        unknown = [
            f for f in (frame, on) if f not in self._parent and f not in {p for p, _ in self._parent.values()}
        ]
        why = (
            f"nobody tells of {' or '.join(repr(f) for f in unknown)}"
            if unknown
            else "they are in different trees"
        )
        raise MissingTransform(
            f"no transform from {frame!r} to {on!r} on /tf and /tf_static: {why}; start robot_state_publisher with the "
            "robot's description, or give the sensor's place in the parameter sensors (x=... yaw=...)"
        )
