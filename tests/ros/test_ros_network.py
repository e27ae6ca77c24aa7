"""LOCALHOST means this machine alone: a host beside it that names the robot hears nothing of it, and moves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import pytest

from hybrid_control.bringup.dds import without_shared_memory

ROBOT, STRANGER = "10.213.7.1", "10.213.7.2"


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True)


@pytest.fixture
def two_hosts():
    """Two network namespaces with a cable between them, the robot's and a stranger's, by a process in each."""
    hosts = [subprocess.Popen(["unshare", "--net", "sleep", "300"]) for _ in range(2)]
    try:
        wait_for_namespaces(hosts)
        names = [f"hc{host.pid}" for host in hosts]
        run("ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1])
        for host, name, address in zip(hosts, names, (ROBOT, STRANGER), strict=True):
            run("ip", "link", "set", name, "netns", str(host.pid))
            run(*inside(host), "ip", "address", "add", f"{address}/24", "dev", name)
            run(*inside(host), "ip", "link", "set", name, "up")
            run(*inside(host), "ip", "link", "set", "lo", "up")
            run(*inside(host), "ip", "route", "add", "default", "dev", name)
    except (OSError, subprocess.CalledProcessError) as error:
        end(hosts)
        pytest.skip(f"network namespaces need iproute2 and permission: {getattr(error, 'stderr', error)}")
    yield hosts
    end(hosts)


def wait_for_namespaces(hosts):
    """Until each process is in a network namespace of its own; CalledProcessError where it ended instead."""
    ours = os.readlink("/proc/self/ns/net")
    for host in hosts:
        while os.readlink(f"/proc/{host.pid}/ns/net") == ours:
            if host.poll() is not None:
                raise subprocess.CalledProcessError(host.returncode, host.args)
            time.sleep(0.01)


def end(hosts):
    for host in hosts:
        host.kill()
        host.wait()


def inside(host):
    return ["nsenter", "--net", "--target", str(host.pid)]


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
        [*inside(host), sys.executable, "-c", code],
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


@pytest.mark.slow
def test_ros_the_same_host_does_get_in_where_the_range_is_the_subnet(two_hosts):
    # so that the test above is known to see what it looks for
    robot, stranger = two_hosts
    subnet = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    nodes = [node(robot, "reflex", "in", "out", subnet), node(stranger, "stranger", "out", "in", STRANGERS)]
    (heard, known), _ = [said(process) for process in nodes]
    assert heard > 0
    assert known == "reflex,stranger"
