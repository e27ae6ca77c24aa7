"""A recording to be played."""

from __future__ import annotations

from pathlib import Path


def two_scans(path: Path) -> str:
    """Writes a recording of two scans, a second apart; where it is."""
    from hybrid_control_ros.run.recorder import McapFile
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import LaserScan

    file = McapFile(path)
    for i in (1, 2):
        scan = LaserScan(range_max=5.0, ranges=[1.0])
        scan.header.stamp.sec = i
        file.write("/scan", "sensor_msgs/msg/LaserScan", serialize_message(scan), i * 10**9, i * 10**9)
    file.close()
    return str(path)
