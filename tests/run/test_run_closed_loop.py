"""The whole system as a person starts it: real processes, DDS, physics, and what must hold when something breaks."""

import json
import math
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from ros_graph import takes_signals
from ros_models import write_model

from hybrid_control.cli import main
from hybrid_control.navigation.ground.memory import CELL, near
from hybrid_control.navigation.planner.closed import HIDDEN, HIDDEN_AT, STANDING, STANDING_AT, UNSEEN
from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.report.camera import Camera
from hybrid_control.report.closed import Closed
from hybrid_control.report.run import Run, load
from hybrid_control.signals.headings import HEADINGS, SECTORS

ROOT = Path(__file__).parents[2]


@dataclass
class Result:
    """What came out of `hybrid-control sim`."""

    status: int
    lines: list[str]
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "report.json").read_text())

    def run(self) -> Run:
        return load(self.folder)


def begin(out, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "hybrid_control", "sim", "--out", str(out), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, **options,
    )  # fmt: skip


def sim(out, *arguments, **options):
    with begin(out, *arguments, **options) as process:
        output, _ = process.communicate(timeout=110)
    folders = list(out.iterdir())
    assert len(folders) == 1, output
    return Result(process.returncode, output.splitlines(), folders[0])


def stamps(run, name):
    """Seconds of the run at the stamps of a topic's messages."""
    return np.array([run.time(message) for message in run.recording.topic(name)])


def modes_between(run, begin, end):
    inside = (run.status.t >= begin) & (run.status.t <= end)
    return {Mode(int(mode)).name for mode in run.status["mode"][inside]}


def event_time(report, text):
    return next(event["t"] for event in report["events"] if text in event["text"])


def test_run_reaches_the_goal_and_stops_within_50_ms_of_a_scan_timeout(tmp_path):
    result = sim(tmp_path, "--world", "open", "--scan-fault", "silent@3:1.2")
    assert result.status == 0, "\n".join(result.lines)
    assert result.lines[-2].startswith("goal reached without a contact")
    status = next(line for line in result.lines if "missed" in line)
    assert re.search(r"goal +[\d.]+ m .* planner +[\d.]+ Hz .* reflex +\d+ Hz .* missed \d+", status)

    run, report = result.run(), result.report
    assert report["outcome"]["success"] is True
    assert report["seed"] == 0
    assert report["contacts"] == 0
    assert report["recording"] == {"complete": True, "note": ""}
    needed = {
        "/camera/image_raw", "/scan", "/imu", "/odom", "/clock", "/goal_pose", "/planner/rates", "/planner/spikes",
        "/cmd_vel", "/reflex/spikes", "/reflex/status", "/sim/state", "/sim/world", "/diagnostics", "/parameter_events",
    }  # fmt: skip
    assert needed <= set(report["topics"])
    assert {"ring", "left", "right", "forward", "heading", "speed"} <= set(report["network"]["spikes"])
    assert (result.folder / "report.html").stat().st_size > 100_000

    scans = stamps(run, "scan")
    gap = int(np.argmax(np.diff(scans)))
    last, resumed = scans[gap], scans[gap + 1]
    assert resumed - last > 1.1
    silent = (run.command.t > last + 0.5 + 0.05) & (run.command.t < resumed)
    assert silent.sum() > 10
    assert not run.command["speed"][silent].any()
    assert not run.command["yaw_rate"][silent].any()
    assert (
        run.command["speed"][(run.command.t > last - 0.5) & (run.command.t < last)].min() > 0.2
    )  # it did drive
    assert "STOPPED" in modes_between(run, last + 0.55, resumed)

    with (result.folder / "run.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        decoded = sum(1 for _ in reader.iter_decoded_messages())
    assert decoded == sum(topic["messages"] for topic in report["topics"].values())


def test_run_goes_on_without_contact_when_the_planner_is_killed_half_way(tmp_path):
    result = sim(tmp_path, "--kill-planner-at", "50%", "--duration", "45")
    run, report = result.run(), result.report
    killed = event_time(report, "planner_node was killed (SIGKILL)")
    assert any("planner_node was killed (SIGKILL)" in line for line in result.lines)
    assert report["contacts"] == 0
    # rates hold for 0.4 s in the encoder and spikes for 0.5 s in the reflex; a status comes every 0.1 s
    assert modes_between(run, killed + 1.2, killed + 3.0) == {"REFLEX_ONLY"}
    after = run.state.t > killed + 1.0
    assert run.state["path_length"][after][-1] - run.state["path_length"][after][0] > 1.0


@pytest.mark.slow
def test_run_stops_without_contact_as_configured_while_the_camera_shows_rubbish(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("reflex_node: {ros__parameters: {without_planner: stop}}\n")
    faults = {"black": 1.3, "white": 3.9, "size": 6.5, "nan": 9.1}
    arguments = [f"--camera-fault={kind}@{at}:1.6" for kind, at in faults.items()]
    out = tmp_path / "out"
    result = sim(out, "--seed", "1", "--params", str(params), "--duration", "10.9", *arguments)
    run, report = result.run(), result.report
    assert report["contacts"] == 0
    assert report["parameters"]["reflex_node"]["without_planner"] == "stop"
    for kind in faults:
        begun = event_time(report, f"fault: camera {kind}")
        assert modes_between(run, begun + 1.25, begun + 1.55) == {"STOPPED"}, kind
        standing = (run.command.t > begun + 1.25) & (run.command.t < begun + 1.55)
        assert not run.command["speed"][standing].any()
    assert "HYBRID" in modes_between(run, 3.4, 3.9)  # and it came back in between


@pytest.mark.slow
def test_run_composed_in_one_process_drives_on_when_the_disk_is_full(tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))

    result = sim(tmp_path, "--world", "open", "--composed", preexec_fn=small_files)
    assert result.status == 0, "\n".join(result.lines)
    said = [line for line in result.lines if "recording stopped" in line]
    assert len(said) == 1
    assert said[0].endswith("File too large; driving goes on")
    assert not (result.folder / "planner_node.log").exists()
    assert "recording stopped" in result.report["recording"]["note"]
    assert result.report["outcome"]["success"] is True


def processes_that_name(text):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if text in (entry / "cmdline").read_text(errors="replace"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_run_that_is_interrupted_or_killed_leaves_no_process_behind(tmp_path, kind):
    with begin(tmp_path, "--world", "open", start_new_session=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        first = next(lines)
        assert "ROS_DOMAIN_ID=" in first
        if kind == signal.SIGINT:
            assert any("goal" in line for line in lines)  # it drives
        assert len(processes_that_name(str(tmp_path))) >= 5
        begun = time.monotonic()
        process.send_signal(kind)
        rest, status = process.stdout.read(), process.wait(15)
        ended = time.monotonic()
    assert status == (1 if kind == signal.SIGINT else -signal.SIGKILL)
    given_up = time.monotonic() + 5.0
    while processes_that_name(str(tmp_path)) and time.monotonic() < given_up:
        time.sleep(0.05)
    assert not processes_that_name(str(tmp_path))
    if kind == signal.SIGINT:
        assert ended - begun < 2.0
        assert "Traceback" not in rest
        folder = next(tmp_path.iterdir())
        assert main(["report", str(folder)]) == 0  # of a recording that is whole
        assert json.loads((folder / "report.json").read_text())["outcome"]["result"] == "interrupted"


@pytest.mark.parametrize("delay", [0.0, 1.0, 2.5])
def test_run_that_is_interrupted_while_it_starts_ends_within_two_seconds_and_leaves_no_process(
    tmp_path, delay
):
    with begin(tmp_path, "--world", "open") as process:
        assert process.stdout is not None
        while not takes_signals(process.pid):
            time.sleep(0.01)
        time.sleep(delay)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, status = process.stdout.read(), process.wait(15)
        assert time.monotonic() - begun < 2.0
    assert status in (1, 130)
    assert "Traceback" not in output
    assert not processes_that_name(str(tmp_path))


def test_run_refuses_a_network_that_is_none_with_one_line_and_status_2(tmp_path):
    file = tmp_path / "network.nir"
    file.write_bytes(b"no network at all")
    with begin(tmp_path / "out", "--network", str(file)) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    last = output.splitlines()[-1]
    assert last.startswith("hybrid-control: ")
    assert "network.nir" in last
    assert "Traceback" not in output
    assert not processes_that_name(str(tmp_path))


@pytest.mark.slow
def test_run_whose_scans_come_in_another_frame_says_so_in_the_terminal_the_status_and_the_report(tmp_path):
    result = sim(tmp_path, "--params", "config/turtlebot3_waffle.yaml", "--duration", "6")
    why = "no scan yet: scan refused: it is in frame 'lidar', expected 'base_scan'"
    assert [line for line in result.lines if why in line]
    assert [event for event in result.report["events"] if why in event["text"]]
    assert why in result.run().reasons
    # and what the planner waits for: pictures of another kind
    assert [event for event in result.report["events"] if "/camera/image_raw" in event["text"]]


def test_run_with_a_planner_of_contract_2_is_recorded_and_its_report_shows_what_is_closed(tmp_path):
    # a kerb on the right, always 1 m before the camera's foot, of which the model is sure by 0.8
    rows, right = np.zeros((4, SECTORS)), (HEADINGS > -0.7) & (HEADINGS < -0.3)
    rows[np.ix_([STANDING, HIDDEN], np.abs(HEADINGS) > math.pi / 4)] = UNSEEN
    rows[[STANDING_AT, HIDDEN_AT]] = 4.0
    rows[HIDDEN, right], rows[HIDDEN_AT, right] = 0.8, 1.0
    write_model(tmp_path / "closing.onnx", closed=rows)
    result = sim(tmp_path / "out", "--world", "open", "--duration", "3", "--model", str(tmp_path / "closing.onnx"))
    assert {"/planner/directions", "/planner/hidden", "/planner/closed"} <= set(result.report["topics"])

    run = result.run()
    closed = Closed.of(run)
    assert closed is not None
    images = stamps(run, "camera/image_raw")
    answers = stamps(run, "planner/directions")
    assert np.isin(answers.round(6), images.round(6)).mean() > 0.9  # each is of an image that was recorded
    t = float(answers[(answers > 0.0) & (answers < run.duration)][2])
    said = closed.said(t)
    assert said is not None
    assert said.rows == pytest.approx(rows)
    # the row of ground 1 m away, by the camera that run.json has; the bar is 0.8 tenths of 120 pixels high
    mount = Camera.of(run).mount(160, 120)
    bars = closed.marks(mount, t, 160, 120).hidden
    left_sides = HEADINGS[right] + math.pi / SECTORS
    wanted = mount.down(left_sides, np.ones(left_sides.size)) * 120
    assert [float(y) for y in re.findall(r"M[\d.]+ ([\d.]+)L", bars)] == pytest.approx(wanted, abs=0.1)
    assert bars.count("v-9.6L") == left_sides.size
    # what is remembered lies behind that edge, from the odometry's place of that time
    first = next(t for t in answers if t > 0.0 and len(closed.cells(t)))
    x, y = near((closed.cells(first) + 0.5) * CELL, run.odometry.pose(first)).T
    assert y.max() < 0.0
    assert 0.8 < np.hypot(x - mount.x, y).min() < np.hypot(x - mount.x, y).max() < 1.5

    page = (result.folder / "report.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert data["cells"]
    assert sum(bool(frame["hidden"]) for frame in data["frames"]) > len(data["frames"]) / 2
    assert any(frame["remembered"] for frame in data["frames"])
    assert not any(frame["standing"] for frame in data["frames"])
