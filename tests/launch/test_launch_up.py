"""`hybrid-control up`: two robots in one launch, deaths and restarts, the topics as README says, Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from geometry_msgs.msg import TwistStamped
from hybrid_control_msgs.msg import ReflexStatus, SimState
from launch_recording import two_scans
from launch_topics import tables
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ros_graph import takes_signals
from ros_models import write_model

from firmware_bridge.boards.emulated import emulated_config
from firmware_bridge.boards.registry import format_config
from hybrid_control.bringup import kinds
from hybrid_control.bringup.node_parameters import NODES
from hybrid_control.navigation.sensors import read_sources
from hybrid_control.sim.robots.burger import BURGER
from hybrid_control.sim.robots.car import CAR
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.mecanum import MECANUM
from hybrid_control.sim.robots.quad import QUAD
from hybrid_control.sim.robots.transport import TRANSPORT

UP = ("-m", "hybrid_control", "up")


def pids(process) -> dict[str, int]:
    """The processes that `up` has started, by node and namespace such as /r1/reflex_node."""
    found = {}
    tasks = Path(f"/proc/{process.popen.pid}/task")
    for child in {int(c) for task in tasks.iterdir() for c in (task / "children").read_text().split()}:
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        if "hybrid_control_ros" in words:
            space = next((w.removeprefix("__ns:=") for w in words if w.startswith("__ns:=")), "")
            found[f"{space}/{words[words.index('hybrid_control_ros') + 1]}"] = child
    return found


def test_launch_two_robots_in_one_launch_do_not_disturb_each_other_and_a_death_means_stop_then_restart(
    graph, command
):
    up = command(*UP, "sim", "--world", "default", "--namespace", "r1", "--namespace", "r2")
    state = {n: graph.collect(SimState, f"/{n}/sim/state") for n in ("r1", "r2")}
    status = {n: graph.collect(ReflexStatus, f"/{n}/reflex/status") for n in ("r1", "r2")}
    speed = {n: graph.collect(TwistStamped, f"/{n}/cmd_vel") for n in ("r1", "r2")}
    graph.until(
        lambda: all(s and s[-1].path_length > 0.3 for s in state.values()),
        100,
        "both drive to the world's goal",
    )

    # every topic of README is there, in each namespace, with its type and quality of service, and no other
    default, _ = tables()
    infrastructure = {"/rosout", "/parameter_events"}
    for space in ("/r1/", "/r2/"):
        for name, row in default.items():
            topic = name if name.startswith("/") else space + name
            ends = graph.until(lambda t=topic: graph.tester.get_publishers_info_by_topic(t), 10, topic)
            assert {end.topic_type.replace("/msg/", "/") for end in ends} <= row.types, topic
            assert all(row.offered(end.qos_profile) for end in ends), (topic, row.quality)
            listeners = graph.tester.get_subscriptions_info_by_topic(topic)
            assert all(row.heard(end.qos_profile) for end in listeners), (topic, row.quality)
        infrastructure |= {f"{space}{node}/transition_event" for node in NODES}
        # open, and silent, while there is no planner of contract 2
        infrastructure |= {f"{space}planner/{name}" for name in ("directions", "hidden", "closed")}
    written = {
        name if name.startswith("/") else space + name for name in default for space in ("/r1/", "/r2/")
    }
    there = {name for name, _ in graph.tester.get_topic_names_and_types()}
    assert there - infrastructure == written

    # the reflex of one dies: that one stops, the other drives on
    before = state["r2"][-1].path_length
    first = pids(up)
    os.kill(first["/r1/reflex_node"], signal.SIGKILL)
    died = time.monotonic()
    graph.until(lambda: abs(speed["r1"][-1].twist.linear.x) < 1e-9, 5, "zero commands in the reflex's place")
    assert time.monotonic() - died < 2.0
    graph.until(lambda: state["r2"][-1].path_length > before + 0.5, 20, "the other robot drives on")
    graph.until(lambda: abs(state["r1"][-1].linear_x) < 0.02, 10, "the robot stands")
    stood = state["r1"][-1].path_length
    # its planner dies too, and both are brought back; without a new goal the robot stays where it is
    os.kill(first["/r1/planner_node"], signal.SIGKILL)
    graph.until(lambda: status["r1"][-1].arrival > died + 1.5, 60, "a new reflex")
    graph.until(lambda: pids(up).get("/r1/planner_node", 0) not in (0, first["/r1/planner_node"]), 60)
    time.sleep(1.0)
    assert status["r1"][-1].mode == ReflexStatus.STOPPED
    assert status["r1"][-1].reason == "no goal yet"
    assert state["r1"][-1].path_length - stood < 0.02
    assert {k: v for k, v in pids(up).items() if k.startswith("/r2")} == {
        k: v for k, v in first.items() if k.startswith("/r2")
    }

    result, seconds = up.interrupt()
    assert result == 0
    assert seconds < 2.0
    assert "Traceback" not in up.output
    assert not [c for c in state.values() if c[-1].contacts]
    for name in ("r1", "r2"):
        assert speed[name][-1].twist.linear.x == 0.0 == speed[name][-1].twist.angular.z


def test_launch_up_says_to_systemd_when_all_is_active_and_then_as_long_as_the_reflex_ticks(
    graph, command, tmp_path
):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(90.0)
        up = command(*UP, "sim", "--world", "default", NOTIFY_SOCKET=str(tmp_path / "notify"))
        status = graph.collect(ReflexStatus, "/reflex/status")

        def heard(seconds):
            """What is said in so many seconds."""
            words, end = [], time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                systemd.settimeout(left)
                with contextlib.suppress(TimeoutError):
                    words.append(systemd.recv(100))
            return words

        before = []
        while (word := systemd.recv(100)) != b"READY=1":
            before.append(word)
            assert up.popen.poll() is None, up.output
        assert set(before) <= {b"WATCHDOG=1"}  # bring-up is alive too
        graph.until(lambda: status and status[-1].mode == ReflexStatus.HYBRID)
        heard(0.01)  # what came while it was waited for
        alive = heard(4.5)
        assert set(alive) == {b"WATCHDOG=1"}
        assert 3 <= len(alive) <= 5
        # a reflex that is held up says nothing more, and so does `up`
        reflex = pids(up)["/reflex_node"]
        os.kill(reflex, signal.SIGSTOP)
        heard(2.5)
        assert heard(2.5) == []
        os.kill(reflex, signal.SIGCONT)
        assert b"WATCHDOG=1" in heard(4.0)
        # one that has died is brought up anew, which is a sign of life
        os.kill(reflex, signal.SIGKILL)
        assert len(heard(4.0)) >= 2
        assert up.interrupt()[0] == 0


def test_launch_ctrl_c_while_it_starts_ends_everything_within_two_seconds(graph, command):
    for delay in (0.0, 1.0, 2.5):
        up = command(*UP, "sim", "--namespace", f"n{delay * 10:.0f}")
        graph.until(lambda pid=up.popen.pid: takes_signals(pid), 20, "it is up to `up` how it ends")
        time.sleep(delay)
        children = list(pids(up).values())
        result, seconds = up.interrupt()
        assert seconds < 2.0
        assert result in (0, 130)
        assert "Traceback" not in up.output
        assert not [c for c in children if Path(f"/proc/{c}/cmdline").exists()]


def test_launch_ctrl_c_while_a_node_is_configured_ends_it_within_two_seconds(graph):
    # the board's emulator is not there, and is waited for a minute
    waiting = graph.run(
        "board_bridge_node",
        "-p",
        "backend:=loihi",
        "-p",
        f"connection:={format_config(emulated_config('loihi'))}",
    )
    change = graph.tester.create_client(ChangeState, "/board_bridge_node/change_state")
    graph.until(change.service_is_ready, 30, "the node")
    configured = change.call_async(
        ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    )
    time.sleep(1.0)
    assert not configured.done()
    result, seconds = waiting.interrupt()
    assert seconds < 2.0
    assert result == 0
    assert "Traceback" not in waiting.output


def test_launch_every_kind_of_graph_comes_up_and_every_program_ends_on_ctrl_c_within_two_seconds(
    graph, command, tmp_path
):
    recording = two_scans(tmp_path / "two.mcap")
    kinds = (
        ("robot", "--base", "direct", "--port", "tcp://127.0.0.1:9", "--namespace", "rover"),
        ("drone", "--address", "udpout:127.0.0.1:9", "--composed", "--namespace", "drone"),
        ("replay", "--file", recording, "--loop", "--composed", "--namespace", "replay"),
    )
    programs = {
        "firmware_bridge_node": ("-p", "port:=tcp://127.0.0.1:9"),
        "board_bridge_node": ("-p", f"connection:={format_config(emulated_config('spinnaker'))}"),
        "reflex_board_node": ("-p", "backend:=spinnaker"),
    }
    ups = [command(*UP, *words) for words in kinds]
    alone = {
        # each where it is the only one: reflex_board_node has a board_bridge_node in it
        name: graph.run(name, *more, "-p", "autostart:=true", "-r", f"__ns:=/{name}")
        for name, more in programs.items()
    }
    for up in ups:
        graph.until(lambda up=up: "4 nodes are active" in up.output, 60, "all are active")
    for name in alone:
        node = "reflex_node" if name == "reflex_board_node" else name
        graph.until(lambda n=node, at=name: graph.state(f"/{at}/{n}") == "active", 60, name)
    for process in [*ups, *alone.values()]:
        children = list(pids(process).values())
        result, seconds = process.interrupt()
        assert seconds < 2.0
        assert result == 0
        assert "Traceback" not in process.output
        assert not [c for c in children if Path(f"/proc/{c}/cmdline").exists()]


def test_launch_topics_of_a_robot_have_the_names_that_they_are_given(graph, command):
    moved = "scan:=front/scan; odom:=/platform/odom; goal_pose:=goal"
    up = command(*UP, "sim", "--world", "open", "--namespace", "r", "--remap", moved)
    state = graph.collect(SimState, "/r/sim/state")
    graph.until(lambda: state and state[-1].path_length > 0.3, 60, "it drives to the goal that was told")
    topics = {name for name, _ in graph.tester.get_topic_names_and_types()}
    assert {"/r/front/scan", "/platform/odom", "/r/goal"} <= topics
    assert not {"/r/scan", "/r/odom", "/r/goal_pose"} & topics
    assert up.interrupt()[0] == 0


def test_launch_graph_of_a_simulated_drone_has_a_reflex_that_flies_as_one(tmp_path):
    settings = {"holonomic", "hover_height", "robot_length", "robot_width"}
    reflex = kinds.build("sim", {"robot": "quad"}).values("reflex_node")
    assert {name: reflex[name] for name in (*settings, "open_space")} == QUAD.reflex_settings
    # a file that knows of drones is believed
    file = tmp_path / "mine.yaml"
    file.write_text("reflex_node: {ros__parameters: {holonomic: true, hover_height: 1.5}}\n")
    reflex = kinds.build("sim", {"robot": "quad", "params_file": str(file)}).values("reflex_node")
    assert reflex["hover_height"] == 1.5
    assert not kinds.build("sim").values("reflex_node")["holonomic"]


@pytest.mark.parametrize("robot", [MECANUM, BURGER, TRANSPORT, CAR], ids=lambda robot: robot.name)
def test_launch_a_simulated_robot_is_driven_by_its_own_numbers_unless_a_file_of_the_users_says_others(
    robot, tmp_path
):
    reflex = kinds.build("sim", {"robot": robot.name}).values("reflex_node")
    numbers = {**robot.reflex_settings, **robot.reflex_gains}
    assert {name: reflex[name] for name in numbers} == pytest.approx(numbers)
    mine = tmp_path / "mine.yaml"
    mine.write_text("reflex_node: {ros__parameters: {max_speed: 0.1}}\n")
    reflex = kinds.build("sim", {"robot": robot.name, "params_file": str(mine)}).values("reflex_node")
    assert (reflex["max_speed"], reflex["robot_length"]) == (0.1, pytest.approx(robot.length))


def test_launch_graph_with_a_learner_lets_the_reflex_see_by_it_and_plans_pass_through_it(tmp_path):
    graph = kinds.build("sim", {"learner": "puddle=avoid"})
    assert [*graph.managed] == ["planner_node", "rate_to_spike_node", "learner_node", "reflex_node", "sim_node"]
    sensors = read_sources(str(graph.values("reflex_node")["sensors"]))
    assert [(s.topic, s.kind) for s in sensors] == [("scan", "laser"), ("learner/ground", "ground")]
    remapped = {p.name: p.remappings for p in graph.programs}
    assert remapped["planner_node"] == ()
    assert graph.values("planner_node")["route_scan"] == "learner/scan"  # and by `scan` it is judged
    assert remapped["rate_to_spike_node"] == (("planner/rates", "learner/plan"),)
    learner = graph.values("learner_node")
    assert learner["effects"] == "puddle=avoid"
    assert learner["camera_z"] == JACKAL.camera_z
    assert (learner["robot_length"], learner["robot_width"]) == (JACKAL.length, JACKAL.width)
    # one that dies does not come back with nothing in its memory
    assert not next(p for p in graph.programs if p.name == "learner_node").restart
    # another robot's own sensors stay, and so do its names for topics
    file = tmp_path / "mine.yaml"
    file.write_text("reflex_node: {ros__parameters: {sensors: depth/image depth x=0.2, lidar_x: 0.1}}\n"
                    "learner_node: {ros__parameters: {memory_file: known.npz}}\n")
    words = {"learner": "mud=slow", "params_file": str(file), "remap": "scan:=front/scan", "base": "none"}
    graph = kinds.build("robot", words)
    assert graph.values("reflex_node")["sensors"] == "depth/image depth x=0.2; learner/ground ground timeout=0.5"
    assert graph.values("learner_node")["lidar_x"] == 0.1
    assert next(p for p in graph.programs if p.name == "learner_node").restart
    planner = next(p for p in graph.programs if p.name == "planner_node")
    assert planner.remappings == (("scan", "front/scan"),)
    assert planner.nodes["planner_node"]["route_scan"] == "learner/scan"
    assert "learner_node" not in kinds.build("sim").managed
    for words, said in (
        ({"learner": "puddle"}, "learner: effects: 'puddle'; expected CLASS=EFFECT"),
        ({"learner": "puddle=avoid", "composed": "true"}, "it can't be had with composed"),
    ):
        with pytest.raises(ValueError, match=said):
            kinds.build("sim", words)


def test_launch_reflex_knows_the_camera_of_a_planner_that_may_close_directions_but_what_flies_does_not_listen(tmp_path):
    file = tmp_path / "closing.onnx"
    write_model(file, closed=np.zeros((4, 72)))

    def planned(kind, **words):
        graph = kinds.build(kind, {"model_file": str(file), **words})
        # a planner that died is brought back: the reflex remembers what it saw
        assert next(p for p in graph.programs if "planner_node" in p.nodes).restart
        return graph.values("planner_node"), graph.values("reflex_node")

    mine = tmp_path / "mine.yaml"
    mine.write_text("reflex_node: {ros__parameters: {camera_z: 0.4, directions_timeout: 2.0}}\n")
    for kind, words, height in (
        ("sim", {}, JACKAL.camera_z),
        ("sim", {"composed": "true"}, JACKAL.camera_z),
        ("robot", {"base": "none", "params_file": str(mine)}, 0.4),
    ):
        planner, reflex = planned(kind, **words)
        assert (planner["camera_z"], reflex["camera_z"], planner["robot_length"]) == (height, height, JACKAL.length)
        assert (reflex["sensors"], reflex["directions_reach"]) == ("scan laser", 2.0)
    assert reflex["directions_timeout"] == 2.0
    # what flies has no ground before it
    assert planned("sim", robot="quad")[1]["directions_reach"] == planned("drone")[1]["directions_reach"] == 0.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("robot", "--namespace", "7up"), "namespace: '7up' can't be one"),
        (("robot", "--params", "/nonexistent.yaml"), "params_file: /nonexistent.yaml: no such file"),
        (("robot", "--params", "rover9"), "params_file: no 'rover9' in config/, there are"),
        (("robot", "--model-file", "no.onnx"), "model_file: no.onnx: no such file"),
        (("robot", "--lidar", "radar"), "lidar: 'radar'; expected none,"),
        (("robot", "--lidar", "no_such/driver"), "package no_such is not installed"),
        (("sim", "--goal", "3"), "goal: '3' is no point"),
        (("robot", "--remap", "scan=front"), "remap: 'scan=front'; expected FROM:=TO"),
        (("robot", "--remap", "cmd_vel:=x"), "remap: cmd_vel has an argument of its own"),
        (("replay",), "file: expected a recording"),
        (("sim", "--namespace", "a", "--namespace", "a"), "the same one stands twice"),
    ],
)
def test_launch_up_refuses_a_mistake_in_one_line_with_status_2(words, said, capsys, monkeypatch):
    from hybrid_control.cli import main

    monkeypatch.setenv("ROS_DOMAIN_ID", "99")
    assert main(["up", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_launch_a_depth_camera_is_simulated_where_the_planner_takes_depths(tmp_path):
    file, plain = tmp_path / "depth.onnx", tmp_path / "plain.onnx"
    write_model(file, closed=np.zeros((4, 72)), depth=True)
    write_model(plain, closed=np.zeros((4, 72)))

    def drawn(model, **words):
        return kinds.build("sim", {"model_file": str(model), **words}).values("sim_node")["depth"]

    assert drawn(file)
    assert drawn(file, composed="true")
    assert not drawn(plain)
