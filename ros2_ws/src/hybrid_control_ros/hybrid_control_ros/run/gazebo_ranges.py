"""A drone's ranges up and down from Gazebo, which has them as the two beams of a scan, as sensor_msgs/Range.

    python -m hybrid_control_ros.run.gazebo_ranges

`hybrid-control up gazebo --robot quad` and gazebo.launch.py start this beside the nodes.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import LaserScan, Range

from hybrid_control.sim.gazebo import VERTICAL
from hybrid_control_ros import convert, qos
from hybrid_control_ros.vertical import range_message

SIDES = ("down", "up")  # the order of the beams


class Ranges:
    """Turns each scan of two beams into a message on range/down and one on range/up."""

    def __init__(self, node: Node) -> None:
        self._topics = {side: node.create_publisher(Range, f"range/{side}", qos.SENSOR) for side in SIDES}
        node.create_subscription(LaserScan, VERTICAL.topic, self._on_scan, qos.SENSOR)

    def _on_scan(self, message: LaserScan) -> None:
        if len(message.ranges) != len(SIDES):
            return  # another sensor's
        stamp_ns = convert.to_ns(message.header.stamp)
        for side, value in zip(SIDES, message.ranges, strict=True):
            self._topics[side].publish(
                range_message(stamp_ns, side, value, message.range_min, message.range_max)
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Until a signal."""
    parser = argparse.ArgumentParser(prog="ranges", description="Ranges up and down of a drone in Gazebo.")
    parser.add_argument("--namespace", default="")
    args = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))  # it holds nothing
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node(
        "ranges", context=context, namespace=args.namespace, enable_rosout=False, use_global_arguments=False
    )
    Ranges(node)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    executor.spin()
    return 0


if __name__ == "__main__":
    sys.exit(main())
