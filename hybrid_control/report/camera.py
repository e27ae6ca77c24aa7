"""Where the planner wanted to go, drawn into the camera's picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.report.recording import RecordingError
from hybrid_control.report.run import FloatArray, Run
from hybrid_control.signals.headings import HEADINGS

_NEAR, _FAR = 0.5, 3.0  # m, where the lane begins and ends
_EDGE = 0.96  # of half the field of view; a heading beyond it is shown by an arrow
_STRIP = 12.0  # pixels, the tallest bar of the strip


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on the robot: where it is (m, rad; positive pitch looks down) and what it sees (rad).

    half_width: m, of the robot.
    """

    x: float = 0.25
    z: float = 0.28
    pitch: float = 0.08
    hfov: float = math.radians(90)
    half_width: float = 0.215

    @staticmethod
    def of(run: Run) -> Camera:
        """The camera that run.json describes, else Jackal's."""
        robot = run.metadata.get("robot")
        if not isinstance(robot, dict) or "camera_hfov" not in robot:
            return Camera()
        x, z, pitch, hfov = (float(robot[f"camera_{k}"]) for k in ("x", "z", "pitch", "hfov"))
        return Camera(x, z, pitch, hfov, float(robot.get("width", 0.43)) / 2)

    def mount(self, width: int, height: int) -> CameraMount:
        """The same over level ground, for pictures of that size; RecordingError where no camera can be so."""
        try:
            return CameraMount(self.x, self.z, self.pitch, self.hfov, height / width)
        except ValueError as error:
            raise RecordingError(f"run.json: {error}") from None

    def focal(self, width: int) -> float:
        """Focal length in pixels of a picture so many pixels wide."""
        return width / 2 / math.tan(self.hfov / 2)

    def project(self, x: float, y: float, width: int, height: int) -> tuple[float, float] | None:
        """Pixel (column, row) of a point on the ground, body frame in metres; None where it is behind the camera."""
        ahead, c, s = x - self.x, math.cos(self.pitch), math.sin(self.pitch)
        depth, up = ahead * c + self.z * s, ahead * s - self.z * c
        if depth < 0.05:
            return None
        focal = self.focal(width)
        return width / 2 - focal * y / depth, height / 2 - focal * up / depth


def planned_heading(rates: FloatArray) -> float:
    """Direction of the heading neurons' population vector, rad, positive to the left; NaN where all are silent."""
    if rates.size != HEADINGS.size or not rates.sum() > 0:
        return math.nan
    return math.atan2(float(rates @ np.sin(HEADINGS)), float(rates @ np.cos(HEADINGS)))


@dataclass(frozen=True)
class Overlay:
    """What is drawn over a camera frame: polygons as SVG points, the strip as an SVG path."""

    ribbon: str = ""
    beyond: str = ""
    strip: str = ""


def overlay(camera: Camera, heading: float, rates: FloatArray, width: int, height: int) -> Overlay:
    """The planner's heading as a lane of the robot's width on the ground, and its neurons' rates under the picture.

    A heading out of view is an arrow at the picture's edge.
    """
    strip = _strip(camera, rates, width, height)
    if not math.isfinite(heading):
        return Overlay(strip=strip)
    if abs(heading) > camera.hfov / 2 * _EDGE:
        x, d = (6.0, 1) if heading > 0 else (width - 6.0, -1)
        y = height / 2
        return Overlay(beyond=f"{x},{y} {x + d * 12},{y - 9} {x + d * 12},{y + 9}", strip=strip)
    sides: tuple[list[str], list[str]] = ([], [])
    c, s = math.cos(heading), math.sin(heading)
    for distance in np.geomspace(_NEAR, _FAR, 12):
        narrowing = 1 - 0.85 * (distance - _NEAR) / (_FAR - _NEAR)  # to a point, as arrows do
        for points, sign in zip(sides, (1, -1), strict=True):
            offset = sign * camera.half_width * narrowing
            place = camera.project(distance * c - offset * s, distance * s + offset * c, width, height)
            if place is not None:
                points.append(f"{place[0]:.1f},{place[1]:.1f}")
    return Overlay(ribbon=" ".join([*sides[0], *reversed(sides[1])]), strip=strip)


def _strip(camera: Camera, rates: FloatArray, width: int, height: int) -> str:
    if rates.size != HEADINGS.size or not rates.max(initial=0) > 0:
        return ""
    parts = []
    focal, half = camera.focal(width), (HEADINGS[1] - HEADINGS[0]) / 2
    for angle, rate in zip(HEADINGS, rates / rates.max(), strict=True):
        if abs(angle) + half < math.pi / 2 and rate > 0.02:
            a, b = (width / 2 - focal * math.tan(angle + d) for d in (half, -half))
            a, b = max(0.0, a), min(float(width), b)
            if b > a:
                parts.append(f"M{a:.1f} {height}V{height - _STRIP * rate:.1f}H{b:.1f}V{height}Z")
    return "".join(parts)
