"""The planner's initial states over the topics: who says them, who hears them, and what they are good for."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from geometry_msgs.msg import PoseStamped
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import StateVectorMessage
from hybrid_control_ros.planner import PlannerNode, States
from hybrid_control_ros.reflex import ReflexNode
from nav_msgs.msg import Odometry as OdometryMessage
from ros_graph import SOURCE, own_domain
from ros_models import write_model
from sensor_msgs.msg import Image

from hybrid_control.bench import settle_nodes
from hybrid_control.bringup.dds import without_shared_memory
from hybrid_control.navigation import states
from hybrid_control.navigation.bench.map_planner import planner_rates
from hybrid_control.navigation.bench.settle import AFTER
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.states import Plan
from hybrid_control.signals import Goal, Odometry, Pose, StateVector, Twist, layout

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
TOPIC = "planner/state"


@pytest.fixture(scope="module")
def stateful(tmp_path_factory):
    path = tmp_path_factory.mktemp("stateful") / "stateful.onnx"
    write_model(path, states=("recurrence", "excitation"))
    return path


class Eyes:
    """What a planner node is fed with."""

    def __init__(self, graph, node):
        self.graph, self.node, self.goal = graph, node, (5.0, 0.0)
        self.camera = graph.publisher(Image, "camera/image_raw")
        self.odom = graph.publisher(OdometryMessage, "odom")
        self.goals = graph.publisher(PoseStamped, "goal_pose", qos.COMMAND)
        self.sent = graph.publisher(PoseStamped, "reflex/goal", qos.LATCHED)
        for publisher in (self.camera, self.odom, self.goals, self.sent):
            graph.until(lambda p=publisher: p.get_subscription_count() == 1)

    def show(self):
        now = self.node.now_ns()
        self.odom.publish(convert.odometry_message(Odometry(now, Pose(), Twist(now)), "odom", "base_link"))
        self.goals.publish(convert.goal_message(Goal(now, *self.goal), "odom"))
        self.camera.publish(convert.image_message(now, "camera", PICTURE))
        time.sleep(0.1)
        return True

    def show_until(self, condition):
        self.graph.until(lambda: self.show() and condition())


def test_ros_states_are_said_once_for_a_direction_and_again_when_the_reflex_is_sent_anew(graph, stateful):
    node = graph.add(PlannerNode, model_file=str(stateful))
    assert node.start()
    heard = graph.collect(StateVectorMessage, TOPIC, qos.COMMAND)
    eyes = Eyes(graph, node)
    graph.until(lambda: node.count_subscribers(TOPIC) == 1)
    eyes.show_until(lambda: heard)
    for _ in range(5):
        eyes.show()
    assert len(heard) == 1
    vector = convert.state_vector(heard[0].message)
    assert [(p.name, p.size) for p in vector.populations] == [("recurrence", 72), ("excitation", 72)]
    assert set(vector.values.tolist()) == {0.25}
    eyes.sent.publish(convert.goal_message(Goal(node.now_ns(), 5.0, 0.0), "odom"))
    eyes.show_until(lambda: len(heard) == 2)


def test_ros_states_there_is_no_topic_where_the_model_has_none(graph, model_file):
    node = graph.add(PlannerNode, model_file=str(model_file))
    assert node.start()
    assert node.count_publishers(TOPIC) == 0


def test_ros_states_are_not_asked_for_while_nobody_listens(graph, stateful):
    node = graph.add(PlannerNode, model_file=str(stateful))
    assert node.start()
    assert node.count_publishers(TOPIC) == 1
    assert not node._states.wanted


def test_ros_states_are_heard_by_a_reflex_that_takes_them_alone(graph):
    off = graph.start(ReflexNode, priority=0)
    assert off.count_subscribers(TOPIC) == 0
    graph.transition("reflex_node", "deactivate")
    graph.transition("reflex_node", "cleanup")
    graph.set("reflex_node", planner_states=True)
    assert off.start()
    assert off.count_subscribers(TOPIC) == 1


def test_ros_states_that_are_impossible_are_refused_and_counted(graph):
    node = graph.start(ReflexNode, priority=0, planner_states=True)
    says = graph.publisher(StateVectorMessage, TOPIC, qos.STREAM)
    graph.until(lambda: says.get_subscription_count() == 1)
    bad = StateVectorMessage(populations=["recurrence"], sizes=[1], values=[float("nan")])
    says.publish(bad)
    graph.until(lambda: node.refused[TOPIC] == 1)
    now = node.now_ns()
    says.publish(convert.state_vector_message(StateVector(now, np.zeros(3), layout(recurrence=3))))
    graph.until(lambda: node.refused[TOPIC] == 2)
    assert "the network's has 72 neurons" in node.refusal(TOPIC)


def test_ros_states_go_by_hand_within_a_process(graph, stateful):
    handed = []
    node = graph.add(PlannerNode, model_file=str(stateful), options={"hand_over_states": handed.append})
    assert node.start()
    Eyes(graph, node).show_until(lambda: handed)
    assert isinstance(handed[0], StateVector)
    assert node.count_subscribers(TOPIC) == 0


def test_ros_states_of_a_plan_that_was_begun_before_the_reflex_was_sent_elsewhere_are_not_said():
    handed = []
    said = States(handed.append)
    plan = Plan(0, planner_rates(0.5, 1.0), contract.POPULATIONS, StateVector(0, np.zeros(72), layout(recurrence=72)))
    errand = said.errand
    said.begin()
    said.say(plan, 0.0, errand)
    assert not handed
    said.say(plan, 0.0, said.errand)
    said.say(plan, 0.0, said.errand)
    assert len(handed) == 1


@pytest.mark.slow
def test_ros_states_time_to_the_first_right_command_can_be_measured_in_real_time(tmp_path, monkeypatch):
    """With three nodes in processes of their own. That it is shorter is held in lock step (tests/nav)."""
    model = tmp_path / "colours.onnx"
    settle_nodes.write_planner(model, states.read(contract.DEFAULT_MODEL))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH")))))
    without_shared_memory(os.environ)
    with own_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        with settle_nodes.graph(model, True) as robot:
            row = settle_nodes.trial(robot, "new plan", 0)
    assert 0.0 < row["plan_ms"] <= row["event_ms"] < AFTER
