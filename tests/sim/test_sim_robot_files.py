"""A user's robot from its file: outlines worked by hand, wheels, sensors, what is taken by default, what is refused."""

import dataclasses
import json
import math
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid_control.navigation.bench.benchmark import Request, benchmark
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.scenes import load_scenes
from hybrid_control.navigation.bench.workers import Machines
from hybrid_control.sim.description_files import PACKAGE
from hybrid_control.sim.model import build_mjcf
from hybrid_control.sim.robots import ROBOTS, vehicle, vehicle_and_notes, with_lidar
from hybrid_control.sim.robots.ackermann import Car
from hybrid_control.sim.robots.files.stl import read_stl
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.rover import Rover
from hybrid_control.sim.urdf import urdf
from hybrid_control.sim.worlds import generate

URDFS = Path(__file__).parents[2] / PACKAGE / "urdf"
HEAD = '<robot name="mule"><link name="base_link">'
BAR, FORTH = '<box size="0.2 0.1 0.1"/>', '<origin xyz="0.2 0 0.1"/>'
BODY = '<collision><origin xyz="0 0 0.1"/><geometry><box size="0.6 0.4 0.2"/></geometry></collision>'


def shape(solid, origin=""):
    return f"<collision>{origin}<geometry>{solid}</geometry></collision>"


def wheel(name, x, y, parent="base_link", axis="0 1 0", z="0", rpy="0 0 0", limit="", radius="0.1"):
    turn = "1.5707963267948966 0 0" if axis == "0 1 0" else "0 0 0"
    return f"""<link name="{name}"><inertial><mass value="1"/></inertial><collision><origin rpy="{turn}"/><geometry>
      <cylinder radius="{radius}" length="0.05"/></geometry></collision></link>
      <joint name="{name}_joint" type="continuous"><parent link="{parent}"/><child link="{name}"/>
      <origin xyz="{x} {y} {z}" rpy="{rpy}"/><axis xyz="{axis}"/>{limit}</joint>"""


def rover(body=BODY, wheels=None, more=""):
    wheels = wheel("left", 0, 0.2) + wheel("right", 0, -0.2) if wheels is None else wheels
    return f"{HEAD}{body}</link>{wheels}{more}</robot>"


def read(tmp_path, text, name="mule.urdf", options=""):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return vehicle_and_notes(f"{file}{options}")


def robot(tmp_path, *args, **more):
    return read(tmp_path, *args, **more)[0]


def refusal(tmp_path, *args, **more):
    with pytest.raises(ValueError) as refused:
        read(tmp_path, *args, **more)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# -- our own URDF read back -------------------------------------------------------------------------------------------


def test_jackals_urdf_read_back_gives_jackals_numbers():
    read_back, notes = vehicle_and_notes(str(URDFS / "jackal.urdf"))
    assert notes == ()
    assert type(read_back) is Rover
    ours, theirs = dataclasses.asdict(JACKAL), dataclasses.asdict(read_back)
    assert theirs.pop("camera_hfov") == pytest.approx(ours.pop("camera_hfov"))  # nine digits stand in the file
    assert theirs == ours


@pytest.mark.parametrize("name", [n for n in ROBOTS if n != "quad"])
def test_each_shipped_robots_urdf_gives_its_measures_speeds_and_sensors_back(name):
    ours, theirs = vehicle(name), vehicle(str(URDFS / f"{name}.urdf"))
    assert type(theirs) is type(ours)
    same = [
        "length", "width", "height", "mass", "outline_x", "wheel_radius", "track", "max_speed", "acceleration",
        "deceleration", "lidar_x", "lidar_y", "lidar_yaw", "lidar_z", "lidar_fov", "lidar_beams", "lidar_rate",
        "lidar_range_min", "lidar_range_max", "camera_x", "camera_z", "camera_pitch", "ground_clearance",
    ]  # fmt: skip
    assert [getattr(theirs, n) for n in same] == [getattr(ours, n) for n in same]
    if isinstance(ours, Car):
        assert (theirs.wheelbase, theirs.max_steering) == (ours.wheelbase, ours.max_steering)


@pytest.mark.parametrize("name", ["jackal", "waffle", "car"])
def test_a_model_for_mujoco_gives_the_same_outline_wheels_and_mounts_as_the_robot_that_it_was_made_of(name, tmp_path):
    ours = vehicle(name)
    file = tmp_path / f"{name}.xml"
    file.write_text(build_mjcf(generate("open"), ours, None, 0.002))
    theirs = vehicle(str(file))
    same = ["length", "width", "height", "outline_x", "wheel_radius", "track", "lidar_x", "lidar_z", "camera_x", "mass"]
    assert [getattr(theirs, n) for n in same] == pytest.approx([getattr(ours, n) for n in same], abs=1e-6)
    assert theirs.wheels.turning_radius == pytest.approx(ours.wheels.turning_radius)


# -- outlines ---------------------------------------------------------------------------------------------------------


def test_the_outline_is_the_rectangle_that_holds_all_shapes(tmp_path):
    # the box: 0.6 x 0.4; the wheels stand 0.2 + 0.025 aside
    found = robot(tmp_path, rover())
    assert (found.length, found.width, found.outline_x) == pytest.approx((0.6, 0.45, 0.0))
    assert found.height == pytest.approx(0.3)  # 0.2 above the axle, and its 0.1
    assert (found.name, found.mass) == ("mule", 2.0)


def test_a_turned_box_reaches_as_far_as_its_corners(tmp_path):
    # 1.0 x 0.2 turned by 45 degrees: (1.0 + 0.2) / 2 · sqrt(2) = 0.8485 along x and y
    box = shape('<box size="1.0 0.2 0.2"/>', '<origin xyz="0.1 0 0.1" rpy="0 0 0.78539816"/>')
    found = robot(tmp_path, rover(box))
    assert (found.length, found.width) == pytest.approx((1.2 / math.sqrt(2), 1.2 / math.sqrt(2)), abs=1e-6)
    assert found.outline_x == pytest.approx(0.1)


def test_a_lying_cylinder_and_a_ball_ahead_of_the_body_count(tmp_path):
    # a cylinder of radius 0.1 and length 0.5 along y at x = 0.4: x 0.3 .. 0.5, y ±0.25; a ball of 0.05 at -0.5
    shapes = shape('<cylinder radius="0.1" length="0.5"/>', '<origin xyz="0.4 0 0.1" rpy="1.57079633 0 0"/>')
    shapes += shape('<sphere radius="0.05"/>', '<origin xyz="-0.5 0 0.1"/>')
    found = robot(tmp_path, rover(shapes))
    assert (found.length, found.width) == pytest.approx((1.05, 0.5), abs=1e-6)
    assert found.outline_x == pytest.approx(-0.025, abs=1e-6)


def test_what_hangs_on_joints_is_where_they_put_it(tmp_path):
    # turned left by 90 degrees at (0.3, 0): 0.2 along its own x is 0.2 along y
    arm = (
        f'<link name="arm">{shape(BAR, FORTH)}</link>'
        '<joint name="a" type="fixed"><parent link="base_link"/><child link="arm"/>'
        '<origin xyz="0.3 0 0" rpy="0 0 1.57079633"/></joint>'
    )
    found, notes = read(tmp_path, rover(more=arm))
    assert found.length == pytest.approx(0.65, abs=1e-6)  # 0.3 + 0.05 ahead, 0.3 behind
    assert found.width == pytest.approx(0.6, abs=1e-6)  # 0.3 to the left, taken for both sides
    assert any("0.300 m to the left" in note for note in notes)


def test_places_count_from_the_axle_where_base_link_is_not_on_it(tmp_path):
    wheels = wheel("left", -0.2, 0.2) + wheel("right", -0.2, -0.2)
    found, notes = read(tmp_path, rover(wheels=wheels))
    assert found.outline_x == pytest.approx(0.2)
    assert any("not on the axle" in note for note in notes)


def test_four_wheels_that_do_not_steer_turn_about_the_middle_between_them(tmp_path):
    wheels = "".join(wheel(f"w{x}{y}", x, y) for x in (0.25, -0.15) for y in (0.2, -0.2))
    found = robot(tmp_path, rover(wheels=wheels))
    assert (found.track, found.wheel_radius) == pytest.approx((0.4, 0.1))
    # the front wheels reach to 0.35 and the body back to -0.3, and the middle between the axles is at 0.05
    assert (found.length, found.outline_x) == pytest.approx((0.65, -0.025))
    assert found.wheels.turning_radius == 0.0


def test_meshes_count_by_their_corners(tmp_path):
    (tmp_path / "meshes").mkdir()
    corners = np.array([[0, 0, 0], [900, 0, 0], [0, 500, 300]], "<f4")
    facet = struct.pack("<12fH", 0, 0, 1, *corners.ravel(), 0)
    (tmp_path / "meshes" / "hull.stl").write_bytes(b"x" * 80 + struct.pack("<I", 1) + facet)
    mesh = (
        '<collision><origin xyz="-0.4 -0.25 0"/><geometry><mesh filename="meshes/hull.stl" scale="0.001 0.001 0.001"/>'
        "</geometry></collision>"
    )
    found = robot(tmp_path, rover(mesh))
    assert (found.length, found.width, found.outline_x) == pytest.approx((0.9, 0.5, 0.05))
    text = "solid a\n" + "".join(f"vertex {x} {y} {z}\n" for x, y, z in corners.tolist()) + "endsolid"
    (tmp_path / "text.stl").write_text(text)
    np.testing.assert_array_equal(read_stl(tmp_path / "text.stl"), corners)


def test_a_package_above_the_robots_folder_is_found_by_its_name(tmp_path):
    folder = tmp_path / "mule_description"
    (folder / "urdf").mkdir(parents=True)
    (folder / "hull.stl").write_text("solid\nvertex 0.4 0.2 0.1\nvertex -0.4 -0.2 0\nvertex 0 0 0\nendsolid")
    mesh = '<collision><geometry><mesh filename="package://mule_description/hull.stl"/></geometry></collision>'
    assert robot(folder / "urdf", rover(mesh)).length == pytest.approx(0.8)


# -- wheels, limits, sensors ------------------------------------------------------------------------------------------


def car_text(upper="0.5"):
    front = "".join(
        f'<link name="{side}_knuckle"/><joint name="{side}_steer" type="revolute"><parent link="base_link"/>'
        f'<child link="{side}_knuckle"/><origin xyz="0.4 {y} 0"/><axis xyz="0 0 1"/>'
        f'<limit lower="-{upper}" upper="{upper}" effort="1" velocity="1"/></joint>'
        + wheel(f"front_{side}", 0, 0, f"{side}_knuckle")
        for side, y in (("left", 0.2), ("right", -0.2))
    )
    return rover(wheels=wheel("left", 0, 0.2) + wheel("right", 0, -0.2) + front)


def test_steered_wheels_make_a_car(tmp_path):
    found = robot(tmp_path, car_text())
    assert isinstance(found, Car)
    assert found.wheelbase == pytest.approx(0.4)
    # the inner wheel, 0.2 m off the middle, steers by 0.5 rad: the axle's middle drives a circle of 0.4 / tan 0.5 + 0.2
    assert found.wheels.turning_radius == pytest.approx(0.4 / math.tan(0.5) + 0.2)


def test_wheels_under_a_swivel_are_casters(tmp_path):
    caster = (
        '<link name="swivel"/><joint name="s" type="continuous"><parent link="base_link"/><child link="swivel"/>'
        '<origin xyz="-0.25 0 -0.05"/><axis xyz="0 0 1"/></joint>' + wheel("roller", 0, 0, "swivel", radius="0.05")
    )
    found = robot(tmp_path, rover(more=caster))
    assert not isinstance(found, Car)
    assert found.track == pytest.approx(0.4)
    assert found.caster_radius == pytest.approx(0.05)


def test_speed_follows_from_the_wheels_joints_and_else_is_said(tmp_path):
    limit = '<limit effort="5" velocity="8"/>'
    wheels = wheel("left", 0, 0.2, limit=limit) + wheel("right", 0, -0.2, limit=limit)
    found, notes = read(tmp_path, rover(wheels=wheels))
    assert found.max_speed == pytest.approx(0.8)
    assert found.max_yaw_rate == pytest.approx(4.0)  # 0.8 / 0.2
    assert not any("max_speed" in note for note in notes)
    found, notes = read(tmp_path, rover())
    assert found.max_speed == 0.5
    assert notes[0] == "max_speed not in mule.urdf: 0.5 m/s taken; --robot mule.urdf,max_speed=... sets it"
    found, notes = read(tmp_path, rover(), options=",max_speed=1.2,lidar_x=-0.1")
    assert (found.max_speed, found.lidar_x) == (1.2, -0.1)
    assert not any("max_speed" in note for note in notes)


def test_gazebos_elements_say_what_sensors_and_drive_are(tmp_path):
    more = """<link name="laser"/><joint name="l" type="fixed"><parent link="base_link"/><child link="laser"/>
      <origin xyz="0.2 0.05 0.2" rpy="0 0 3.14159265"/></joint>
      <gazebo reference="laser"><sensor type="ray" name="s"><pose>0.01 0 0 0 0 0</pose>
      <update_rate>15</update_rate><ray>
      <scan><horizontal><samples>541</samples><min_angle>-2.3562</min_angle><max_angle>2.3562</max_angle></horizontal>
      </scan><range><min>0.1</min><max>25</max></range><noise><stddev>0.02</stddev></noise></ray></sensor></gazebo>
      <gazebo><plugin filename="libgazebo_ros_diff_drive.so" name="diff_drive"><wheel_separation>0.42</wheel_separation>
      <wheel_diameter>0.21</wheel_diameter><max_linear_velocity>1.1</max_linear_velocity></plugin></gazebo>"""
    found = robot(tmp_path, rover(more=more))
    assert (found.lidar_x, found.lidar_y) == pytest.approx((0.19, 0.05), abs=1e-8)  # its own x points back
    assert abs(found.lidar_yaw) == pytest.approx(math.pi)
    assert (found.lidar_rate, found.lidar_beams, found.lidar_range_max, found.lidar_noise) == (15.0, 541, 25.0, 0.02)
    assert found.lidar_fov == pytest.approx(4.7124)
    assert (found.track, found.wheel_radius, found.max_speed) == pytest.approx((0.42, 0.105, 1.1))


def test_without_wheels_it_moves_as_on_two_and_that_is_said(tmp_path):
    found, notes = read(tmp_path, rover(wheels=""))
    assert found.wheels is not None
    assert any("no wheels in mule.urdf" in note for note in notes)


# -- xacro ------------------------------------------------------------------------------------------------------------

XACRO = """<robot name="mule" xmlns:xacro="http://www.ros.org/wiki/xacro">
  <xacro:property name="half" value="0.3"/>
  <xacro:include filename="parts.xacro"/>
  <link name="base_link"><collision><geometry><box size="${2 * half} 0.4 0.2"/></geometry></collision></link>
  <xacro:wheel name="left" side="1"/><xacro:wheel name="right" side="-1"/>
</robot>"""
PARTS = """<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:macro name="wheel" params="name side">
  <link name="${name}"><collision><origin rpy="${pi / 2} 0 0"/><geometry><cylinder radius="0.08"
  length="0.04"/></geometry></collision></link>
  <joint name="${name}_joint" type="continuous"><parent link="base_link"/><child link="${name}"/>
  <origin xyz="0 ${side * 0.18} 0"/><axis xyz="0 1 0"/></joint></xacro:macro></robot>"""


@pytest.mark.parametrize("name", ["mule.urdf.xacro", "mule.urdf"])
def test_xacro_with_properties_macros_and_an_include_of_its_folder(name, tmp_path):
    pytest.importorskip("xacro", reason="xacro is not installed: pip install xacro")
    (tmp_path / "parts.xacro").write_text(PARTS)
    found = robot(tmp_path, XACRO, name)
    assert (found.length, found.width, found.track, found.wheel_radius) == pytest.approx((0.6, 0.4, 0.36, 0.08))


@pytest.mark.slow
def test_xacro_reads_nothing_outside_its_folder_and_does_not_go_on_for_ever(tmp_path):
    pytest.importorskip("xacro", reason="xacro is not installed: pip install xacro")
    inside = tmp_path / "robot"
    inside.mkdir()
    (tmp_path / "parts.xacro").write_text(PARTS)
    (tmp_path / "numbers.yaml").write_text("{a: 1}")
    name = "mule.xacro"
    outside = refusal(inside, XACRO.replace("parts.xacro", "../parts.xacro"), name)
    assert "which is outside its folder and is not read" in outside
    secret = XACRO.replace("parts.xacro", str(tmp_path / "parts.xacro"))
    assert "which is outside its folder" in refusal(inside, secret, name)
    (inside / "parts.xacro").write_text(PARTS)
    loaded = XACRO.replace('value="0.3"', "value=\"${xacro.load_yaml('../numbers.yaml')['a']}\"")
    assert "which is outside its folder" in refusal(inside, loaded, name)
    assert "$(find nowhere)" in refusal(inside, XACRO.replace("parts.xacro", "$(find nowhere)/parts.xacro"), name)
    begin = time.monotonic()
    itself = XACRO.replace("parts.xacro", name)
    assert refusal(inside, itself, name).startswith(str(inside / name))
    assert "longer than 4 s" in refusal(inside, XACRO.replace('value="0.3"', 'value="${9**9**9}"'), name)
    assert time.monotonic() - begin < 60


# -- MJCF -------------------------------------------------------------------------------------------------------------

MJCF = """<mujoco model="mule"><worldbody><geom type="plane" size="5 5 1"/>
  <body name="base" pos="1 2 0.1" euler="0 0 90">
  <freejoint/><geom type="box" size="0.3 0.2 0.1" pos="0.05 0 0.1" mass="8"/>
  <site name="laser" pos="0.2 0 0.25"/><camera name="eye" pos="0.3 0 0.2" xyaxes="0 -1 0 0 0 1" fovy="60"/>
  <body name="left" pos="0 0.22 0"><joint name="l" type="hinge" axis="0 1 0"/>
    <geom type="cylinder" size="0.1 0.02" euler="90 0 0" mass="1"/></body>
  <body name="right" pos="0 -0.22 0"><joint name="r" type="hinge" axis="0 1 0"/>
    <geom type="cylinder" size="0.1 0.02" euler="90 0 0" mass="1"/></body>
  </body></worldbody><actuator><velocity joint="l" kv="1" ctrlrange="-9 9" ctrllimited="true"/>
  <velocity joint="r" kv="1" ctrlrange="-9 9" ctrllimited="true"/></actuator></mujoco>"""


@pytest.mark.parametrize("name", ["mule.xml", "mule.mjcf"])
def test_a_mujoco_model_by_hand(name, tmp_path):
    found = robot(tmp_path, MJCF, name)
    assert (found.name, found.mass) == ("mule", pytest.approx(10.0))
    assert (found.length, found.width, found.outline_x) == pytest.approx((0.6, 0.48, 0.05))
    assert (found.track, found.wheel_radius, found.max_speed) == pytest.approx((0.44, 0.1, 0.9))
    assert (found.lidar_x, found.lidar_z) == pytest.approx((0.2, 0.35))
    assert (found.camera_x, found.camera_z, found.camera_pitch) == pytest.approx((0.3, 0.3, 0.0), abs=1e-9)


def test_a_mujoco_model_names_no_files_outside_its_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for line in ('<include file="../a.xml"/>', '<asset><mesh file="/etc/a.stl"/></asset>'):
        text = MJCF.replace("<worldbody>", f"{line}<worldbody>", 1)
        assert "outside its folder" in refusal(tmp_path / "in", text, "m.xml")


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<robot name='a'/>", "0 links; expected 1 .. 1000"),
        ("<sdf/>", "<sdf> where <robot> of a URDF or <mujoco> was expected"),
        ("<!DOCTYPE robot [<!ENTITY a 'b'>]><robot/>", "document types and entities are not read"),
        (rover(shape('<box size="1 2"/>')), 'size="1 2"; expected 3 finite numbers'),
        (rover(shape("<torus/>")), "<torus>: unknown shape; expected a box"),
        (rover(shape('<box size="1 nan 1"/>')), "expected 3 finite numbers"),
        (rover(BODY.replace("0.6", "60")), "an outline with a length of 60 m; expected 0.05 .. 5 m"),
        (rover(wheels=wheel("left", 0, 0.2)), "wheels on one side alone (left)"),
        (rover(more='<link name="lost"/>'), "2 links that no joint holds; expected one, the root"),
        (rover(wheels=wheel("left", 0, 0.2, parent="nobody")), "there is no link 'nobody'"),
        (rover(wheels=wheel("left", 0, 0.2, axis="0 0 0")), "an axis of no length"),
        (rover(shape('<mesh filename="../../etc/hull.stl"/>')), "lies outside the robot's folder"),
        (rover(shape('<mesh filename="hull.dae"/>')), "is no STL"),
    ],
)
def test_what_can_not_be_a_robot_is_refused_in_a_line_that_names_it(text, said, tmp_path):
    line = refusal(tmp_path, text)
    assert line.startswith(str(tmp_path / "mule.urdf"))
    assert said in line


def test_a_loop_of_links_is_refused(tmp_path):
    joints = "".join(
        f'<joint name="{a}" type="fixed"><parent link="{a}"/><child link="{b}"/></joint>' for a, b in ("ab", "ba")
    )
    links = "".join(f'<link name="{name}"/>' for name in "rab")
    assert "hangs on itself" in refusal(tmp_path, f'<robot name="x">{links}{joints}</robot>')


def test_an_outline_that_is_given_stands_for_meshes_that_can_not_be_read(tmp_path):
    text = rover(BODY + shape('<mesh filename="hull.dae"/>'))
    found = robot(tmp_path, text, options=",length=0.9,width=0.7")
    assert (found.length, found.width) == (0.9, 0.7)


def test_options_and_names_that_can_not_be_are_refused():
    for name, said in (
        ("nobody", "unknown robot 'nobody'; there are burger, car, jackal"),
        ("jackal,max_speed", "expected a number of it, such as max_speed=0.8"),
        ("jackal,colour=1", "robot 'jackal' has no number 'colour'"),
        ("jackal,mass=0", "mass=0 can't be"),
        ("jackal,lidar_fov=7", "at most 2 pi rad"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            vehicle(name)
    with pytest.raises(ValueError, match="--lidar: 'foo=1'"):
        with_lidar("jackal", "foo=1")
    turned = vehicle(with_lidar("jackal", "fov=270,x=0.2,yaw=90"))
    assert (turned.lidar_fov, turned.lidar_x, turned.lidar_yaw) == pytest.approx((1.5 * math.pi, 0.2, math.pi / 2))


def read_or_refused(reader, *args):
    """What is read, None for what is refused in one line."""
    refused = ""
    try:
        return reader(*args)
    except ValueError as error:
        refused = str(error)
    assert "\n" not in refused
    return None


SEEDS = [
    rover().encode(), car_text().encode(), urdf(JACKAL.describe()).encode(), (URDFS / "mecanum.urdf").read_bytes(),
]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, data):
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.integers(0, 3))
        if kind == 0:
            del content[at:]
        elif kind == 1:
            content[at] = data.draw(st.integers(0, 255))
        elif kind == 2:
            content[at:at] = data.draw(st.sampled_from([b"1e308", b"-", b"nan", b"0", b"<link/>", b"../", b"inf"]))
        else:
            del content[at : at + data.draw(st.integers(1, 40))]
        if not content:
            break
    found = read_or_refused(robot, tmp_path, bytes(content))
    if found is not None:
        numbers = [v for v in dataclasses.asdict(found).values() if isinstance(v, float)]
        assert all(map(math.isfinite, numbers))
        assert found.length > 0.0 < found.mass


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_bytes_that_are_no_stl_are_refused(tmp_path, content):
    file = tmp_path / "a.stl"
    file.write_bytes(content)
    corners = read_or_refused(read_stl, file)
    assert corners is None or np.isfinite(corners).all()


# -- the benchmark ----------------------------------------------------------------------------------------------------


def by_name_and_by_file(policy):
    (scene,) = load_scenes("default:1")
    for name in ("jackal", str(URDFS / "jackal.urdf")):
        harness = Harness(Setup(robot=name, level="kinematic"))
        yield harness.run(policy, scene, 0, 0), harness.told.reflex_settings, harness.told.reflex_gains


@pytest.mark.slow
def test_a_benchmark_by_a_file_gives_the_same_as_by_the_robots_name():
    by_name, by_file = by_name_and_by_file("vfh")
    assert by_name[0]["success"]
    assert by_name == by_file


@pytest.mark.slow
def test_the_reflex_drives_a_robot_of_a_file_to_the_bit_as_the_same_by_its_name():
    by_name, by_file = by_name_and_by_file("reflex")
    assert by_name == by_file


def test_a_resumed_benchmark_notices_that_the_robots_file_is_another(tmp_path):
    file, out = tmp_path / "mule.urdf", tmp_path / "out.json"
    file.write_text(rover())
    scenes = load_scenes("open,length=2:1")

    def run():
        setup = Setup(robot=str(file), level="kinematic")
        request = Request("open:1", scenes, ["straight"], ["kinematic"], ["none"], setup, 1, Machines(), False)
        return benchmark(request, out)

    first = run()["episodes"]
    assert run()["episodes"] == first
    file.write_text(rover(BODY.replace("0.6", "0.7")))
    with pytest.raises(ValueError, match="begun with other worlds or options"):
        run()


def test_the_command_drives_a_robot_of_ones_own(tmp_path):
    file = tmp_path / "mule.urdf"
    file.write_text(rover())
    out = tmp_path / "out.json"
    words = ["bench", "nav", "--robot", str(file), "--worlds", "open,length=3:1", "--policy", "straight"]
    words += ["--level", "kinematic", "--lidar", "fov=270", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "hybrid_control", *words], capture_output=True, text=True, check=True
    )
    assert "bench nav: max_speed not in mule.urdf: 0.5 m/s taken" in done.stderr
    assert json.loads(out.read_text())["episodes"][0]["success"]
