"""Listens to a lidar, and to odometry where there is some, while the robot stands: `hybrid-control mask`."""

from __future__ import annotations

import contextlib
import time

import rclpy
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import LaserScan

from hybrid_control.navigation.reflex.body import Standing
from hybrid_control_ros import convert, qos

_PATIENCE = 7.0  # s for the first scan: every participant has been heard by then


def listen(
    scan: str, odom: str, seconds: float, namespace: str = "", patience: float = _PATIENCE
) -> Standing:
    """What comes on these topics for so many seconds from the first scan on. ValueError where there is none."""
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node(
            "hybrid_control_mask", context=context, namespace=namespace or "/", enable_rosout=False
        )
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        try:
            return _hear(node, executor, (scan, odom), seconds, patience)
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        context.try_shutdown()


def _hear(
    node: Node, executor: SingleThreadedExecutor, topics: tuple[str, str], seconds: float, patience: float
) -> Standing:
    heard, wrong = Standing(), ""

    def put_scan(message: LaserScan) -> None:
        nonlocal wrong
        try:
            heard.scans.append(convert.range_scan(message))
            heard.frames.add(message.header.frame_id)
        except ValueError as error:
            wrong = str(error)

    def put_odometry(message: Odometry) -> None:
        with contextlib.suppress(ValueError):  # it only tells whether the robot stands
            heard.poses.append(convert.odometry(message, message.header.frame_id).pose)

    scans = node.create_subscription(LaserScan, topics[0], put_scan, qos.SENSOR)
    node.create_subscription(Odometry, topics[1], put_odometry, qos.SENSOR)
    end = time.monotonic() + patience
    begun = False
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
        if heard.scans and not begun:
            begun, end = True, time.monotonic() + seconds
    if not heard.scans:
        raise ValueError(
            f"{_silent(node, scans.topic_name, patience)}{f'; the newest: {wrong}' if wrong else ''}"
        )
    return heard


def _silent(node: Node, topic: str, patience: float) -> str:
    """Why no scan came."""
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return (
            f"{topic}: nobody publishes it in ROS domain {node.context.get_domain_id()}; expected a lidar's driver, "
            "or another --topic"
        )
    others = sorted({p.topic_type for p in publishers} - {"sensor_msgs/msg/LaserScan"})
    if others:
        return f"{topic}: is {', '.join(others)}; expected sensor_msgs/msg/LaserScan"
    return f"{topic}: no scan that could be read in {patience:g} s; expected some"
