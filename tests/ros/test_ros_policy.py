"""An SROS 2 policy allows each node what it does, and no other node the same: cmd_vel is the reflex's alone."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from hybrid_control.bringup.commands import command
from hybrid_control.bringup.kinds import build
from hybrid_control.bringup.policy import Profile, policy


def allowed(root, node, group, what):
    """Names that a policy allows a node."""
    path = f"enclaves/enclave/profiles/profile[@node='{node}']/{group}s[@{what}='ALLOW']/{group}"
    return [element.text for element in root.findall(path)]


def test_ros_policy_holds_every_name_once_under_the_enclave_of_its_node():
    text = policy(
        [
            Profile("reflex_node", "/a", ("/a/cmd_vel", "/a/cmd_vel"), ("/a/scan",), ("/a/r/set_parameters",)),
            Profile("planner_node", "/", requests=("/x",)),
        ]
    )
    root = ElementTree.fromstring(text)
    assert root.get("version") == "0.2.0"
    assert [e.get("path") for e in root.findall("enclaves/enclave")] == ["/a/reflex_node", "/planner_node"]
    assert allowed(root, "reflex_node", "topic", "publish") == ["/a/cmd_vel"]
    assert allowed(root, "reflex_node", "topic", "subscribe") == ["/a/scan"]
    assert allowed(root, "reflex_node", "service", "reply") == ["/a/r/set_parameters"]
    assert allowed(root, "planner_node", "service", "request") == ["/x"]


def test_ros_policy_of_nodes_that_run_gives_cmd_vel_to_the_reflex_alone(graph, tmp_path, capsys, monkeypatch):
    from hybrid_control.cli import main

    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))
    for node in ("reflex_node", "rate_to_spike_node"):
        graph.run(node, "-p", "autostart:=true")
    graph.until(lambda: len(graph.tester.get_publishers_info_by_topic("/cmd_vel")) == 1, 60, "the reflex's cmd_vel")
    file = tmp_path / "policy.xml"
    assert main(["policy", str(file)]) == 0
    assert "/reflex_node" in capsys.readouterr().out
    root = ElementTree.parse(file).getroot()
    assert "/cmd_vel" in allowed(root, "reflex_node", "topic", "publish")
    assert "/scan" in allowed(root, "reflex_node", "topic", "subscribe")
    assert "/reflex_node/set_parameters" in allowed(root, "reflex_node", "service", "reply")
    assert "/cmd_vel" not in allowed(root, "rate_to_spike_node", "topic", "publish")


@pytest.mark.parametrize("secure", [True, False])
def test_ros_programs_start_in_their_enclave_where_security_is_on(secure, tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true" if secure else "false")
    graph = build("robot", {"namespace": "robot1"})
    words = command(next(p for p in graph.programs if p.name == "reflex_node"), graph, tmp_path)
    assert ("--enclave" in words) == secure
    assert not secure or words[words.index("--enclave") + 1] == "/robot1/reflex_node"
