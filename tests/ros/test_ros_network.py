"""LOCALHOST means this machine alone: a host beside it that names the robot hears nothing of it, and moves nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap

import pytest

from hybrid_control.bringup.dds import without_shared_memory

ROBOT, STRANGER = "10.213.7.1", "10.213.7.2"


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True)


@pytest.fixture
def two_hosts():
    """Two network namespaces with a cable between them: the robot's and a stranger's."""
    names = [f"hc{os.getpid()}{side}" for side in "ab"]
    try:
        for name in names:
            run("ip", "netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("network namespaces need iproute2 and permission")
    try:
        run("ip", "link", "add", "va", "netns", names[0], "type", "veth", "peer", "name", "vb", "netns", names[1])
        for name, link, address in zip(names, ("va", "vb"), (ROBOT, STRANGER), strict=True):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", link)
            run("ip", "-n", name, "link", "set", link, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "route", "add", "default", "dev", link)
        yield names
    finally:
        for name in names:
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", name)


NODE = """
import rclpy, time, sys
from std_msgs.msg import String
rclpy.init()
node = rclpy.create_node("{name}")
heard, names = [], set()
node.create_subscription(String, "{hears}", heard.append, 10)
publisher = node.create_publisher(String, "{says}", 10)
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    publisher.publish(String(data="x"))
    time.sleep(0.02)
    rclpy.spin_once(node, timeout_sec=0.0)
    names.update(node.get_node_names())
print(len(heard), ",".join(sorted(names)))
"""


def node(host, name, hears, says, environment, seconds=15.0):
    code = textwrap.dedent(NODE).format(name=name, hears=hears, says=says, seconds=seconds)
    # not what these tests themselves were started with
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FASTRTPS_", "FASTDDS_", "ROS_AUTOMATIC"))}
    return subprocess.Popen(
        ["ip", "netns", "exec", host, sys.executable, "-c", code],
        env={**kept, "ROS_DOMAIN_ID": "61", **environment}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(process):
    """How many messages a node heard, and which nodes it ever knew of."""
    heard, names = process.communicate(timeout=40)[0].splitlines()[-1].split()
    return int(heard), names


def environment_of_ours():
    """What a program of this project has where it is started with LOCALHOST."""
    environment = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    without_shared_memory(environment)
    return environment


STRANGERS = {
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": ROBOT, "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
}  # fmt: skip


def test_ros_a_host_that_names_the_robot_gets_nothing_under_localhost(two_hosts):
    robot, stranger = two_hosts
    ours = environment_of_ours()
    nodes = [
        node(robot, "reflex", "in", "out", ours), node(robot, "base", "in", "out", ours),
        node(stranger, "stranger", "out", "in", STRANGERS),
    ]  # fmt: skip
    # the two of the machine see each other
    assert [said(process) for process in nodes] == [(0, "base,reflex"), (0, "base,reflex"), (0, "stranger")]


def test_ros_the_same_host_does_get_in_where_the_range_is_the_subnet(two_hosts):
    # so that the test above is known to see what it looks for
    robot, stranger = two_hosts
    subnet = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    nodes = [node(robot, "reflex", "in", "out", subnet), node(stranger, "stranger", "out", "in", STRANGERS)]
    (heard, known), _ = [said(process) for process in nodes]
    assert heard > 0
    assert known == "reflex,stranger"
