"""What is recorded decodes with an independent reader, and a full disk stops the recording alone."""

import math
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from hybrid_control_msgs.msg import SimState, SpikeTrain
from hybrid_control_ros.run.recorder import McapFile, full_definition, message_class
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import serialize_message
from sensor_msgs.msg import LaserScan


def test_recorder_definition_holds_every_type_that_it_stands_on_once():
    text = full_definition("nav_msgs/msg/Odometry")
    parts = [line for line in text.splitlines() if line.startswith("MSG: ")]
    assert sorted(parts) == sorted(
        f"MSG: {name}"
        for name in (
            "std_msgs/Header", "builtin_interfaces/Time", "geometry_msgs/PoseWithCovariance", "geometry_msgs/Pose",
            "geometry_msgs/Point", "geometry_msgs/Quaternion", "geometry_msgs/TwistWithCovariance",
            "geometry_msgs/Twist", "geometry_msgs/Vector3",
        )
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["nowhere_msgs/msg/Nothing", "std_msgs/msg/Nothing"])
def test_recorder_says_which_type_is_unknown(kind):
    with pytest.raises(LookupError, match="Nothing"):
        full_definition(kind)
    with pytest.raises(LookupError, match="Nothing"):
        message_class(kind)


def test_recorder_file_gives_back_what_was_written(tmp_path):
    scan = LaserScan(angle_min=-1.0, ranges=[1.0, math.inf, 0.5])
    scan.header.stamp.sec, scan.header.frame_id = 7, "lidar"
    train = SpikeTrain(duration_ns=10, populations=["ring"], sizes=[72], neuron=[3, 71], offset_ns=[0, 9])
    file = McapFile(tmp_path / "run.mcap")
    file.write("/scan", "sensor_msgs/msg/LaserScan", serialize_message(scan), 2_000, 1_000)
    file.write("/reflex/spikes", "hybrid_control_msgs/msg/SpikeTrain", serialize_message(train), 3_000, 2_500)
    file.close({"seed": "4"})
    assert file.note == ""
    with (tmp_path / "run.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        assert [m.metadata for m in reader.iter_metadata()] == [{"seed": "4"}]
        (_, channel, record, first), (*_, second) = reader.iter_decoded_messages()
    assert (channel.topic, channel.message_encoding) == ("/scan", "cdr")
    assert (record.log_time, record.publish_time) == (2_000, 1_000)
    assert (first.header.stamp.sec, first.header.frame_id) == (7, "lidar")
    assert list(first.ranges) == [1.0, math.inf, 0.5]
    assert (list(second.neuron), list(second.populations)) == ([3, 71], ["ring"])


def test_recorder_stops_with_one_line_on_a_full_disk_and_takes_further_messages_quietly(tmp_path):
    path = tmp_path / "run.mcap"
    path.symlink_to("/dev/full")
    file = McapFile(path)
    data = serialize_message(SimState())
    for i in range(20):
        file.write("/sim/state", "hybrid_control_msgs/msg/SimState", data, i, i)
        file.flush()
    assert file.note == f"recording stopped: {path}: No space left on device"
    file.close()


def test_recorder_says_that_a_folder_is_missing():
    file = McapFile(Path("/nowhere/at/all/run.mcap"))
    assert file.note == "recording stopped: /nowhere/at/all/run.mcap: No such file or directory"
    file.write("/sim/state", "hybrid_control_msgs/msg/SimState", b"", 0, 0)
    file.close()
