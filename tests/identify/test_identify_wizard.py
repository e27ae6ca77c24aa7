"""`hybrid-control new-robot`: asked at a terminal or not at all, and a file that launches and drives."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.bringup import kinds
from hybrid_control.bringup.node_parameters import NODES
from hybrid_control.bringup.parameter_files import read_stated, read_yaml, refresh, to_yaml
from hybrid_control.bringup.questions import QUESTIONS
from hybrid_control.cli import main
from hybrid_control.navigation.drive import Navigator, drive
from hybrid_control.navigation.reflex.gains import GAINS, SETTINGS
from hybrid_control.parameters import ParameterError
from hybrid_control.sim.kinematic import KinematicSimulator
from hybrid_control.sim.robots import vehicle
from hybrid_control.sim.worlds import load_world

RULED = ("robot_length=0.4", "robot_width=0.3", "max_speed=0.5", "max_yaw_rate=1.2")


def words(*answers):
    return [word for answer in answers for word in ("--set", answer)]


@contextlib.contextmanager
def terminal(monkeypatch, *lines, ends=False):
    """sys.stdin is a terminal at which these lines were typed; ends: and then the end of input."""
    master, slave = pty.openpty()
    typed = "".join(f"{line}\n" for line in lines) + ("\x04" if ends else "")
    os.write(master, typed.encode())
    with os.fdopen(slave, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        try:
            yield master
        finally:
            os.close(master)


@pytest.fixture
def no_terminal(monkeypatch):
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield


def refusal(arguments, capsys):
    assert main(["new-robot", *map(str, arguments)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hybrid-control: ")
    assert said.count("\n") == 1
    return said.removeprefix("hybrid-control: ").rstrip()


def test_a_file_by_the_simulator_launches_and_drives_the_robot_to_its_goal(tmp_path, no_terminal, capsys):
    file = tmp_path / "mine.yaml"
    arguments = ["new-robot", str(file), "--robot", "jackal", "--yes", *words("max_speed=1.0")]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert f"hybrid-control sim --robot jackal --params {file}" in said
    assert sorted(os.listdir(tmp_path)) == ["mine.yaml"]

    # what the launch file and `up` check
    graph = kinds.build("robot", {"params_file": str(file), "base": "none"})
    reflex = graph.values("reflex_node")
    assert graph.values("planner_node")["robot_width"] == reflex["robot_width"] == 0.43
    assert (reflex["max_speed"], reflex["open_space"]) == (1.0, False)
    assert reflex["max_acceleration"] == pytest.approx(
        0.8 * 3.0, abs=0.03
    )  # of its acceleration, the lower one
    assert "firmware_bridge_node" not in read_yaml(file)

    robot, seed = vehicle("jackal"), 1
    stated = read_stated(file)["reflex_node"]
    by = {
        kind: {p.name: stated[p.name] for p in known if p.name in stated}
        for kind, known in (("settings", SETTINGS), ("gains", GAINS))
    }
    navigator = Navigator(None, robot, settings=by["settings"], gains=by["gains"])
    world = load_world("default", seed)
    episode = drive(navigator, KinematicSimulator(world, robot, seed), robot, None, seed)
    assert episode.success


def test_the_file_of_a_mecanum_base_makes_the_reflex_drive_it_sideways(tmp_path, no_terminal, capsys):
    file = tmp_path / "mine.yaml"
    assert main(["new-robot", str(file), "--robot", "mecanum", "--measure", "no", "--yes"]) == 0
    reflex = read_yaml(file)["reflex_node"]
    # 0.2 s of delay, and 0.5 · 1 m/s over 0.8 of 2 m/s²
    assert (reflex["holonomic"], reflex["response_time"]) == (True, 0.52)
    assert "Parameters of a mecanum robot" in file.read_text()
    capsys.readouterr()
    wheels = words("controller=vesc", "port=/dev/rover")
    assert main(["new-robot", str(file), "--force", "--robot", "mecanum", "--measure", "no", "--yes", *wheels]) == 0
    bridge = read_yaml(file)["firmware_bridge_node"]
    assert (bridge["kinematics"], bridge["wheelbase"], bridge["track"]) == ("mecanum", 0.4, 0.38)


def test_each_derived_value_stands_with_its_reason_at_the_top_and_stays_when_the_file_is_renewed(
    tmp_path, no_terminal
):
    file = tmp_path / "mine.yaml"
    assert main(["new-robot", str(file), "--yes", *words(*RULED)]) == 0
    text = file.read_text()
    head = text[: text.index("/**/")]
    values = read_yaml(file)["reflex_node"]
    for name in (
        "max_speed",
        "max_acceleration",
        "stop_distance",
        "clearance",
        "scan_timeout",
        "avoidance_distance",
    ):
        assert f"#   {name} {values[name]:g} " in head
    assert "no drive was measured" in head
    assert refresh(file) == text


def test_questions_are_asked_in_order_and_wrong_answers_are_named_and_asked_again(
    tmp_path, monkeypatch, capsys
):
    file = tmp_path / "mine.yaml"
    lines = [
        "hexapod", "drone", "omni", "skid",  # drive
        "",  # controller: none
        "40", "abc", "0.4",  # robot_length
        "0.3",  # robot_width
        "",  # outline_x
        "",  # max_speed has no default
        "0.5",
        "1.2",  # max_yaw_rate
        *[""] * 20,
    ]  # fmt: skip
    with terminal(monkeypatch, *lines):
        assert main(["new-robot", str(file)]) == 0
    said = capsys.readouterr().out
    assert "drive: 'hexapod' is unknown, expected differential | skid | mecanum | ackermann" in said
    assert "drive: this is for wheels; docs/drone.md sets up a drone" in said
    assert "drive: 'omni'; a base that moves sideways is mecanum here, whatever its wheels" in said
    assert "robot_length: 40.0 is out of range, expected 0.05 .. 5 m" in said
    assert "robot_length: 'abc' is no number; expected 0.05 .. 5 m" in said
    assert "max_speed: '' is no number; expected 0.05 .. 5 m/s" in said
    known = {"measure": "no", "drive": "skid", "controller": "none"}
    places = [said.index(f"\n{q.name}: {q.parameter.description}") for q in QUESTIONS if q.asked(known)]
    assert places == sorted(places)
    assert "port" not in said.split("next:")[0]
    reflex = read_yaml(file)["reflex_node"]
    assert (reflex["robot_length"], reflex["max_speed"], reflex["max_yaw_rate"]) == (0.4, 0.5, 1.2)


def test_what_the_description_says_is_confirmed_once_and_not_asked(tmp_path, monkeypatch, capsys):
    file = tmp_path / "mine.yaml"
    with terminal(monkeypatch, "yes", *[""] * 20):
        assert (
            main(["new-robot", str(file), "--robot", "jackal", "--measure", "no", *words("max_speed=0.7")])
            == 0
        )
    said = capsys.readouterr().out
    assert "robot_length: 0.508\n" in said
    assert "\nrobot_length: outline" not in said
    assert "\nno_echo: " in said
    assert read_yaml(file)["reflex_node"]["max_speed"] == 0.7
    # or each is asked, with the description's as the default
    with terminal(monkeypatch, "no", "", "", "0.6", *[""] * 30):
        assert main(["new-robot", str(file), "--force", "--robot", "jackal", "--measure", "no"]) == 0
    reflex = read_yaml(file)["reflex_node"]
    assert (reflex["robot_length"], reflex["robot_width"]) == (0.6, 0.43)


def test_without_a_terminal_every_answer_that_is_missing_is_named_in_one_line(tmp_path, no_terminal, capsys):
    file = tmp_path / "mine.yaml"
    said = refusal([file, *words("robot_length=0.4", "drive=ackermann", "controller=vesc")], capsys)
    assert said.startswith(
        "not said: robot_width, outline_x, max_speed, wheelbase, max_steering, braking, delay, lidar_rate"
    )
    assert said.endswith("say each by --set NAME=VALUE, or --yes for the defaults of those that have one")
    said = refusal([file, "--yes", *words("robot_length=0.4")], capsys)
    assert said == "not said: robot_width, max_speed, max_yaw_rate; say each by --set NAME=VALUE"
    assert not list(tmp_path.iterdir())


def test_the_end_of_input_or_ctrl_c_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    file = tmp_path / "mine.yaml"
    with terminal(monkeypatch, "", "", "0.4", ends=True):
        assert refusal([file], capsys) == "robot_width: the answers ended here; nothing was written"

    def ctrl_c(prompt):
        raise KeyboardInterrupt

    with terminal(monkeypatch):
        monkeypatch.setattr("builtins.input", ctrl_c)
        assert main(["new-robot", str(file)]) == 130
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_or_can_not_be_made_is_refused_before_anything_is_asked(
    tmp_path, no_terminal, capsys
):
    file = tmp_path / "mine.yaml"
    file.write_text("# mine\n")
    assert "is there already; another name, or --force" in refusal([file, "--yes", *words(*RULED)], capsys)
    assert file.read_text() == "# mine\n"
    assert "its folder does not exist" in refusal([tmp_path / "no" / "mine.yaml"], capsys)
    assert "expected the name of a YAML file" in refusal([tmp_path / "mine.txt"], capsys)
    assert main(["new-robot", str(file), "--yes", "--force", *words(*RULED)]) == 0
    assert read_yaml(file)["reflex_node"]["robot_length"] == 0.4


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (words("length=1"), "--set length=1: expected NAME=VALUE; names are drive, controller, robot_length"),
        (words("max_speed=9"), "max_speed: 9.0 is out of range, expected 0.05 .. 5 m/s"),
        (words("scan=a b"), "scan: 'a b' is no topic; expected a name such as scan"),
        (words("stamped_cmd_vel=perhaps"), "stamped_cmd_vel: 'perhaps'; expected yes or no"),
        (["--measure", "sim"], "--measure sim: needs --robot"),
        (["--measure", "floor", "--yes"], "--measure floor: moves the robot, and wants a person at a terminal"),
        (["--robot", "quad", "--yes"], "--robot quad: is a drone; docs/drone.md says"),
        (["--robot", "nobody"], "unknown robot 'nobody'"),
        (["--yes", *words(*RULED, "braking=0.13", "delay=1", "max_speed=3")], "stop_distance: "),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_written(arguments, why, tmp_path, no_terminal, capsys):
    assert refusal([tmp_path / "mine.yaml", *arguments], capsys).startswith(why)
    assert not list(tmp_path.iterdir())


def test_a_car_with_a_controller_gets_its_circle_and_a_bridge_whose_limits_lie_above_the_reflexs(
    tmp_path, no_terminal, capsys
):
    file = tmp_path / "car.yaml"
    answers = words(
        "drive=ackermann", "controller=vesc", "robot_length=0.6", "robot_width=0.3", "max_speed=1.0", "wheelbase=0.4",
        "max_steering=0.5", "wheel_radius=0.05", "track=0.25", "port=/dev/vesc", "outline_x=0.2",
    )  # fmt: skip
    assert main(["new-robot", str(file), "--yes", *answers]) == 0
    graph = kinds.build("robot", {"params_file": str(file)})
    reflex, bridge = graph.values("reflex_node"), graph.values("firmware_bridge_node")
    assert reflex["min_turning_radius"] == pytest.approx(0.4 / 0.5463, abs=1e-3)  # tan(0.5) = 0.5463
    assert reflex["max_yaw_rate"] == pytest.approx(1.0 * 0.5463 / 0.4, abs=0.01)
    assert reflex["outline_x"] == 0.2
    assert (bridge["driver"], bridge["kinematics"], bridge["port"]) == ("vesc", "ackermann", "/dev/vesc")
    assert bridge["max_speed"] > reflex["max_speed"]
    assert bridge["max_wheel_speed"] >= reflex["max_speed"] / 0.05
    assert "--base none" not in capsys.readouterr().out


def test_names_of_topics_are_told_to_the_launch_and_frames_stand_in_the_file(tmp_path, no_terminal, capsys):
    file = tmp_path / "mine.yaml"
    names = words(
        "scan=front/scan", "odom=platform/odom", "cmd_vel=base/cmd_vel", "camera=cam/image",
        "base_frame=base_footprint",
        "scan_frame=laser", "stamped_cmd_vel=no", "no_echo=zero", "compressed=yes", "drive=mecanum",
    )  # fmt: skip
    assert main(["new-robot", str(file), "--yes", *words(*RULED), *names]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "up robot" in line)
    assert "--base none --cmd-vel base/cmd_vel" in line
    assert "--remap 'scan:=front/scan; odom:=platform/odom; camera/image_raw:=cam/image'" in line
    stated = yaml.safe_load(file.read_text())
    reflex = stated["/**/reflex_node"]["ros__parameters"]
    assert (reflex["base_frame"], reflex["scan_frame"], reflex["no_echo"]) == (
        "base_footprint",
        "laser",
        "zero",
    )
    assert (reflex["stamped_cmd_vel"], reflex["holonomic"]) == (False, True)
    assert stated["/**/planner_node"]["ros__parameters"]["compressed"] is True


def test_a_file_that_the_launch_would_refuse_is_not_written(tmp_path, no_terminal, capsys):
    """A circle that the wheels can't drive: 0.4 m / tan(0.5) is 0.73 m."""
    file = tmp_path / "car.yaml"
    answers = words(
        "drive=ackermann", "controller=link", "robot_length=0.6", "robot_width=0.3", "max_speed=1.0", "wheelbase=0.4",
        "max_steering=0.5", "min_turning_radius=0.3", "wheel_radius=0.05", "track=0.25", "outline_x=0.2",
    )  # fmt: skip
    said = refusal([file, "--yes", *answers], capsys)
    assert said.startswith(f"{file}: reflex_node: min_turning_radius 0.3 m is tighter than the wheels")
    assert not list(tmp_path.iterdir())


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(QUESTIONS), st.text(max_size=300))
def test_what_is_typed_is_an_answer_that_stays_what_it_is_in_a_file_or_a_line_that_names_the_question(
    question, text
):
    refused = None
    try:
        value = question.read(text)
    except ParameterError as error:
        refused = str(error)
    if refused is not None:
        assert refused.startswith(f"{question.name}: ")
        assert "\n" not in refused
        return
    for node, known in NODES.items():
        if any(p.name == question.name and type(p.default) is type(value) for p in known):
            held = yaml.safe_load(to_yaml({node: {question.name: value}}))
            assert held[f"/**/{node}"]["ros__parameters"][question.name] == value


def test_every_question_has_a_reason_and_a_default_that_it_takes_itself():
    for question in QUESTIONS:
        assert question.why
        if question.default is not None:
            assert question.parameter.check(question.default) == question.default
    for drive_kind in ("differential", "ackermann"):
        asked = [
            q.name for q in QUESTIONS if q.asked({"drive": drive_kind, "controller": "link", "measure": "no"})
        ]
        assert len(set(asked)) == len(asked)
    assert Path(__file__).parents[2].joinpath("docs", "drone.md").is_file()
