"""URDF, SDF and MuJoCo's model of each robot hold the same numbers, as real parsers of each read them."""

import dataclasses
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hybrid_control.sim import gazebo
from hybrid_control.sim.description import (
    BASE,
    CAMERA,
    IMU,
    LIDAR,
    OPTICAL,
    ball_inertia,
    box_inertia,
)
from hybrid_control.sim.description_files import PACKAGE, files
from hybrid_control.sim.model import Appearance, build_mjcf
from hybrid_control.sim.mujoco_import import import_mujoco
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.mecanum import MECANUM
from hybrid_control.sim.robots.quad import QUAD
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.urdf import urdf
from hybrid_control.sim.worlds import generate

mujoco = import_mujoco()

TOP = Path(__file__).parents[2]
OTHER = dataclasses.replace(
    JACKAL, name="other", mass=9.0, wheel_radius=0.07, track=0.3, lidar_z=0.22, camera_x=0.2, camera_pitch=0.2
)


def read_urdf(text: str) -> Any:
    """The URDF as MuJoCo's own reader has it, frames without mass kept."""
    options = '<mujoco><compiler fusestatic="false" discardvisual="false" inertiagrouprange="0 5"/></mujoco></robot>'
    return mujoco.MjModel.from_xml_string(text.replace("</robot>", options))


def body(model, name):
    return mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)


def inertia(model, name):
    """A body's inertia about its own frame's axes; MuJoCo turns it to principal axes, which it sorts."""
    i = body(model, name)
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.body_iquat[i])
    rotation = rotation.reshape(3, 3)
    return np.diag(rotation @ np.diag(model.body_inertia[i]) @ rotation.T)


def place(model, name, base=BASE):
    """Where a body lies in base, and its axes."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    b, i = body(model, base), body(model, name)
    frame = data.xmat[b].reshape(3, 3)
    return frame.T @ (data.xpos[i] - data.xpos[b]), frame.T @ data.xmat[i].reshape(3, 3)


def sdf_link(robot: Vehicle, name: str) -> ET.Element:
    model = gazebo.robot_model(robot, gazebo.HARMONIC)
    return next(link for link in model.findall("link") if link.get("name") == name)


def numbers(text: str | None) -> list[float]:
    return [float(v) for v in (text or "0 0 0 0 0 0").split()]


def rotation(roll, pitch, yaw):
    """Rz Ry Rx, as URDF and SDF have it."""
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(a), math.sin(a)) for a in (roll, pitch, yaw))
    x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return z @ y @ x


def test_inertias_are_those_of_the_textbook():
    assert box_inertia(12.0, 1.0, 2.0, 3.0) == pytest.approx((13.0, 10.0, 5.0))
    assert ball_inertia(5.0, 2.0) == pytest.approx((8.0, 8.0, 8.0))


@pytest.mark.parametrize("robot", [JACKAL, OTHER, MECANUM, QUAD], ids=lambda r: r.name)
def test_the_parts_weigh_what_the_robot_weighs(robot):
    assert robot.describe().mass == pytest.approx(robot.mass)
    assert read_urdf(urdf(robot.describe())).body_mass.sum() == pytest.approx(robot.mass)
    model = gazebo.robot_model(robot, gazebo.FORTRESS)
    assert sum(float(m.text) for m in model.iter("mass")) == pytest.approx(robot.mass)


@pytest.mark.parametrize("robot", [JACKAL, OTHER], ids=lambda r: r.name)
def test_the_rover_is_the_same_in_urdf_sdf_and_mujoco(robot):
    mjcf = mujoco.MjModel.from_xml_string(build_mjcf(generate("open"), robot, Appearance(), 0.002))
    described = read_urdf(urdf(robot.describe()))
    for name, in_mjcf in ((BASE, "robot"), ("left_wheel", "left_wheel"), ("right_wheel", "right_wheel")):
        link = sdf_link(robot, name)
        masses = (
            mjcf.body_mass[body(mjcf, in_mjcf)],
            described.body_mass[body(described, name)],
            float(link.findtext("inertial/mass")),
        )
        assert masses == pytest.approx((masses[0],) * 3)
        moments = [float(link.findtext(f"inertial/inertia/{axis}")) for axis in ("ixx", "iyy", "izz")]
        np.testing.assert_allclose(inertia(mjcf, in_mjcf), moments, rtol=1e-6)
        np.testing.assert_allclose(inertia(described, name), moments, rtol=1e-6)
    for side, sign in (("left", 1), ("right", -1)):
        expected = [0.0, sign * robot.track / 2, 0.0]
        np.testing.assert_allclose(mjcf.body_pos[body(mjcf, f"{side}_wheel")], expected)
        np.testing.assert_allclose(place(described, f"{side}_wheel")[0], expected, atol=1e-7)
        link = sdf_link(robot, f"{side}_wheel")
        assert link.find("pose").get("relative_to") == BASE
        assert numbers(link.findtext("pose")) == pytest.approx([*expected, 0, 0, 0])
        radius = float(link.findtext("collision/geometry/sphere/radius"))
        assert radius == robot.wheel_radius
    # the base hangs one wheel radius above the ground in all of them
    assert mjcf.body_pos[body(mjcf, "robot")][2] == robot.wheel_radius
    assert numbers(sdf_link(robot, BASE).findtext("pose"))[2] == robot.wheel_radius
    assert place(described, BASE, "base_footprint")[0][2] == pytest.approx(robot.wheel_radius)


@pytest.mark.parametrize("robot", [JACKAL, OTHER], ids=lambda r: r.name)
def test_the_rovers_sensors_stand_at_the_same_places_in_urdf_sdf_and_mujoco(robot):
    mjcf = mujoco.MjModel.from_xml_string(build_mjcf(generate("open"), robot, Appearance(), 0.002))
    described = read_urdf(urdf(robot.describe()))
    base = sdf_link(robot, BASE)
    for frame in (LIDAR, CAMERA, IMU):
        sensor = next(s for s in base.findall("sensor") if s.get("name") == frame)
        x, y, z, *rpy = numbers(sensor.findtext("pose"))
        xyz, axes = place(described, frame)
        np.testing.assert_allclose(xyz, (x, y, z), atol=1e-7)
        np.testing.assert_allclose(axes, rotation(*rpy), atol=1e-7)
    for frame in (LIDAR, IMU):
        site = mujoco.mj_name2id(mjcf, mujoco.mjtObj.mjOBJ_SITE, frame)
        np.testing.assert_allclose(mjcf.site_pos[site], place(described, frame)[0], atol=1e-7)
    camera = mujoco.mj_name2id(mjcf, mujoco.mjtObj.mjOBJ_CAMERA, "camera")
    xyz, axes = place(described, OPTICAL)
    np.testing.assert_allclose(mjcf.cam_pos[camera], xyz, atol=1e-7)
    view = np.empty(9)
    mujoco.mju_quat2Mat(view, mjcf.cam_quat[camera])
    # MuJoCo's camera has y up and looks along -z; an optical frame has y down and looks along z
    np.testing.assert_allclose(view.reshape(3, 3), axes @ np.diag((1.0, -1.0, -1.0)), atol=1e-7)
    fovy = mjcf.cam_fovy[camera]
    assert math.tan(math.radians(fovy) / 2) * 160 / 120 == pytest.approx(math.tan(robot.camera_hfov / 2))
    sensor = next(s for s in base.findall("sensor") if s.get("name") == CAMERA)
    assert float(sensor.findtext("camera/horizontal_fov")) == pytest.approx(robot.camera_hfov)


def test_the_lidars_beams_are_those_of_the_embedded_simulator():
    sensor = next(s for s in sdf_link(JACKAL, BASE).findall("sensor") if s.get("name") == LIDAR)
    scan = sensor.find("lidar/scan/horizontal")
    count = int(scan.findtext("samples"))
    low, high = float(scan.findtext("min_angle")), float(scan.findtext("max_angle"))
    assert count == 360
    assert low == pytest.approx(-math.pi)
    assert (high - low) / (count - 1) == pytest.approx(math.radians(1.0))
    assert float(sensor.findtext("update_rate")) == 20.0


def test_the_differential_drive_has_the_robots_measures():
    model = gazebo.robot_model(OTHER, gazebo.IONIC)
    drive = next(p for p in model.findall("plugin") if str(p.get("name")).endswith("DiffDrive"))
    assert float(drive.findtext("wheel_radius")) == 0.07
    assert float(drive.findtext("wheel_separation")) == 0.3
    joints = {j.get("name"): j for j in model.findall("joint")}
    for side in ("left", "right"):
        joint = joints[drive.findtext(f"{side}_joint")]
        assert (joint.findtext("parent"), joint.findtext("child")) == (BASE, f"{side}_wheel")
        assert numbers(joint.findtext("axis/xyz")) == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("to", "attribute"), [(gazebo.FORTRESS, "ignition:expressed_in"), (gazebo.IONIC, "gz:expressed_in")]
)
def test_each_mecanum_wheel_grips_along_one_line_of_the_base_and_its_drive_has_its_measures(to, attribute):
    model = gazebo.robot_model(MECANUM, to)
    drive = next(p for p in model.findall("plugin") if str(p.get("name")).endswith("MecanumDrive"))
    measures = [float(drive.findtext(name)) for name in ("wheelbase", "wheel_separation", "wheel_radius")]
    assert measures == [MECANUM.wheelbase, MECANUM.track, MECANUM.wheel_radius]
    joints = {j.get("name"): j.findtext("child") for j in model.findall("joint")}
    # seen from above the lines along which they grip at the ground form an O
    for end, side, ahead, left, line in (
        ("front", "left", 1, 1, "1 -1 0"), ("front", "right", 1, -1, "1 1 0"),
        ("back", "left", -1, 1, "1 1 0"), ("back", "right", -1, -1, "1 -1 0"),
    ):  # fmt: skip
        name = joints[drive.findtext(f"{end}_{side}_joint")]
        link = next(w for w in model.findall("link") if w.get("name") == name)
        place = numbers(link.findtext("pose"))[:3]
        assert place == pytest.approx([ahead * MECANUM.wheelbase / 2, left * MECANUM.track / 2, 0.0])
        ode = link.find("collision/surface/friction/ode")
        assert (float(ode.findtext("mu")), float(ode.findtext("mu2"))) == (1.0, 0.0)
        assert (ode.findtext("fdir1"), ode.find("fdir1").get(attribute)) == (line, BASE)


def test_the_wheels_carry_the_rover_and_the_casters_only_keep_it_from_tipping():
    base = sdf_link(JACKAL, BASE)
    for side in ("front", "rear"):
        caster = next(c for c in base.findall("collision") if c.get("name") == f"{side}_caster")
        lowest = numbers(caster.findtext("pose"))[2] - float(caster.findtext("geometry/sphere/radius"))
        assert 0.001 < lowest + JACKAL.wheel_radius < 0.005
        assert float(caster.findtext("surface/friction/ode/mu")) == 0.0


def test_every_fortress_knows_a_limit_of_the_wheels_acceleration():
    model = gazebo.robot_model(JACKAL, gazebo.FORTRESS)
    drive = next(p for p in model.findall("plugin") if str(p.get("name")).endswith("DiffDrive"))
    # 6.4 reads this for speed and yaw rate alike, later ones the two below
    assert float(drive.findtext("max_acceleration")) == JACKAL.yaw_acceleration
    assert float(drive.findtext("max_linear_acceleration")) == JACKAL.acceleration
    assert float(drive.findtext("min_linear_acceleration")) == -JACKAL.deceleration


def test_the_quadrotors_rotors_and_sensors_agree_in_urdf_and_sdf():
    described = read_urdf(urdf(QUAD.describe()))
    model = gazebo.robot_model(QUAD, gazebo.FORTRESS)
    directions = {}
    for plugin in model.findall("plugin"):
        if str(plugin.get("name")).endswith("MulticopterMotorModel"):
            directions[plugin.findtext("jointName")] = plugin.findtext("turningDirection")
            thrust = float(plugin.findtext("motorConstant")) * float(plugin.findtext("maxRotVelocity")) ** 2
            assert thrust == pytest.approx(QUAD.rotor_thrust)
    for i, (x, y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        expected = (x * QUAD.rotor_x, y * QUAD.rotor_y, 0.0)
        np.testing.assert_allclose(place(described, f"rotor{i}")[0], expected, atol=1e-7)
        assert numbers(sdf_link(QUAD, f"rotor{i}").findtext("pose"))[:3] == pytest.approx(expected)
        # neighbours turn against each other, the first one clockwise
        assert directions[f"rotor{i}_joint"] == ("cw" if i % 2 == 0 else "ccw")
    for frame, at in QUAD.sensor_frames().items():
        np.testing.assert_allclose(place(described, frame)[0], at.xyz, atol=1e-7)
    # range sensors look along their x: straight up and straight down
    np.testing.assert_allclose(place(described, "range_up")[1][:, 0], (0, 0, 1), atol=1e-7)
    np.testing.assert_allclose(place(described, "range_down")[1][:, 0], (0, 0, -1), atol=1e-7)


@pytest.mark.parametrize("name", sorted(files()))
def test_made_files_are_those_that_the_code_makes_now(name):
    made = (TOP / name).read_text(encoding="utf-8")
    assert made == files()[name], f"{name} is old: python -m hybrid_control.sim.description_files ."


def elements(root: ET.Element) -> dict[tuple[str, ...], dict[str, object]]:
    """Every element below a URDF's root by the names on its way, with its attributes, numbers as numbers."""
    found = {}

    def walk(element: ET.Element, way: tuple[str, ...]) -> None:
        for child in element:
            here = (*way, f"{child.tag}:{child.get('name', '')}")
            values = {}
            for key, value in child.attrib.items():
                is_numbers = re.fullmatch(r"[-+.\deE ]+", value)
                values[key] = [float(f"{float(v) + 0.0:.7g}") for v in value.split()] if is_numbers else value
            if child.tag == "origin":
                values = {key: values.get(key, [0.0] * 3) for key in ("xyz", "rpy")}
                if not any(values["xyz"] + values["rpy"]):
                    continue
            found[here] = values
            walk(child, here)

    walk(root, ())
    return found


@pytest.mark.parametrize(("file", "robot"), [("rover", JACKAL), ("quadrotor", QUAD), ("rover", OTHER)])
def test_xacro_makes_the_same_urdf(file, robot, tmp_path):
    pytest.importorskip("xacro", reason="xacro is not installed: pip install xacro")
    chosen = tmp_path / "numbers.yaml"
    chosen.write_text(yaml.safe_dump(dataclasses.asdict(robot)))
    program = (
        "import sys, xacro\n"
        "sys.stdout.write(xacro.process_file(sys.argv[1], mappings={'numbers': sys.argv[2]}).toxml())"
    )
    source = TOP / PACKAGE / "urdf" / f"{file}.urdf.xacro"
    made = subprocess.run(
        [sys.executable, "-c", program, str(source), str(chosen)], capture_output=True, text=True, check=True
    )
    assert elements(ET.fromstring(made.stdout)) == elements(ET.fromstring(urdf(robot.describe())))
