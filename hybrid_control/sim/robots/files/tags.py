"""What the <gazebo> elements of a URDF say: sensors with their numbers, and the plugin that drives the robot."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np

from hybrid_control.sim.robots.files.found import Found, Frame, frame_of

LIDARS = ("ray", "gpu_ray", "lidar", "gpu_lidar")
CAMERAS = ("camera", "wideanglecamera", "depth", "depth_camera", "rgbd_camera")

# what the drive plugins of Gazebo, new and classic, call the fields of a Vehicle
_DRIVE = {
    "wheel_radius": ("wheel_radius",),
    "track": ("wheel_separation", "wheelSeparation"),
    "max_speed": ("max_linear_velocity", "max_velocity"),
    "max_yaw_rate": ("max_angular_velocity",),
    "acceleration": ("max_linear_acceleration", "max_acceleration"),
    "yaw_acceleration": ("max_angular_acceleration",),
    "max_steering": ("steering_limit",),
    "odometry_rate": ("odom_publish_frequency", "odometryRate"),
    "wheelbase": ("wheelbase",),
}
# in their names, of those that move a base in any direction: by its wheels, or the base itself
_BY_WHEELS = re.compile(r"mecanum|holonomic|omni.*(drive|wheel|move|control)")
_ITSELF = re.compile(r"planar[_-]?move|velocity-control")


def number(element: ET.Element, path: str) -> float | None:
    """The finite number of a child's text; None where there is none."""
    found = element.find(path)
    try:
        value = float((found.text or "").split()[0]) if found is not None else math.nan
    except (ValueError, IndexError):
        return None
    return value if math.isfinite(value) else None


def _several(found: Found, element: ET.Element, names: dict[str, str], low: float = 0.0) -> None:
    for name, path in names.items():
        value = number(element, path)
        if value is not None and value > low:
            found.numbers.setdefault(name, value)


def read_sensor(found: Found, sensor: ET.Element, link: Frame) -> None:
    """Take in a <sensor> of a link: the first lidar, the first camera and the first IMU count."""
    kind = sensor.get("type", "")
    at = link
    pose = (sensor.findtext("pose") or "").split()
    if len(pose) == 6:
        try:
            values = np.array([float(word) for word in pose])
        except ValueError:
            values = np.zeros(6)
        if np.isfinite(values).all():
            at = link @ frame_of(values[:3], values[3:])
    if kind in LIDARS and "lidar_rate" not in found.numbers:
        found.frames["lidar"] = at
        _several(found, sensor, {"lidar_rate": "update_rate"})
        scan = next((e for tag in ("ray", "lidar") if (e := sensor.find(tag)) is not None), None)
        if scan is not None:
            _lidar(found, scan)
    elif kind in CAMERAS and "camera_rate" not in found.numbers:
        found.frames["camera"] = at
        names = {"camera_rate": "update_rate", "camera_hfov": "camera/horizontal_fov"}
        names |= {"camera_width": "camera/image/width", "camera_height": "camera/image/height"}
        _several(found, sensor, names)
    elif kind == "imu" and "imu_rate" not in found.numbers:
        found.frames["imu"] = at
        _several(found, sensor, {"imu_rate": "update_rate"})


def _lidar(found: Found, scan: ET.Element) -> None:
    """Beams, field of view, reach and noise. Beams that go once round have the last beside the first, or on it."""
    names = {"lidar_beams": "scan/horizontal/samples", "lidar_range_max": "range/max", "lidar_noise": "noise/stddev"}
    _several(found, scan, names)
    _several(found, scan, {"lidar_range_min": "range/min"}, low=-1e-12)
    first, last = (number(scan, f"scan/horizontal/{end}_angle") for end in ("min", "max"))
    beams = found.numbers.get("lidar_beams", 1.0)
    if first is None or last is None or not last > first:
        return
    whole = last - first >= math.tau - 1.5 * math.tau / max(beams, 2.0)
    found.numbers["lidar_fov"] = math.tau if whole else last - first
    if not whole:
        found.numbers["lidar_turn"] = 0.5 * (first + last)


def read_plugin(found: Found, plugin: ET.Element) -> None:
    """Take in a plugin that drives the robot, by what stands in it, whatever its name."""
    named = f"{plugin.get('filename', '')} {plugin.get('name', '')}".lower()
    planar = bool(_ITSELF.search(named))
    if planar or _BY_WHEELS.search(named):
        found.moves_sideways(f"plugin {plugin.get('name') or plugin.get('filename', '')}", planar)
    elif not any(word in named for word in ("drive", "ackermann", "skid")):
        return
    for field, tags in _DRIVE.items():
        for tag in tags:
            value = number(plugin, tag)
            if value is not None and value > 0.0 and field not in found.numbers:
                found.numbers[field] = value
    diameter = number(plugin, "wheel_diameter") or number(plugin, "wheelDiameter")
    if diameter is not None and diameter > 0.0:
        found.numbers.setdefault("wheel_radius", 0.5 * diameter)
    slowing = number(plugin, "min_linear_acceleration") or number(plugin, "min_acceleration")
    if slowing is not None and slowing < 0.0:
        found.numbers.setdefault("deceleration", -slowing)
