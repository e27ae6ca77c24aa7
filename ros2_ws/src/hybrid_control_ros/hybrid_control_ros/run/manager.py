"""Takes the lifecycle nodes of a graph to where they belong, and the robot to stop when one of them dies."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped, TwistStamped
from geometry_msgs.msg import Twist as TwistMessage
from hybrid_control_msgs.msg import ReflexStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from hybrid_control.bringup.graph import Graph
from hybrid_control.signals import Goal, Twist
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import STAND_IN, bare_node

UNCONFIGURED, INACTIVE, ACTIVE = (
    State.PRIMARY_STATE_UNCONFIGURED,
    State.PRIMARY_STATE_INACTIVE,
    State.PRIMARY_STATE_ACTIVE,
)
REFLEX = "reflex_node"
_PERIOD = 0.02  # s between two looks at everything
_QUERY = 0.5  # s after which a question is asked anew: an answer is lost while DDS is still matching
_STOPPING = 1.0  # s for which zero commands are sent when the reflex has died
_SILENCE = 2.0  # s without a tick after which an active reflex counts as dead
_STOP_PERIOD = 0.05  # s between two of them
_GOALS = 5  # times that the goal is told, a second apart: a node may not have been matched yet
_STEPS = {
    (UNCONFIGURED, INACTIVE): (Transition.TRANSITION_CONFIGURE, INACTIVE),
    (UNCONFIGURED, ACTIVE): (Transition.TRANSITION_CONFIGURE, INACTIVE),
    (INACTIVE, ACTIVE): (Transition.TRANSITION_ACTIVATE, ACTIVE),
    (ACTIVE, INACTIVE): (Transition.TRANSITION_DEACTIVATE, INACTIVE),
}


class Steered:
    """One lifecycle node and the state that it is to be in: asks until it is there."""

    def __init__(self, node: Node, name: str, namespace: str) -> None:
        self.name = name
        self.target = INACTIVE
        self.state: int | None = None  # None: not known
        self.refused = False
        self.running = False
        full = f"{namespace}/{name}"
        self._change = node.create_client(ChangeState, f"{full}/change_state")
        self._get = node.create_client(GetState, f"{full}/get_state")
        self._asked: Any = None
        self._query: Any = None
        self._goal_state = 0
        self._at = self._queried_at = 0.0

    @property
    def there(self) -> bool:
        """Whether it is in the state that it is to be in."""
        return self.running and self._asked is None and self.state == self.target

    def started(self) -> None:
        """Its process is new."""
        self.running, self.refused = True, False
        self.state = self._asked = self._query = None

    def ended(self) -> None:
        """Its process is gone."""
        self.running = False
        self.state = self._asked = self._query = None

    def poll(self) -> None:
        """Look for answers, and ask where that is due."""
        if not self.running or self.refused:
            return
        now = time.monotonic()
        if self._asked is not None:
            if self._asked.done():
                answer, self._asked = self._asked.result(), None
                self.state = self._goal_state if answer.success else None
                self.refused = not answer.success
            elif self._ask_state(now) is not None and now - self._at > 1.0:
                self._asked = None  # the answer was lost, or the question
            return
        if self.state is None:
            self._ask_state(now)
            return
        step = _STEPS.get((self.state, self.target))
        if step is not None and self._change.service_is_ready():
            transition, self._goal_state = step
            self._asked = self._change.call_async(ChangeState.Request(transition=Transition(id=transition)))
            self._at, self._query, self._queried_at = now, None, now

    def _ask_state(self, now: float) -> int | None:
        """The node's state as it says, None while it has not answered; a state between two does not count."""
        if self._query is not None and self._query.done():
            state = self._query.result().current_state.id
            self._query = None
            if state in (UNCONFIGURED, INACTIVE, ACTIVE):
                self.state = state
                return int(state)
        elif now - self._queried_at > (_QUERY if self._query is None else 4 * _QUERY):
            if not self._get.service_is_ready():
                return None
            self._query, self._queried_at = self._get.call_async(GetState.Request()), now
        return None


class StandIn:
    """Sends zero commands for a while in the place of a reflex that has died."""

    def __init__(self, node: Node, graph: Graph) -> None:
        values = graph.values(REFLEX)
        self._node = node
        self._stamped, self._frame = bool(values["stamped_cmd_vel"]), str(values["base_frame"])
        kind = TwistStamped if self._stamped else TwistMessage
        self._topic = node.create_publisher(kind, graph.cmd_vel, qos.COMMAND)
        self._until = self._at = 0.0

    def begin(self) -> None:
        """The reflex has died."""
        self._until = time.monotonic() + _STOPPING

    def poll(self, now: float) -> None:
        """Send what is due."""
        if now < self._until and now - self._at >= _STOP_PERIOD:
            self._at = now
            self.stop()

    def stop(self) -> None:
        """One zero command."""
        stamp_ns = self._node.get_clock().now().nanoseconds
        self._topic.publish(convert.twist_message(Twist(stamp_ns), self._stamped, self._frame))


class FirstGoal:
    """Sends the graph's goal a few times, since a node may not have been matched yet."""

    def __init__(self, node: Node, graph: Graph, goal: tuple[float, float]) -> None:
        values = graph.values(REFLEX)
        self._frame, self._simulated = str(values["odom_frame"]), bool(values["use_sim_time"])
        self._goal = goal
        self._topic = node.create_publisher(PoseStamped, graph.goal_topic, qos.COMMAND)
        self._left, self._at = _GOALS, 0.0

    def poll(self, now: float) -> None:
        """Send it where that is due."""
        if self._left and now - self._at > 1.0:
            self._left, self._at = self._left - 1, now
            goal = Goal(0 if self._simulated else time.time_ns(), *self._goal)
            self._topic.publish(convert.goal_message(goal, self._frame))

    def forget(self) -> None:
        """Never send it again."""
        self._left = 0


class Pulse:
    """Whether the reflex ticks, by what it says of itself."""

    def __init__(self, node: Node, reflex: Steered) -> None:
        self._reflex = reflex
        self._ticks = -1
        self._at = time.monotonic()
        node.create_subscription(ReflexStatus, "reflex/status", self._see, qos.STREAM)

    def _see(self, status: ReflexStatus) -> None:
        if status.ticks != self._ticks:
            self._ticks, self._at = status.ticks, time.monotonic()

    @property
    def beats(self) -> bool:
        """Whether it went on lately; also while it is not active and so has nothing to say: it is being brought up."""
        if self._reflex.state != ACTIVE:
            self._at = time.monotonic()
        return time.monotonic() - self._at < _SILENCE


class Manager:
    """Brings a graph's nodes up in order, and keeps the robot safe while one of them is away.

    All are configured before any is activated. While a program that carries the robot is away the reflex is inactive;
    when the reflex dies, zero commands are sent in its place. A reflex that was inactive or restarted has no goal and
    stays where it is until it is told one: nobody is surprised by a robot that drives on by itself.

    say: takes a line for a person. `started` and `ended` may be called from any thread; everything else happens in
    the thread that calls `poll`.
    """

    def __init__(self, graph: Graph, say: Callable[[str], None], domain: int | None = None) -> None:
        self._graph, self._say = graph, say
        self._events: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        self._node = bare_node(STAND_IN, self._context, graph.namespace)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._steered = {name: Steered(self._node, name, graph.namespace) for name in graph.managed}
        self._up = False  # all were active once
        self._stand_in = StandIn(self._node, graph) if REFLEX in self._steered else None
        self._pulse = Pulse(self._node, self._steered[REFLEX]) if REFLEX in self._steered else None
        self._goal: FirstGoal | None = None
        if REFLEX in self._steered and graph.goal is not None:
            self._goal = FirstGoal(self._node, graph, graph.goal)

    def started(self, program: str) -> None:
        """A program of the graph was started."""
        self._events.put((program, True))

    def ended(self, program: str) -> None:
        """A program of the graph has ended, for whatever reason."""
        self._events.put((program, False))

    @property
    def all_active(self) -> bool:
        """Whether every node is active now."""
        return (self._up or not self._steered) and all(s.there for s in self._steered.values())

    @property
    def alive(self) -> bool:
        """Whether the graph's reflex ticks, where it has one; true while all is being brought up."""
        return not self._up or self._pulse is None or self._pulse.beats

    @property
    def refused(self) -> str:
        """The first node that refused a transition, "" where none did."""
        return next((s.name for s in self._steered.values() if s.refused), "")

    def poll(self, seconds: float = _PERIOD) -> None:
        """Look at everything once, waiting for answers at most so long."""
        self._executor.spin_once(timeout_sec=seconds)
        while not self._events.empty():
            self._take(*self._events.get())
        self._aim()
        for steered in self._steered.values():
            steered.poll()
        now = time.monotonic()
        if self._stand_in is not None:
            self._stand_in.poll(now)
        if self._up and self._goal is not None:
            self._goal.poll(now)

    def stop(self) -> None:
        """One zero command, in the reflex's place."""
        if self._stand_in is not None:
            self._stand_in.stop()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown(timeout_sec=0.05)
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _take(self, program: str, started: bool) -> None:
        nodes = [name for name, owner in self._graph.managed.items() if owner.name == program]
        for name in nodes:
            steered = self._steered[name]
            steered.started() if started else steered.ended()
        if not started and REFLEX in nodes and self._stand_in is not None:
            self._stand_in.begin()
        if not started and self._up and (REFLEX in nodes or self._program(program).carries):
            if self._goal is not None:
                self._goal.forget()
            self._say(f"{program} ended: the robot is stopped, and then waits for a new goal_pose")

    def _program(self, name: str) -> Any:
        return next(p for p in self._graph.programs if p.name == name)

    def _aim(self) -> None:
        """Which state each node is to be in now."""
        everyone = self._steered.values()
        if not self._up:
            # one after another, so that what carries the robot or makes the time comes where the graph has it
            configured = all(s.running and s.state in (INACTIVE, ACTIVE) for s in everyone)
            before = configured
            for steered in everyone:
                if before:
                    steered.target = ACTIVE
                before = before and steered.state == ACTIVE
            if before and self._steered:
                self._up = True
                self._say(f"{len(self._steered)} nodes are active")
            return
        carried = all(
            self._steered[name].state == ACTIVE
            for name, program in self._graph.managed.items()
            if program.carries
        )
        for steered in everyone:
            steered.target = ACTIVE if carried or steered.name != REFLEX else INACTIVE


class ManagerThread(threading.Thread):
    """A manager in a thread of its own, for a program that has a loop of its own such as `ros2 launch`."""

    def __init__(self, graph: Graph, say: Callable[[str], None], refused: Callable[[str], None]) -> None:
        super().__init__(name="bring-up", daemon=True)
        self._manager = Manager(graph, say)
        self._refused = refused
        self._ending = threading.Event()
        self.started, self.ended = self._manager.started, self._manager.ended

    def run(self) -> None:
        said = ""
        try:
            while not self._ending.is_set():
                self._manager.poll()
                if self._manager.refused and self._manager.refused != said:
                    said = self._manager.refused
                    self._refused(said)
        except ExternalShutdownException:
            return
        self._manager.close()

    def end(self) -> None:
        """Leave the graph."""
        self._ending.set()
        if self.is_alive():
            self.join(1.0)
