"""`hybrid-control bench faults`: real nodes under a few faults, and the judge, who must be able to say no."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from hybrid_control.bench.fault_cable import Cable
from hybrid_control.bench.fault_kinds import KINDS, chosen
from hybrid_control.bench.fault_limits import limits_of
from hybrid_control.bench.fault_ptrace import Frozen, may_freeze
from hybrid_control.bench.fault_site import Row, judge_stop
from hybrid_control.bench.fault_truth import Sample, Stop, Truth
from hybrid_control.bench.faults import Settings, order
from hybrid_control.bringup import kinds
from hybrid_control.cli import main

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_run_campaign_of_three_faults_is_borne_and_told_in_lines_json_and_a_page(tmp_path):
    words = ["--faults", "3", "--seed", "4", "--kinds", "freeze-reflex,scan-cut,planner-rates"]
    files = ["--json", str(tmp_path / "faults.json"), "--html", str(tmp_path / "faults.html")]
    done = subprocess.run(
        [sys.executable, "-m", "hybrid_control", "bench", "faults", *words, *files],
        capture_output=True, text=True, cwd=ROOT, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" │ ok\n") == 3
    result = json.loads((tmp_path / "faults.json").read_text())
    assert result["held"]
    assert {row["kind"] for row in result["rows"]} == set(result["kinds"]) == set(words[-1].split(","))
    assert all(row["contacts"] == 0 and row["drove"] <= result["answers_s"] for row in result["rows"])
    assert result["graphs"][0]["faults"] == 3
    page = (tmp_path / "faults.html").read_text()
    assert "all held" in page
    assert all(kind in page for kind in result["kinds"])
    assert "{{" not in page


def drive(seconds_at_speed):
    """The truth of a base that drives at 1 m/s for so long after t = 10 s, and then stands."""
    truth = Truth()
    for i in range(-10, 200):
        t = i * 0.02
        speed = 1.0 if t < seconds_at_speed else 0.0
        truth.see(Sample(10.0 + t, min(t, seconds_at_speed), 0.0, 0.0, speed, 0.0, 0, max(0.0, t)))
    return truth


@pytest.mark.parametrize(
    ("moves_for", "lasts", "late", "failed", "judged"),
    [
        (0.7, 2.0, 0.0, False, True),
        # 0.25 s timeout + 0.1 s on the way + 1 m/s over 2 m/s² = 0.85 s
        (0.9, 2.0, 0.0, True, True),
        # the machine's own lateness is not the robot's
        (0.9, 2.0, 0.2, False, True),
        # a fault that was over before the limit tells nothing
        (0.9, 0.8, 0.0, False, False),
    ],
)
def test_run_campaign_judge_fails_who_moves_beyond_timeout_delay_and_braking(
    moves_for, lasts, late, failed, judged
):
    row = Row(1, "scan-cut", "", 1, 0.0, lasts, 1.0, late=late)
    judge_stop(Stop(0.25, 2.0), row, drive(moves_for), 10.0, 10.0 + lasts)
    assert bool(row.failures) == failed
    assert (row.stopped is not None) == judged
    if judged:
        assert row.limit == pytest.approx(0.85 + late)
        assert row.stopped == pytest.approx(moves_for, abs=0.03)


def test_run_campaign_limits_are_those_of_the_robot_and_the_parameters_that_it_starts(tmp_path):
    usual = limits_of(kinds.build("sim"), "jackal")
    # the simulated base: 0.25 s and 4 m/s²; the reflex: scan_timeout 0.5 s, max_acceleration 2 m/s²
    assert (usual.base, usual.reflex) == (Stop(0.25, 4.0), Stop(0.5, 2.0))
    assert usual.fastest == pytest.approx(1.2)
    # 0.1 m/s and a turn of 2 rad/s: the outer wheel, 0.188 m from the middle, goes at 0.477 m/s
    assert Sample(0.0, 0.0, 0.0, 0.0, 0.1, -2.0, 0, 0.0).of_wheels(usual.half_track) == pytest.approx(0.477, abs=1e-3)
    file = tmp_path / "slow.yaml"
    file.write_text(
        "/**/reflex_node: {ros__parameters: {scan_timeout: 0.3, max_acceleration: 0.5, max_speed: 0.4}}\n"
        "/**/firmware_bridge_node: {ros__parameters: {command_timeout: 0.4, acceleration: 0.7}}\n"
    )
    slow = limits_of(kinds.build("robot", {"params_file": str(file)}), "jackal")
    assert (slow.stop("base"), slow.stop("reflex")) == (Stop(0.4, 0.7), Stop(0.3, 0.5))
    assert slow.fastest == pytest.approx(0.48)


def echo(server):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            while data := connection.recv(100):
                connection.sendall(data)
            connection.close()


def test_run_campaign_cable_that_is_cut_brings_later_what_was_sent_and_a_closed_one_nothing():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        cable = Cable(server.getsockname()[1])
        port = int(cable.address.rpartition(":")[2])
        try:
            with socket.create_connection(("127.0.0.1", port), 2.0) as link:
                link.sendall(b"a")
                assert link.recv(9) == b"a"
                cable.cut()
                link.sendall(b"b")
                link.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    link.recv(9)
                cable.mend()
                link.settimeout(2.0)
                assert link.recv(9) == b"b"
                cable.close()
                assert link.recv(9) == b""
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", port), 2.0)
            cable.mend()
            with socket.create_connection(("127.0.0.1", port), 2.0) as link:
                link.sendall(b"c")
                assert link.recv(9) == b"c"
        finally:
            cable.end()


def test_run_campaign_judge_counts_contacts_and_what_the_simulator_fell_behind():
    truth = Truth()
    for t, contacts in ((0.00, 0), (0.02, 0), (0.04, 0), (0.34, 1), (0.36, 1)):
        truth.see(Sample(t, 0.0, 0.0, 0.0, 0.0, 0.0, contacts, 0.0))
    assert truth.contacts(0.03, 0.4) == 1
    assert truth.contacts(0.0, 0.05) == 0
    assert truth.late(0.0, 0.4) == pytest.approx(0.28)
    assert truth.late(0.0, 0.05) == 0.0


def test_run_campaign_draws_the_same_faults_for_a_seed_and_every_kind_equally_often():
    settings = Settings(3 * len(KINDS), 7, tuple(KINDS), "default", 1)
    drawn = list(order(settings))
    assert drawn == list(order(settings))
    assert drawn != list(order(Settings(3 * len(KINDS), 8, tuple(KINDS), "default", 1)))
    assert sorted(number for number, _ in drawn) == list(range(1, len(drawn) + 1))
    assert all([kind for _, kind in drawn].count(name) == 3 for name in KINDS)


def test_run_campaign_kinds_are_chosen_by_name_or_group_and_a_mistake_is_one_line(capsys):
    assert chosen("scan-cut,hog") == ["scan-cut", "hog-core"]
    assert {"kill-planner", "kill-reflex", "kill-bridge"} <= set(chosen("kill"))
    assert chosen("") == list(KINDS)
    assert main(["bench", "faults", "--kinds", "earthquake"]) == 2
    error = capsys.readouterr().err
    assert "'earthquake' is none of" in error
    assert error.count("\n") == 1
    assert main(["bench", "faults", "--list"]) == 0
    assert all(name in capsys.readouterr().out for name in KINDS if name == "kill-reflex")


def test_run_campaign_freezes_one_thread_and_no_other():
    if may_freeze():
        pytest.skip(may_freeze())
    program = """
import os, threading, time
def count(name):
    while True:
        os.write(1, f"{name} {threading.get_native_id()}\\n".encode())
        time.sleep(0.01)
threading.Thread(target=count, args=("a",), daemon=True).start()
count("b")
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        seen = []  # (name, tid, when)

        def read():
            for line in child.stdout:
                name, tid = line.split()
                seen.append((name, int(tid), time.monotonic()))

        threading.Thread(target=read, daemon=True).start()
        until = time.monotonic() + 20.0
        while {name for name, _, _ in seen} != {"a", "b"} and time.monotonic() < until:
            time.sleep(0.01)
        frozen = Frozen(next(tid for name, tid, _ in seen if name == "a"))
        time.sleep(0.1)  # what was on its way
        begun = time.monotonic()
        time.sleep(0.5)
        during = {name for name, _, t in list(seen) if t > begun}
        frozen.thaw()
        thawed = time.monotonic()
        time.sleep(0.5)
        after = {name for name, _, t in list(seen) if t > thawed}
        child.kill()
    assert during == {"b"}
    assert after == {"a", "b"}


def test_run_campaign_a_remapping_may_be_for_one_node_alone():
    graph = kinds.build("sim", {"remap": "sim_node:scan:=true/scan"})
    assert all(("sim_node:scan", "true/scan") in program.remappings for program in graph.programs)
    with pytest.raises(ValueError, match="expected FROM:=TO"):
        kinds.build("sim", {"remap": "7:scan:=true/scan"})
