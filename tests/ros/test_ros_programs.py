"""The executables as a user meets them: exit status, what they say, how they end."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from ros_models import write_model

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from diagnostic_msgs.msg import DiagnosticArray
from hybrid_control_ros import main

NODE = "rate_to_spike_node"  # the one that starts soonest; what is tested here is the same code in all
SHARED_MEMORY = Path("/dev/shm")


WRONG = [
    (["-p", "windw:=0.01"], "unknown parameter 'windw'; did you mean 'window'?"),
    (["-p", "window:=1.0"], "window: 1.0 is out of range, expected 0.001 .. 0.1 s"),
    (["-p", "window:=[0.01]"], "window: [0.01] is a list, expected float"),
    (["-p", "window:=soon"], "window: 'soon' is a str, expected float"),
    (["-p", "window:=.nan"], "window: nan is out of range, expected 0.001 .. 0.1 s"),
    (["-p", "code:=morse"], "code: 'morse' is unknown, expected poisson | regular | latency"),
    (["-p", "use_sim_time:=1"], "use_sim_time must be true or false"),
    (["--params-file", "/nonexistent.yaml"], "Couldn't parse params file: '--params-file /nonexistent.yaml'"),
    (["--no-such-thing"], "--no-such-thing"),
]


def test_ros_program_refuses_each_wrong_argument_in_one_line(graph):
    processes = [graph.run(NODE, *arguments) for arguments, _ in WRONG]
    for process, (_, said) in zip(processes, WRONG, strict=True):
        assert process.wait(60) == 2
        (line,) = [line for line in process.lines if line.startswith(f"{NODE}: ")]
        assert said in line
        assert "Traceback" not in process.output


def test_ros_program_refuses_a_file_with_an_unknown_key_and_takes_one_without(graph, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text("/**/rate_to_spike_node:\n  ros__parameters: {code: regular, cdoe: latency}\n")
    wrong = graph.run(NODE, "--params-file", str(file))
    right = tmp_path / "right.yaml"
    right.write_text("/**/rate_to_spike_node:\n  ros__parameters: {code: regular, window: 0.02, seed: 3}\n")
    process = graph.run(NODE, "--params-file", str(right), "-r", "__ns:=/robot1")
    assert wrong.wait() == 2
    assert wrong.lines == ["rate_to_spike_node: unknown parameter 'cdoe'; did you mean 'code'?"]
    assert [graph.get(f"/robot1/{NODE}", name) for name in ("code", "window", "seed")] == ["regular", 0.02, 3]
    process.kill()


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="no shared memory in files here")
def test_ros_program_is_not_held_up_by_what_a_killed_one_left_in_shared_memory(graph):
    # by the DDSI-RTPS rules these are the ports of the domain's first participants, by which Fast DDS names its files;
    # whoever is killed while it makes one leaves it like this, and who opens it waits for ever
    ports = range(7400 + 250 * graph.domain + 10, 7400 + 250 * graph.domain + 30)
    files = [file for port in ports if not (file := SHARED_MEMORY / f"fastrtps_port{port}").exists()]
    try:
        for file in files:
            file.write_bytes(bytes(4096))
        graph.run(NODE)
        graph.until(lambda: graph.state(NODE) == "unconfigured")
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def test_ros_program_ends_on_a_signal_within_two_seconds_without_a_traceback(graph):
    kinds = (signal.SIGINT, signal.SIGTERM)
    processes = [graph.run(NODE, "-p", "autostart:=true", "-r", f"__ns:=/{kind.name}") for kind in kinds]
    for kind, process in zip(kinds, processes, strict=True):
        graph.until(lambda n=kind.name: graph.state(f"/{n}/{NODE}") == "active")
        status, seconds = process.interrupt(kind)
        assert status == 0
        assert seconds < 2.0
        assert process.lines == []


def test_ros_program_ends_on_ctrl_c_while_it_starts(graph):
    begun = time.monotonic()
    started = {delay: graph.run(NODE, "-r", f"__node:=node{delay * 10:.0f}") for delay in (0.3, 0.8, 1.6)}
    for delay, process in started.items():
        time.sleep(max(0.0, begun + delay - time.monotonic()))
        status, seconds = process.interrupt()
        assert seconds < 2.0
        # before main() took over, Python's own way of ending is all there is
        assert status in ((0, -signal.SIGINT, 1) if delay < 0.5 else (0,))


def test_ros_second_node_of_the_same_name_is_refused_and_the_first_lives_on(graph):
    first = graph.run(NODE)
    assert graph.state(NODE) == "unconfigured"
    second = graph.run(NODE)
    graph.run(NODE, "-r", "__ns:=/robot2")
    assert second.wait() == 2
    assert second.lines == [
        "rate_to_spike_node: a node /rate_to_spike_node is already running; "
        "end it, or give this one another name (-r __node:=...) or namespace (-r __ns:=...)"
    ]
    assert graph.state(NODE) == "unconfigured"
    assert graph.state(f"/robot2/{NODE}") == "unconfigured"
    first.kill()
    # the graph still shows the one that was killed; its name is free all the same
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    graph.run(NODE, "-p", "autostart:=true")
    graph.until(
        lambda: any(s.name == NODE and s.values[0].value == "active" for m in diagnostics for s in m.status)
    )


def test_ros_program_that_had_to_wait_for_a_processor_gives_the_others_as_much_longer_to_be_heard_of():
    assert main._waited(1.0, 1.0) == main._waited(0.5, 1.0) == 1.0
    assert main._waited(1.0, 0.5) == 2.0
    assert main._waited(20.0, 0.5) == main._waited(1.0, 0.0) == 3.0


def test_ros_node_answers_a_transition_that_is_not_possible_and_lives_on(graph):
    process = graph.run(NODE)
    assert not graph.transition(NODE, "activate")
    assert graph.transition(NODE, "configure")
    assert not graph.transition(NODE, "configure")
    assert process.popen.poll() is None
    assert graph.state(NODE) == "inactive"


def test_ros_planner_with_a_model_that_is_missing_or_breaks_the_contract_says_so_and_does_not_start(
    graph, tmp_path
):
    broken = tmp_path / "broken.onnx"
    write_model(broken, heading_neurons=71)
    process = graph.run("planner_node", "-p", f"model_file:={broken}")
    missing = graph.run(
        "planner_node", "-p", "model_file:=/nonexistent.onnx", "-p", "autostart:=true", "-r", "__ns:=/robot2"
    )
    assert not graph.transition("planner_node", "configure")
    assert graph.state("planner_node") == "unconfigured"
    graph.until(lambda: "configure failed" in process.output)
    (line,) = [line for line in process.lines if "configure failed" in line]
    assert "output 'heading' has shape [1, 71]" in line
    assert "Traceback" not in process.output
    assert missing.wait() == 2
    assert "/nonexistent.onnx: no such file" in missing.lines[0]
    assert missing.lines[1:] == ["planner_node: planner_node could not start; the reason stands above"]
