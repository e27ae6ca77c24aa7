"""Files of robots that move in any direction: what says so, in URDF and MJCF, and what still is on two wheels."""

import math

import pytest

from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.scenes import load_scenes
from hybrid_control.sim.robots import vehicle, vehicle_and_notes
from hybrid_control.sim.robots.holonomic import Holonomic
from hybrid_control.sim.robots.rover import Rover

BODY = '<collision><origin xyz="0 0 0.1"/><geometry><box size="0.6 0.4 0.2"/></geometry></collision>'
CORNERS = {"fl": (0.2, 0.15), "fr": (0.2, -0.15), "rl": (-0.2, 0.15), "rr": (-0.2, -0.15)}
GAZEBO = '<gazebo><plugin filename="{file}" name="{name}">{more}</plugin></gazebo>'


def read(tmp_path, text, name="mule.urdf", options=""):
    (tmp_path / name).write_text(text)
    return vehicle_and_notes(f"{tmp_path / name}{options}")


def wheel(name, x, y):
    return f"""<link name="{name}"><inertial><mass value="0.5"/></inertial><collision><origin rpy="1.5707963 0 0"/>
      <geometry><cylinder radius="0.08" length="0.05"/></geometry></collision></link><joint name="{name}_joint"
      type="continuous"><parent link="base_link"/><child link="{name}"/><origin xyz="{x} {y} 0"/><axis xyz="0 1 0"/>
      <limit effort="4" velocity="10"/></joint>"""


def urdf(prefix="", more=""):
    wheels = "".join(wheel(f"{name}{prefix}", *at) for name, at in CORNERS.items())
    mass = '<inertial><mass value="8"/></inertial>'
    return f'<robot name="mule"><link name="base_link">{mass}{BODY}</link>{wheels}{more}</robot>'


def bare(before="", after=""):
    return f'<robot name="mule">{before}<link name="base_link">{BODY}</link>{after}</robot>'


def says(notes, words):
    return any(words in note for note in notes)


# -- wheels -----------------------------------------------------------------------------------------------------------


def test_four_wheels_with_gazebos_mecanum_drive_have_its_numbers(tmp_path):
    numbers = "<wheelbase>0.41</wheelbase><wheel_separation>0.31</wheel_separation><wheel_radius>0.081</wheel_radius>"
    numbers += "<max_linear_velocity>0.7</max_linear_velocity>"
    drive = GAZEBO.format(file="gz-sim-mecanum-drive-system", name="gz::sim::systems::MecanumDrive", more=numbers)
    robot, notes = read(tmp_path, urdf(more=drive))
    assert isinstance(robot, Holonomic)
    assert (robot.wheelbase, robot.track, robot.wheel_radius, robot.max_speed) == (0.41, 0.31, 0.081, 0.7)
    assert says(notes, "mule.urdf moves in any direction, by plugin gz::sim::systems::MecanumDrive")


def test_four_wheels_that_are_called_mecanum_have_the_numbers_of_their_places_and_joints(tmp_path):
    robot, notes = read(tmp_path, urdf("_mecanum_wheel"))
    assert isinstance(robot, Holonomic)
    assert (robot.wheelbase, robot.track, robot.wheel_radius) == pytest.approx((0.4, 0.3, 0.08))
    # aslant a wheel's rim goes by sqrt(2) of the speed: 10 rad/s · 0.08 m / sqrt(2)
    assert robot.max_speed == pytest.approx(0.8 / math.sqrt(2.0))
    # each wheel's own torque and mass, and a lever of (0.4 + 0.3) / 2
    assert (robot.wheel_effort, robot.wheel_mass, robot.mass) == (4.0, 0.5, 10.0)
    assert robot.max_yaw_rate == pytest.approx(robot.max_speed / 0.35)
    assert says(notes, "by the name of fl_mecanum_wheel")


def test_four_wheels_of_which_nothing_says_it_are_two_sides_unless_a_person_does(tmp_path):
    robot, notes = read(tmp_path, urdf())
    assert type(robot) is Rover
    assert says(notes, "four driven wheels in mule.urdf: taken not to move it sideways; --robot mule.urdf,holonomic=1")
    robot, notes = read(tmp_path, urdf(), options=",holonomic=1,max_speed=0.6")
    assert isinstance(robot, Holonomic)
    assert (robot.wheelbase, robot.max_speed) == (pytest.approx(0.4), 0.6)
    assert says(notes, "moves in any direction, as was said")
    robot, notes = read(tmp_path, urdf("_mecanum"), options=",holonomic=0")
    assert type(robot) is Rover
    assert not says(notes, "sideways")


def rollers(aslant):
    """An MJCF of four wheels with eight rollers each; aslant: of their axes to the wheel's, x for 1 of y."""
    wheels = ""
    for name, (x, y) in CORNERS.items():
        bodies = ""
        for k in range(8):
            a = k * math.pi / 4
            bodies += f"""<body pos="{0.06 * math.sin(a)} 0 {0.06 * math.cos(a)}" euler="0 {45 * k} 0">
              <joint type="hinge" axis="{aslant} 1 0"/><geom type="sphere" size="0.02" mass="0.02"/></body>"""
        wheels += f"""<body name="{name}" pos="{x} {y} 0"><joint type="hinge" axis="0 1 0"/>
          <geom type="cylinder" size="0.03 0.01" euler="90 0 0" mass="0.3" contype="0" conaffinity="0"/>
          {bodies}</body>"""
    return f"""<mujoco model="mule"><worldbody><body name="base" pos="0 0 0.08"><freejoint/>
      <geom type="box" size="0.3 0.15 0.05" pos="0 0 0.05" mass="8"/>{wheels}</body></worldbody></mujoco>"""


def test_rollers_aslant_on_wheels_make_them_mecanum_wheels(tmp_path):
    robot, notes = read(tmp_path, rollers(1), "mule.xml")
    assert isinstance(robot, Holonomic)
    # the rollers' middles on a circle of 0.06, and their 0.02
    assert robot.wheel_radius == pytest.approx(0.08)
    assert robot.mass == pytest.approx(8.0 + 4 * (0.3 + 8 * 0.02))
    assert says(notes, "by 8 rollers aslant on fl")


# -- a base that is moved itself --------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["libgazebo_ros_planar_move.so", "gz-sim-velocity-control-system"])
def test_a_plugin_that_moves_the_base_moves_it_about_base_link_whatever_wheels_it_has(file, tmp_path):
    plugin = GAZEBO.format(file=file, name="moves", more="<odometryRate>40</odometryRate>")
    robot, notes = read(tmp_path, bare(after=plugin))
    assert isinstance(robot, Holonomic)
    # no wheels: 0.8 of length and width between them
    assert (robot.wheelbase, robot.track, robot.odometry_rate) == pytest.approx((0.48, 0.32, 40.0))
    assert says(notes, "by plugin moves")
    assert says(notes, "whatever it stands on")
    assert not says(notes, "as on two")
    ahead = urdf(more=plugin).replace('xyz="0.2', 'xyz="0.25')
    assert read(tmp_path, ahead)[0].outline_x == pytest.approx(0.015)  # -0.3 .. 0.33 about base_link


PLANAR = """<mujoco model="mule"><worldbody><geom type="plane" size="5 5 1"/>{0}
  <geom type="box" size="0.3 0.2 0.1" pos="0 0 0.1" mass="20"/>{1}</worldbody><actuator>
  <velocity joint="x" kv="1" ctrlrange="-0.8 0.8"/><velocity joint="y" kv="1" ctrlrange="-0.6 0.6"/>
  <velocity joint="yaw" kv="1" ctrlrange="-1.5 1.5"/></actuator></mujoco>"""
X, Y, YAW = (
    f'<joint name="{name}" type="{kind}" axis="{axis}"/>'
    for name, kind, axis in (("x", "slide", "1 0 0"), ("y", "slide", "0 1 0"), ("yaw", "hinge", "0 0 1"))
)
SMALL = '<inertial pos="0 0 0" mass="0.1" diaginertia="1 1 1"/>'


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (f'<body name="base">{X}{Y}{YAW}', "</body>"),
        (f"<body>{X}{SMALL}<body>{Y}{SMALL}<body>{YAW}", "</body></body></body>"),
    ],
)
def test_a_mujoco_base_that_slides_along_x_and_y_and_turns_is_one_with_its_actuators_speeds(begin, end, tmp_path):
    robot, notes = read(tmp_path, PLANAR.format(begin, end), "mule.xml")
    assert isinstance(robot, Holonomic)
    assert (robot.length, robot.width) == pytest.approx((0.6, 0.4))
    assert (robot.max_speed, robot.max_yaw_rate) == (0.6, 1.5)  # that of any direction: the lower
    assert says(notes, "joints that slide in the plane and turn")


def test_joints_that_do_not_span_the_plane_make_none(tmp_path):
    begin = f'<body name="base">{X}{YAW}'
    text = PLANAR.format(begin, "</body>").replace('<velocity joint="y" kv="1" ctrlrange="-0.6 0.6"/>', "")
    robot, notes = read(tmp_path, text, "mule.xml")
    assert type(robot) is Rover
    assert says(notes, "no wheels in mule.xml: it is taken to move as on two")


@pytest.mark.parametrize(
    "joints",
    [
        (("planar", "0 0 1"),),
        (("prismatic", "1 0 0"), ("prismatic", "0 1 0"), ("continuous", "0 0 1")),
    ],
)
def test_a_urdf_on_a_planar_joint_or_on_sliding_ones_is_one(joints, tmp_path):
    names = ["world", *(f"carriage{k}" for k in range(len(joints) - 1)), "base_link"]
    chain = "".join(f'<link name="{name}"/>' for name in names[:-1])
    for k, (kind, axis) in enumerate(joints):
        chain += f"""<joint name="j{k}" type="{kind}"><parent link="{names[k]}"/><child link="{names[k + 1]}"/>
          <axis xyz="{axis}"/><limit lower="-9" upper="9" effort="1" velocity="1"/></joint>"""
    assert isinstance(read(tmp_path, bare(chain))[0], Holonomic)
    assert type(read(tmp_path, bare(chain), options=",holonomic=0")[0]) is Rover


def test_a_base_without_wheels_and_without_any_sign_is_still_on_two_and_says_how_to_tell(tmp_path):
    robot, notes = read(tmp_path, bare())
    assert type(robot) is Rover
    assert says(notes, "taken to move as on two, 0.32 m apart, under base_link; --robot mule.urdf,holonomic=1 where")


@pytest.mark.parametrize("text", ["holonomic=2", "holonomic=-1"])
def test_another_number_for_it_is_refused_in_a_line(text, tmp_path):
    with pytest.raises(ValueError, match="expected 1 where it moves sideways, 0 where not"):
        read(tmp_path, bare(), options=f",{text}")
    with pytest.raises(ValueError, match="robot 'jackal' has no number 'holonomic'"):
        vehicle(f"jackal,{text}")


# -- driven -----------------------------------------------------------------------------------------------------------


def test_the_reflex_drives_a_file_of_a_planar_base_to_its_goal(tmp_path):
    file = tmp_path / "mule.xml"
    file.write_text(PLANAR.format(f'<body name="base">{X}{Y}{YAW}', "</body>"))
    (scene,) = load_scenes("open,length=3:1")
    harness = Harness(Setup(robot=f"{file},acceleration=1.5", level="kinematic"))
    assert harness.told.reflex_settings["holonomic"]
    assert harness.run("reflex", scene, 0, 0)["success"]
