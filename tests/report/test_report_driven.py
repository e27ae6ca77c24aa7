"""From a recorded drive of the embedded simulator to labels, by the true world at the true poses, and to a planner.

The robot drives at a kerb that no scan shows, bumps into it, backs off, turns and drives on. Tolerances: wheel odometry
is off by 1 % (of 3 m, 0.03 m), a pose is 0.02 s old (at 0.6 m/s, 0.012 m), and ground is looked at each 0.05 m.
"""

import argparse
import contextlib
import json
import math
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import report_driven
import report_synthetic as synthetic
from PIL import Image

from hybrid_control.cli import train as train_commands
from hybrid_control.navigation.planner.training.closed import labels
from hybrid_control.navigation.planner.training.closed.labels import COLUMNS, FREE, HIDDEN, STANDING
from hybrid_control.navigation.planner.training.closed.recorded import labelled, recorded
from hybrid_control.report.driven import driven
from hybrid_control.signals import Pose
from hybrid_control.sim.camera import GraphicsError
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.worlds import Thing, World

KERB = Thing("low", 1.1, 0.0, 0.2, 1.2, 0.0, 0.0, 0.12)  # its front edge at x = 1
POST = Thing("low", 1.05, 0.15, 0.1, 0.1, 0.0, 0.0, 0.12)  # narrower than the robot, and to its left
CONFIG = Path(__file__).parents[2] / "config"
DRIVE = ((5.5, 0.6, 0.0), (1.5, -0.5, 0.0), (1.2, 0.0, 0.9), (3.0, 0.6, 0.0))
PLACE = 0.08  # m by which what was bumped into may be off: 0.03 + 0.012 + a column's slant
KNOWN = 0.05  # m by which ground that counts as free may be closed
EDGES = 0.05  # share of the columns that end between two beams of the scan at what stands


def world(*things):
    return World(
        "kerb", Pose(-2.0, 0.0), (3.0, 3.0), (-4.0, -4.0, 4.0, 4.0), things=things,
        cylinders=np.array([[1.6, -1.2, 0.2], [-0.3, 1.1, 0.15]]), boxes=np.array([[3.5, 0.0, 0.2, 6.0, 0.0]]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def kerb(tmp_path_factory):
    return report_driven.record(tmp_path_factory.mktemp("run") / "kerb", world(KERB), DRIVE)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Half a second of a drive that bumps into nothing, with a bumper."""
    folder = tmp_path_factory.mktemp("run") / "short"
    return report_driven.record(folder, world(), [(0.5, 0.6, 0.0)], bump=lambda simulator: simulator.time_ns > 4e8)


def compared(run, scene):
    """(kind, away) as labelled and (kind, away) as it is, of every column of every frame, each (frames, COLUMNS)."""
    drive = driven(run.file)
    frames = labelled([drive], 3.0)
    true = [labels.closing(scene, run.truth[f.number], drive.robot.camera, JACKAL.lidar_z) for f in frames]
    said = np.array([f.label.kind for f in frames]), np.array([f.label.away for f in frames])
    return *said, np.array([t.kind for t in true]), np.array([t.away for t in true])


def test_the_bump_is_found_when_it_was_and_nothing_else(kerb):
    drive = driven(kerb.file)
    assert drive.source == "/sim/state"
    assert drive.bumps == pytest.approx(kerb.touched_at, abs=0.021)
    assert len(drive.bumps) == 1


def test_each_column_that_is_hidden_is_closed_there_by_something_hidden(kerb):
    kind, away, true, true_away = compared(kerb, world(KERB))
    hidden = kind == HIDDEN
    assert hidden.any(axis=1).sum() >= 20  # frames
    assert (true[hidden] == HIDDEN).all()
    assert np.abs(away - true_away)[hidden].max() <= PLACE


def test_each_column_that_is_free_is_free_up_to_there(kerb):
    kind, away, _, true_away = compared(kerb, world(KERB))
    free = kind == FREE
    assert free.sum() >= 400
    assert (true_away[free] >= away[free] - KNOWN).all()


def test_each_column_that_stands_does_or_has_something_hidden_before_it(kerb):
    kind, away, true, true_away = compared(kerb, world(KERB))
    behind = (true == HIDDEN) & (true_away < away)
    judged = (kind == STANDING) & ~behind
    right = (true == STANDING) & (np.abs(away - true_away) <= 0.1)
    assert judged.sum() >= 300
    assert right[judged].mean() >= 1.0 - EDGES


def test_of_the_columns_at_a_narrow_thing_at_least_one_is_closed_there(tmp_path):
    run = report_driven.record(tmp_path / "post", world(POST), [(5.5, 0.6, 0.0)])
    kind, away, true, true_away = compared(run, world(POST))
    near = (kind == HIDDEN) & (true == HIDDEN) & (np.abs(away - true_away) <= PLACE)
    # up to 2 m away, where a column of 0.05 of the distance is no wider than it
    bumped = ((kind == HIDDEN) & (away < 2.0)).any(axis=1)
    assert bumped.sum() >= 15
    assert near[bumped].any(axis=1).all()


def test_a_bumper_of_its_own_and_without_one_a_stop_say_when_it_bumped(short, tmp_path):
    assert driven(short.file, bump="/bumper").bumps == pytest.approx([0.4], abs=0.041)
    assert driven(short.file, bump="bumper").source == "/bumper"
    blind = report_driven.record(tmp_path / "blind", world(), [(0.5, 0.6, 0.0)], leave_out=["sim/state"])
    drive = driven(blind.file)
    assert drive.source == "cmd_vel, and odometry that stood"
    assert len(drive.bumps) == 0


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (["odom"], "no odom of nav_msgs/msg/Odometry; it has none of that type"),
        (["scan"], "no scan of sensor_msgs/msg/LaserScan"),
        (["camera/image_raw"], "no camera/image_raw of sensor_msgs/msg/Image or sensor_msgs/msg/CompressedImage"),
        (["run.json"], "where its camera is mounted is not known.* --params"),
        (["cmd_vel", "sim/state"], "nothing says when the robot bumped into something.* --bump"),
    ],
)
def test_a_recording_that_lacks_something_is_refused_in_a_line_that_names_it(missing, line, tmp_path):
    run = report_driven.record(tmp_path / "run", world(), [(0.2, 0.6, 0.0)], leave_out=missing)
    with pytest.raises(ValueError, match=line) as refused:
        driven(run.file)
    assert "\n" not in str(refused.value)


def test_a_bumper_that_is_not_there_is_named_with_those_that_are(short):
    with pytest.raises(ValueError, match="no 'skirt' of std_msgs/msg/Bool; it has /bumper"):
        driven(short.file, bump="skirt")


def test_damaged_recordings_are_read_or_refused_in_a_line(short, tmp_path):
    whole, draws = short.file.read_bytes(), random.Random(0)
    shutil.copy(short.file.parent / "run.json", tmp_path)
    file, lines = tmp_path / "run.mcap", []
    for number in range(60):
        data = bytearray(whole[: draws.randrange(len(whole))] if number % 3 == 0 else whole)
        for _ in range(draws.randrange(1, 20)):
            data[draws.randrange(len(data))] = draws.randrange(256)
        file.write_bytes(bytes(data))
        with contextlib.suppress(OSError):
            try:
                recorded(labelled([driven(file)], 3.0))
            except ValueError as error:
                lines.append(str(error))
    assert lines
    assert not [line for line in lines if "\n" in line]


@pytest.mark.parametrize("robot", [[], {"camera_x": 0.2}, {"camera_x": "a"}, "a word", None])
def test_a_robot_that_run_json_does_not_describe_is_refused_in_a_line(robot, short, tmp_path):
    shutil.copy(short.file, tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"robot": robot}))
    with pytest.raises(ValueError, match=r"run\.mcap: (where its camera|a robot without)"):
        driven(tmp_path / "run.mcap")


def test_messages_that_are_not_what_their_type_says_are_refused_in_a_line(tmp_path, monkeypatch):
    text = "std_msgs/Header header\nstring child_frame_id\nfloat64 pose\nfloat64 twist"
    monkeypatch.setitem(synthetic._TOP, "nav_msgs/msg/Odometry", text)
    run = synthetic.SyntheticRun(tmp_path)
    message = synthetic.Fields(header=synthetic.header(0), child_frame_id="", pose=0.0, twist=0.0)
    run.put("/odom", "nav_msgs/msg/Odometry", message, 1)
    for topic, kind in (("/scan", "sensor_msgs/msg/LaserScan"), ("/camera/image_raw", "sensor_msgs/msg/Image")):
        monkeypatch.setitem(synthetic._TOP, kind, "std_msgs/Header header")
        run.put(topic, kind, synthetic.Fields(header=synthetic.header(0)), 1)
    run.close()
    with pytest.raises(ValueError, match="a message that can't be read: ") as refused:
        driven(tmp_path / "run.mcap", vars_of_jackal())
    assert "\n" not in str(refused.value)


def vars_of_jackal():
    return {
        "camera_x": 0.25, "camera_z": 0.28, "camera_pitch": 0.08, "camera_hfov": math.pi / 2, "camera_aspect": 0.75,
        "length": 0.508, "width": 0.43,
    }  # fmt: skip


def run_command(*words):
    parser = argparse.ArgumentParser()
    train_commands.add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args([str(w) for w in words])
    return arguments.run(arguments)


def test_planner_labels_draws_a_sheet_and_says_what_is_known(kerb, tmp_path, capsys):
    sheet = tmp_path / "labels.png"
    assert run_command("planner", "labels", kerb.file, "--out", sheet) == 0
    shown = capsys.readouterr().out
    assert f"{kerb.file}: 1 bumps by /sim/state" in shown
    assert "of them with something hidden; columns: " in shown
    with Image.open(sheet) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(255, 40, 40), (60, 120, 255)} <= colours


def test_a_parameter_file_says_where_the_camera_is(kerb, tmp_path):
    shutil.copy(kerb.file, tmp_path)
    file = tmp_path / "run.mcap"
    assert run_command("planner", "labels", file, "--params", CONFIG / "jackal.yaml", "--out", tmp_path / "a.png") == 0
    some = tmp_path / "some.yaml"
    some.write_text("reflex_node:\n  ros__parameters:\n    camera_z: 0.3\n")
    with pytest.raises(ValueError, match=r"some\.yaml: does not say reflex_node\.camera_x, .*robot_width"):
        run_command("planner", "labels", file, "--params", some)
    with pytest.raises(ValueError, match=r"--trusted 0: expected 0\.5 \.\. 100 m"):
        run_command("planner", "labels", file, "--trusted", 0)


@pytest.mark.train
@pytest.mark.timeout(600)
def test_one_command_makes_a_planner_of_a_recorded_run_and_it_learns_from_it(tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from hybrid_control.navigation.planner import contract
    from hybrid_control.navigation.planner.training.closed import evaluation, make, network, scenes, train

    try:
        run = report_driven.record(tmp_path / "run", world(KERB), [(5.5, 0.6, 0.0)], camera=True)
    except GraphicsError as error:
        pytest.skip(str(error))

    def shards(seed, numbers, jobs, depth=False):
        """Bare ground, with which this is about nothing but the recording."""
        for number in numbers:
            image = np.random.default_rng(number).integers(100, 140, (64, 120, 160, 3), dtype=np.uint8)
            camera = np.tile(np.array((0.28, 0.08, math.pi / 2), np.float32), (64, 1))
            of = {"kind": (FREE, np.int8), "row": (18.0, np.float32), "away": (4.0, np.float32), "what": (-1, np.int8)}
            yield scenes.Frames(image, camera, *(np.full((64, COLUMNS), v, kind) for v, kind in of.values()))

    for module in (train, scenes, make):
        monkeypatch.setattr(module, "SHARD", 64)
    for module in (train, make):
        monkeypatch.setattr(module, "drawn", shards)
    monkeypatch.setattr(train, "LEARNING_RATE", 5e-3)
    monkeypatch.setattr(evaluation, "frames_with_alarm", lambda seen, alarm: 0.0)
    monkeypatch.setattr(evaluation, "at_half", lambda seen: {"wrong": 0.0, "right": 0.0})
    first = tmp_path / "first"
    train.fit(train.Settings(8 * 64, jobs=1, device="cpu"), torch.device("cpu"), first, False)
    out = tmp_path / "out"
    words = ("train", "closed", "--planner", contract.DEFAULT_MODEL, "--out", out, "--recordings", run.file, "--start",
             first / "closed.pt", "--examples", 24 * 64, "--jobs", 1, "--device", "cpu", "--test", 128)  # fmt: skip
    assert run_command(*words) == 0
    assert contract.load(out / "planner.onnx")[1].version == 2
    assert (out / "labels.png").is_file()
    assert "frames of recorded drives" in (out / "closed.md").read_text()
    frames = recorded(labelled([driven(run.file)], 3.0))

    def loss(checkpoint):
        learnt = network.Network()
        train.learnt(checkpoint, learnt)
        parts = (torch.from_numpy(v) for v in (frames.kind, frames.row, frames.free_row))
        with torch.no_grad():
            logits = learnt.eval()(torch.from_numpy(frames.image), torch.from_numpy(frames.camera))
        return float(network.recorded_loss(logits, *parts))

    assert loss(out / "closed.pt") < 0.8 * loss(first / "closed.pt")
    with pytest.raises(train.TrainingError, match="choose another --out"):
        run_command(*words[:-8], "--examples", 32 * 64, "--jobs", 1, "--device", "cpu", "--test", 128, "--resume")
