"""What judges a run in Gazebo: the robot's true place and its contacts become sim/state, a verdict and a report.

Gazebo's side of the topics is played here: the robot goes straight to the goal, through whatever stands there.
"""

import json
import math
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from geometry_msgs.msg import PoseStamped
from hybrid_control_msgs.msg import SimState
from hybrid_control_ros import convert, qos
from hybrid_control_ros.run import gazebo as judge
from nav_msgs.msg import Odometry as OdometryMessage

from hybrid_control.signals import Goal, Odometry, Pose, Twist
from hybrid_control.sim.worlds import generate

SPEED, PERIOD_NS = 4.0, 20_000_000


class FakeGazebo:
    """Publishes ground_truth fifty times a second, the goal once a second, and where wanted one contact.

    The robot stands until the judge has begun.
    """

    def __init__(self, graph, world, contact_at=None):
        self._world, self._contact_at = world, contact_at
        self._truth = graph.publisher(OdometryMessage, "ground_truth")
        self._goal = graph.publisher(PoseStamped, "goal_pose", qos.COMMAND)
        self._contacts = None
        if contact_at is not None:
            self._contacts = graph.publisher(judge.message_class(judge.CONTACTS), "contacts")
        self._states = graph.collect(SimState, "sim/state")
        self._count = self._stood = 0
        graph.tester.create_timer(PERIOD_NS * 1e-9, self._step)

    def _step(self):
        if not (self._truth.get_subscription_count() and self._goal.get_subscription_count()):
            return
        if self._count % 50 == 0:
            self._goal.publish(convert.goal_message(Goal(0, *self._world.goal), "odom"))
        self._count += 1
        if not self._states:
            self._stood = self._count
        start, goal = self._world.start, self._world.goal
        now = 7_000_000_000 + self._count * PERIOD_NS  # Gazebo has run for a while
        way = min(SPEED * (self._count - self._stood) * PERIOD_NS * 1e-9, self._world.straight_distance)
        heading = math.atan2(goal[1] - start.y, goal[0] - start.x)
        pose = Pose(start.x + way * math.cos(heading), start.y + way * math.sin(heading), heading)
        self._truth.publish(convert.odometry_message(Odometry(now, pose, Twist(now, SPEED)), "world", "base"))
        if self._contacts is not None and way >= self._contact_at:
            self._contacts.publish(self._touch(now))

    def _touch(self, now):
        from geometry_msgs.msg import Vector3
        from ros_gz_interfaces.msg import Contact, Contacts

        contact = Contact(positions=[Vector3(x=1.0, y=0.0, z=0.3)])
        contact.collision2.name = "obstacles::link::cylinder4"
        message = Contacts(contacts=[contact])
        message.header.stamp = convert.to_stamp(now)
        return message


@pytest.fixture
def domain(graph, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(graph.domain))


def reported(out):
    (folder,) = out.iterdir()
    assert (folder / "report.html").is_file()
    return json.loads((folder / "report.json").read_text())


def test_judge_of_gazebo_reports_an_arrival_as_sim_does(graph, domain, tmp_path, capsys):
    gazebo = FakeGazebo(graph, generate("open"))
    assert judge.main(["--world", "open", "--out", str(tmp_path), "--gazebo", "fortress"]) == 0, gazebo
    said = capsys.readouterr().out.splitlines()
    assert any(line.startswith("judge: goal reached without a contact") for line in said)
    report = reported(tmp_path)
    assert report["outcome"]["success"] is True
    assert report["outcome"]["contacts"] == 0
    assert report["versions"]["simulator"] == "Gazebo fortress"
    # 10 m to the goal, which counts as reached half a metre before it
    assert report["time_to_goal_s"] == pytest.approx(9.5 / SPEED, abs=0.3)
    assert report["path_length_m"] == pytest.approx(10.0, abs=0.5)


def test_judge_of_gazebo_without_a_contact_sensor_goes_by_the_distance(
    graph, domain, tmp_path, capsys, monkeypatch
):
    def missing(kind):
        raise LookupError(f"no message type {kind}")

    monkeypatch.setattr(judge, "message_class", missing)
    seed = next(seed for seed in range(20) if generate("default", seed).straight_line_blocked())
    gazebo = FakeGazebo(graph, generate("default", seed))
    assert judge.main(["--world", "default", "--seed", str(seed), "--out", str(tmp_path)]) == 1, gazebo
    said = capsys.readouterr().out
    assert "not by the sensor: no message type ros_gz_interfaces/msg/Contacts" in said
    assert "contact with an obstacle" in said
    report = reported(tmp_path)
    assert report["outcome"]["result"] == "contact"
    assert report["minimum_distance_m"] == 0.0


def test_judge_of_gazebo_counts_what_the_contact_sensor_says(graph, domain, tmp_path, capsys):
    pytest.importorskip("ros_gz_interfaces.msg", reason="ros_gz_interfaces is not here: it comes with ros_gz")
    gazebo = FakeGazebo(graph, generate("open"), contact_at=3.0)
    assert judge.main(["--world", "open", "--out", str(tmp_path)]) == 1, gazebo
    assert "contact with cylinder4" in capsys.readouterr().out
    report = reported(tmp_path)
    assert report["outcome"]["contacts"] == 1
    assert report["events"][0]["t"] == pytest.approx(3.0 / SPEED, abs=0.3)


def contact(name, *heights):
    return SimpleNamespace(
        positions=[SimpleNamespace(z=z) for z in heights], collision2=SimpleNamespace(name=name, id=17)
    )


def test_judge_of_gazebo_takes_the_ground_for_no_obstacle():
    assert judge.touched(contact("ground::link::collision", 0.0, 0.001)) is None
    assert judge.touched(contact("obstacles::link::box3", 0.0, 0.4)) == "box3"
    assert judge.touched(contact("", 0.4)) == "entity 17"  # Fortress before 6.5 names nothing
    assert judge.touched(contact("mover0::link::mover0")) == "mover0"
