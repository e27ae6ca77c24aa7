"""`hybrid-control mask`: over real topics and from a recording, and what it says where it can learn nothing."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from hybrid_control_ros import convert, qos
from hybrid_control_ros.standing import listen
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import LaserScan, PointCloud2

from hybrid_control.bringup.parameter_files import read_yaml
from hybrid_control.cli import main
from hybrid_control.navigation.reflex.returns import read_mask
from hybrid_control.signals import Odometry, Pose, RangeScan, Twist


def scan(stamp_ns, frame="lidar"):
    """A room of 3 m with two posts of the robot at its rear corners."""
    step = math.tau / 360
    angles = -math.pi + step * np.arange(360)
    ranges = np.where(np.abs(np.abs(angles) - 2.75) < 0.1, 0.45, 3.0).astype(np.float32)
    return convert.scan_message(RangeScan(stamp_ns, -math.pi, step, 0.05, 10.0, ranges), frame)


def odometry(stamp_ns, x=0.0):
    return convert.odometry_message(Odometry(stamp_ns, Pose(x), Twist(stamp_ns)), "odom", "base_link")


def record(path, count=30, speed=0.0):
    """A recording of scans at 10 Hz and odometry, of a robot at a speed (m/s)."""
    from hybrid_control_ros.run.recorder import McapFile
    from rclpy.serialization import serialize_message

    file = McapFile(path)
    for k in range(count):
        t = 10**18 + k * 10**8
        file.write("/robot1/scan", "sensor_msgs/msg/LaserScan", serialize_message(scan(t)), t, t)
        at = serialize_message(odometry(t, speed * k * 0.1))
        file.write("/robot1/odom", "nav_msgs/msg/Odometry", at, t, t)
    file.close()
    return str(path)


def refusal(arguments, capsys):
    assert main(["mask", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hybrid-control: ")
    assert said.count("\n") == 1
    return said


def test_ros_mask_is_learnt_of_a_lidar_that_runs_shown_and_written(graph, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    scans = graph.publisher(LaserScan, "/robot1/scan", qos.SENSOR)
    odoms = graph.publisher(OdometryMessage, "/robot1/odom", qos.SENSOR)
    graph.repeat(scans, lambda: scan(time.time_ns()), 20.0)
    graph.repeat(odoms, lambda: odometry(time.time_ns()), 20.0)
    file = tmp_path / "rover.yaml"
    head = "# mine\nlidar: {ros__parameters: {port: x}}\n"
    file.write_text(f"{head}reflex_node:\n  ros__parameters:\n    goal_gain: 1.5\n")
    assert main(["mask", "--namespace", "/robot1", "--seconds", "1", "--save", str(file)]) == 0
    said = capsys.readouterr().out
    assert "#" in said
    assert "the robot stood still by its odometry" in said
    saved = read_yaml(file)["reflex_node"]
    assert [round(p[2], 2) for p in read_mask(str(saved["body_mask"]))] == [0.5, 0.5]
    assert saved["goal_gain"] == 1.5
    assert file.read_text().startswith(head)


def test_ros_mask_of_a_robot_that_is_pushed_while_it_is_learnt_is_refused(graph, monkeypatch, capsys):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    scans = graph.publisher(LaserScan, "scan", qos.SENSOR)
    odoms = graph.publisher(OdometryMessage, "odom", qos.SENSOR)
    graph.repeat(scans, lambda: scan(time.time_ns()), 20.0)
    graph.repeat(odoms, lambda: odometry(time.time_ns(), time.monotonic() * 0.5), 20.0)
    assert "the robot moved by 0." in refusal(["--seconds", "1"], capsys)


@pytest.mark.slow
def test_ros_mask_where_no_scan_comes_says_why(graph, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    with pytest.raises(ValueError, match=rf"^/scan: nobody publishes it in ROS domain {graph.domain}; expected a "):
        listen("scan", "odom", 1.0, patience=1.0)
    cloud = graph.publisher(PointCloud2, "points", qos.SENSOR)
    with pytest.raises(ValueError, match=r"^/points: is sensor_msgs/msg/PointCloud2; expected .*LaserScan$"):
        listen("points", "odom", 1.0, patience=4.0)
    graph.tester.destroy_publisher(cloud)
    bad = graph.publisher(LaserScan, "bad", qos.SENSOR)
    graph.repeat(bad, lambda: LaserScan(angle_max=3.0, ranges=[1.0, 1.0]), 20.0)
    with pytest.raises(ValueError, match=r"^/bad: no scan that could be read in 4 s; .*: scan: angle_max 3"):
        listen("bad", "odom", 1.0, patience=4.0)


def test_ros_mask_is_learnt_of_a_recording_without_a_running_lidar(tmp_path, capsys):
    file = tmp_path / "rover.yaml"
    arguments = ["--file", record(tmp_path / "run.mcap"), "--save", str(file)]
    assert main(["mask", *arguments]) == 0
    assert "30 scans; the robot stood still by its odometry" in capsys.readouterr().out
    assert len(read_mask(str(read_yaml(file)["reflex_node"]["body_mask"]))) == 2


def test_ros_mask_of_a_recording_that_begins_standing_needs_no_more_than_its_seconds(tmp_path, capsys):
    moving = record(tmp_path / "run.mcap", speed=0.02)
    assert main(["mask", "--file", moving, "--seconds", "0.9"]) == 0
    assert "10 scans" in capsys.readouterr().out
    assert "moved by 0.06 m" in refusal(["--file", moving, "--seconds", "3"], capsys)


def test_ros_mask_refuses_a_recording_without_scans_and_mistakes_in_one_line(tmp_path, capsys):
    file = record(tmp_path / "run.mcap", count=3)
    assert "expected 5 at least" in refusal(["--file", file], capsys)
    assert "no scan on 'laser'; it has /robot1/scan" in refusal(["--file", file, "--topic", "laser"], capsys)
    (tmp_path / "no.mcap").write_bytes(b"no recording")
    assert "not an MCAP file" in refusal(["--file", str(tmp_path / "no.mcap")], capsys)
    assert "--seconds 0: expected more than 0" in refusal(["--file", file, "--seconds", "0"], capsys)
    assert "its folder does not exist" in refusal(["--file", file, "--save", str(tmp_path / "a" / "b.yaml")], capsys)
