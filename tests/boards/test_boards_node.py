"""board_bridge_node between a reflex node and the emulated SpiNNaker machine, over topics and over mailboxes."""

import contextlib
import dataclasses
import threading

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from ros_graph import graph  # noqa: F401 (a fixture)

from firmware_bridge.boards.registry import format_config
from firmware_bridge.boards.spinnaker import emulated_config
from firmware_bridge.boards.spinnaker_emulator import SpinnakerEmulator
from hybrid_control.navigation.reflex.network import build_network
from hybrid_control.snn.backends.split import split

# threads against the clock: another try on a busy machine
pytestmark = pytest.mark.flaky(reruns=2, reruns_delay=1)


@pytest.fixture
def machine():
    """An emulated machine that runs, and what a bridge has to know to meet it."""
    config = dataclasses.replace(emulated_config(), silence_limit=1.0)
    emulator = SpinnakerEmulator(
        split(build_network()).board, ("127.0.0.5", config.scamp_port), ("127.0.0.1", config.notify_port),
        ("127.0.0.1", config.output_port),
    )  # fmt: skip

    def run() -> None:
        with contextlib.suppress(OSError, ValueError):  # its socket was closed
            emulator.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield emulator, format_config(config)
    emulator.close()
    thread.join(5)


@pytest.mark.parametrize("topics", [True, False])
def test_boards_node_reflex_and_board_meet_and_part(graph, machine, topics: bool) -> None:  # noqa: F811
    from hybrid_control_ros.board_bridge import BoardBridgeNode
    from hybrid_control_ros.reflex import ReflexNode

    emulator, connection = machine
    reflex = graph.add(
        ReflexNode, backend="spinnaker", without_board="stop", board_timeout=1.0, priority=0,
        options={"board_topics": topics},
    )  # fmt: skip
    bridge = graph.add(
        BoardBridgeNode,
        backend="spinnaker",
        connection=connection,
        options={} if topics else {"reflex": reflex},
    )
    assert reflex.start()
    assert bridge.start()
    on = reflex.reflex.context["board_on"]
    graph.until(lambda: on[0] == 1, 20, "the reflex hears the board")
    assert reflex.reflex.status().reason != "the board is silent"
    _, message, values = bridge.report()
    assert message == ""
    assert values["running"]
    assert values["ever on hardware"] is False
    emulator.close()
    graph.until(lambda: on[0] == 0, 20, "the reflex misses the board")
    graph.until(
        lambda: reflex.reflex.status().reason == "the board is silent", 5, "the reflex says why it stands"
    )
    graph.until(
        lambda: "silent" in bridge.report()[1] or "waiting" in bridge.report()[1], 10, "the bridge says so"
    )


def test_boards_node_waits_for_a_board_that_is_not_there_and_ends(graph) -> None:  # noqa: F811
    from hybrid_control_ros.board_bridge import BoardBridgeNode

    bridge = graph.start(BoardBridgeNode, backend="spinnaker", connection=format_config(emulated_config()))
    _, message, _ = bridge.report()
    assert message == "waiting for the board"
    assert bridge.trigger_deactivate().name == "SUCCESS"


@pytest.mark.parametrize(
    "values", [{"connection": "nonsense"}, {"connection": "dt=0"}, {"network_file": "/nowhere.nir"}]
)
def test_boards_node_what_can_not_be_is_refused_at_configure(graph, values) -> None:  # noqa: F811
    from hybrid_control_ros.board_bridge import BoardBridgeNode

    bridge = graph.add(BoardBridgeNode, **values)
    assert bridge.trigger_configure().name == "FAILURE"


def test_boards_node_a_reflex_at_another_rate_than_the_boards_is_refused(graph) -> None:  # noqa: F811
    from hybrid_control_ros.reflex import ReflexNode

    reflex = graph.add(ReflexNode, backend="loihi", rate=2000.0)
    assert reflex.trigger_configure().name == "FAILURE"
