"""What every node of hybrid_control has in common: parameters, lifecycle, refused inputs, hints, diagnostics."""

from __future__ import annotations

import inspect
import math
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist as TwistMessage
from geometry_msgs.msg import TwistStamped
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from std_srvs.srv import Trigger

from hybrid_control.bringup.node_parameters import NODES
from hybrid_control.navigation import hints
from hybrid_control.navigation.sole import Sole
from hybrid_control.parameters import Parameter, ParameterError, Value, check_all
from hybrid_control.signals import Twist
from hybrid_control.signals.stamps import age_of
from hybrid_control_ros import convert, qos

_LOG_PERIOD = 2.0  # seconds between two lines about the same topic
_HINT_PERIOD = 30.0  # seconds between two lines of the same hint
SOLE = "cmd_vel"  # the topic that one publisher rules
STAND_IN = "bringup_manager"  # beside which that one may be: it sends zero where the reflex has died


# of a callback that is told what the middleware says of a message beside the message itself
_WITH_INFO = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in ("message", "info")])


def new_executor() -> Executor:
    """The executor that costs least where this rclpy has it (Jazzy from 7.1.5 on), else the ordinary one."""
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """What a slider in rqt or Foxglove needs to know about a parameter."""
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    result = ParameterDescriptor(description=f"{parameter.description}{unit}")
    if parameter.choices:
        result.additional_constraints = "one of: " + ", ".join(repr(c) for c in parameter.choices)
    elif not parameter.live:
        result.additional_constraints = "may change only while the node is not configured"
    bounded = math.isfinite(parameter.low) and math.isfinite(parameter.high)
    if bounded and isinstance(parameter.default, float):
        result.floating_point_range = [FloatingPointRange(from_value=parameter.low, to_value=parameter.high)]
    elif bounded and type(parameter.default) is int:
        result.integer_range = [IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))]
    return result


def bare_node(name: str, context: Context, namespace: str = "") -> Node:
    """A node that only looks on, or drives others: without parameters, log topic and the program's ROS arguments."""
    return Node(
        name,
        context=context,
        namespace=namespace,
        enable_rosout=False,
        start_parameter_services=False,
        use_global_arguments=False,
    )


def _endpoint(node: str, kind: str, profile: QoSProfile) -> hints.Endpoint:
    """One end of a topic, of ours or of another's."""
    return hints.Endpoint(
        node,
        kind,
        profile.reliability == ReliabilityPolicy.RELIABLE,
        profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
    )


class ManagedNode(LifecycleNode):
    """A lifecycle node whose parameters stand in hybrid_control.bringup.node_parameters under the name in `kind`.

    Subclasses fill in configure, activate, deactivate and cleanup; a ValueError or OSError out of one of them is one
    line in the log and a transition that failed. What `listen`, `talk` and `every` open is closed at cleanup.
    """

    kind: ClassVar[str]

    def __init__(self, values: Mapping[str, Value] | None = None, **options: Any) -> None:
        super().__init__(self.kind, **options)
        self._specs = {p.name: p for p in NODES[self.kind]}
        self._open: list[tuple[Callable[[Any], Any], Any]] = []
        self.configured = False
        self.active = False
        self.refused: Counter[str] = Counter()
        self.contradicted: set[str] = set()  # topics on which more publishers speak than the one that may
        self._said: dict[str, float] = {}
        self._refusals: dict[str, tuple[float, str]] = {}  # of each topic whose newest message was refused
        self._lasting = hints.Lasting()
        self.hints: list[str] = []  # what a person should read, as last looked for
        for name, value in check_all(self._specs.values(), values or {}).items():
            self.declare_parameter(name, value, descriptor(self._specs[name]), ignore_override=True)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._answer_bad_transitions()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.STREAM)
        self.create_timer(1.0, self._look_around, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # -- for subclasses to fill in -------------------------------------------------------------------------------

    def configure(self) -> None:
        """Load and check everything; nothing moves yet."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working, safely; must be callable when nothing was begun."""

    def cleanup(self) -> None:
        """Forget what configure loaded; must be callable when nothing was loaded."""

    def halt(self) -> None:
        """Stop the robot at once, from whatever thread; called when the process is told to end."""

    def change(self, changes: Mapping[str, Value]) -> None:
        """Let live parameters take effect, all or none; ParameterError where they can't. Called when configured."""

    def own_hints(self) -> list[str]:
        """What this node alone knows to be waited for in vain."""
        return []

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        """Level, message and values of this node's entry in /diagnostics."""
        return DiagnosticStatus.OK, "", {}

    # -- for subclasses to use -----------------------------------------------------------------------------------

    def value(self, name: str) -> Any:
        """A parameter's value."""
        return self.get_parameter(name).value

    def values(self, parameters: tuple[Parameter, ...]) -> dict[str, Value]:
        """The values of several parameters."""
        return {p.name: self.value(p.name) for p in parameters}

    def now_ns(self) -> int:
        """The ROS clock's time."""
        return int(self.get_clock().now().nanoseconds)

    def listen(self, kind: type, topic: str, callback: Callable[..., None], profile: QoSProfile) -> Any:
        """Subscribe until cleanup. callback: takes the message, or the message and what the middleware says of it."""
        subscription = self.create_subscription(kind, topic, callback, profile)
        self._open.append((self.destroy_subscription, subscription))
        return subscription

    def take(
        self, kind: type, topic: str, put: Callable[[Any], None], profile: QoSProfile, sole: bool = False
    ) -> Any:
        """Subscribe until cleanup for what counts only while active; a ValueError of `put` refuses a message.

        A sensor's message that came before the first /clock is left: it cannot be dated, and the next one follows.
        sole: of a topic that one publisher alone may speak on; while a second does, each message is refused.
        """
        publishers = Sole()

        def callback(message: Any, info: Mapping[str, Any] | None = None) -> None:
            if info is None:  # the events executor hands both over as one
                message, info = message
            alone = not sole or publishers.alone(info["publication_sequence_number"], time.monotonic())
            if not self.active or (profile is qos.SENSOR and self.now_ns() == 0):
                return
            if alone == (topic in self.contradicted):
                (self.contradicted.discard if alone else self.contradicted.add)(topic)
                self.on_contradiction()
            try:
                if not alone:
                    names = [e.node_name for e in self.get_publishers_info_by_topic(subscription.topic_name)]
                    raise ValueError(hints.contradiction(names))
                put(message)
            except ValueError as error:
                self.refuse(topic, error)
            else:
                self.accept(topic)

        callback.__signature__ = _WITH_INFO  # type: ignore[attr-defined]  # what rclpy goes by
        subscription = self.listen(kind, topic, callback, profile)
        return subscription

    def on_contradiction(self) -> None:
        """What is in `contradicted` has changed; hook."""

    def talk(self, kind: type, topic: str, profile: QoSProfile) -> Any:
        """A publisher until cleanup."""
        publisher = self.create_publisher(kind, topic, profile)
        self._open.append((self.destroy_publisher, publisher))
        return publisher

    def every(self, period: float, callback: Callable[[], None]) -> Any:
        """Call back every so many seconds of the ROS clock, until cleanup."""
        timer = self.create_timer(period, callback)
        self._open.append((self.destroy_timer, timer))
        return timer

    def steadily(self, period: float, callback: Callable[[], None]) -> Any:
        """As `every`, by the monotonic clock: motors turn in real time, whatever the ROS clock does."""
        timer = self.create_timer(period, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._open.append((self.destroy_timer, timer))
        return timer

    def serve(self, name: str, callback: Callable[[Any, Any], Any]) -> None:
        """A service of type Trigger until cleanup."""
        service = self.create_service(Trigger, name, callback)
        self._open.append((self.destroy_service, service))

    def stamp_ns(self, received_ns: int) -> int:
        """When something was received, by the ROS clock. received_ns: by the monotonic clock."""
        if self.get_parameter("use_sim_time").value:
            return self.now_ns()
        return self.now_ns() - (time.monotonic_ns() - received_ns)

    @property
    def twist_kind(self) -> type:
        """The message type of cmd_vel."""
        return TwistStamped if self.value("stamped_cmd_vel") else TwistMessage

    def fresh_twist(self, message: Any) -> tuple[Twist, float]:
        """The velocity of a cmd_vel and its age in s by its stamp, 0 where it has none.

        ValueError where it is older than the parameter command_timeout, or from the future.
        """
        now_ns = self.now_ns()
        twist = convert.twist(message, now_ns)
        stamp_ns = twist.stamp_ns or now_ns
        return twist, age_of(stamp_ns, now_ns, "command_timeout", self.value("command_timeout")) * 1e-9

    def refuse(self, topic: str, reason: object) -> None:
        """Count an input that can't be used, and say so now and then."""
        self.refused[topic] += 1
        now = time.monotonic()
        self._refusals[topic] = now, f"{topic} refused: {str(reason).split(' refused: ', 1)[-1]}"
        if now - self._said.get(topic, -math.inf) >= _LOG_PERIOD:
            self._said[topic] = now
            self.get_logger().warning(f"refused {topic} ({self.refused[topic]} so far): {reason}")

    def accept(self, topic: str) -> None:
        """A good input came: what was refused before no longer matters."""
        self._refusals.pop(topic, None)

    def refusal(self, topic: str, seconds: float = math.inf) -> str:
        """Why the newest message of a topic was refused, "" where it was not, or longer ago than so many seconds."""
        at, line = self._refusals.get(topic, (-math.inf, ""))
        return line if time.monotonic() - at < seconds else ""

    def start(self) -> bool:
        """Configure and activate; whether both went well."""
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def end(self) -> None:
        """Whatever the state: stop the robot, release everything, and leave the graph."""
        self._quiet()
        self._close()
        self.destroy_node()

    # -- lifecycle -----------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.refused.clear()
        self.contradicted.clear()
        self._refusals.clear()
        result = self._attempt("configure", self.configure, self._close)
        self.configured = result == TransitionCallbackReturn.SUCCESS
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._attempt("activate", self.activate, self.deactivate)
        self.active = result == TransitionCallbackReturn.SUCCESS
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._quiet()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._quiet()
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._quiet()
        self._close()
        return TransitionCallbackReturn.SUCCESS

    def _quiet(self) -> None:
        self.active = False
        self.deactivate()

    def _close(self) -> None:
        self.configured = False
        self.cleanup()
        while self._open:
            destroy, entity = self._open.pop()
            destroy(entity)

    def _attempt(
        self, what: str, work: Callable[[], None], undo: Callable[[], None]
    ) -> TransitionCallbackReturn:
        try:
            work()
        except (ValueError, OSError) as error:
            self.get_logger().error(f"{what} failed: {error}")
            undo()
            return TransitionCallbackReturn.FAILURE
        except Exception:
            # rclpy would swallow it
            self.get_logger().error(f"{what} broke off:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _answer_bad_transitions(self) -> None:
        """Answer a transition that the present state does not have; rclpy would raise, and end the process."""
        service = next(s for s in self.services if s.service_name.endswith("/change_state"))
        change_state = service.callback

        def answer(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except RuntimeError as error:
                self.get_logger().warning(f"transition {request.transition.id} is not possible now ({error})")
                response.success = False
                return response

        service.callback = answer

    # -- parameters and diagnostics ------------------------------------------------------------------------------

    def _on_set_parameters(self, parameters: list[RosParameter]) -> SetParametersResult:
        changes: dict[str, Value] = {}
        try:
            for parameter in parameters:
                spec = self._specs.get(parameter.name)
                if self.configured and (parameter.name == "use_sim_time" or (spec and not spec.live)):
                    raise ParameterError(
                        f"{parameter.name}: may change only while the node is not configured"
                    )
                if spec:
                    changes[spec.name] = spec.check(parameter.value)
            if self.configured and changes:
                self.change(changes)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _graph_hints(self) -> list[str]:
        """What of our topics does not go together with others, as the graph is now."""
        lines: list[str] = []
        if self.get_parameter("use_sim_time").value:
            lines += hints.clock_hints([e.node_name for e in self.get_publishers_info_by_topic("/clock")])
        for _, entity in self._open if self.configured else ():
            if not isinstance(entity, (Publisher, Subscription)):
                continue
            sends, topic = isinstance(entity, Publisher), entity.topic_name
            message: Any = entity.msg_type
            kind = f"{message.__module__.split('.')[0]}/msg/{message.__name__}"
            me = _endpoint(self.get_fully_qualified_name(), kind, entity.qos_profile)
            publishers = self.get_publishers_info_by_topic(topic)
            others = (
                _endpoint(f"{e.node_namespace.rstrip('/')}/{e.node_name}", e.topic_type, e.qos_profile)
                for e in (self.get_subscriptions_info_by_topic(topic) if sends else publishers)
            )
            lines += hints.mismatches(topic, me, (other for other in others if other.node != me.node), sends)
            if entity.topic == SOLE:
                lines += hints.rivals(topic, [e.node_name for e in publishers if e.node_name != STAND_IN])
        return lines

    def _look_for_hints(self) -> None:
        now = time.monotonic()
        self.hints = [*self._lasting.see(self._graph_hints(), now), *self.own_hints()]
        for line in self.hints:
            if now - self._said.get(line, -math.inf) >= _HINT_PERIOD:
                self._said[line] = now
                self.get_logger().warning(line)

    def _look_around(self) -> None:
        """Once a second: what stands in the way, and how this node is."""
        self._look_for_hints()
        self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        level, message, values = self.report()
        if self.hints:
            level = max(level, DiagnosticStatus.WARN)
            new = [line for line in self.hints if line not in message]
            message = "; ".join([message, *new] if message else new)
        for i, line in enumerate(self.hints, 1):
            values[f"hint {i}"] = line
        state = "active" if self.active else "inactive" if self.configured else "unconfigured"
        for topic, count in self.refused.items():
            values[f"refused {topic}"] = count
        name = self.get_fully_qualified_name().lstrip("/")
        array = DiagnosticArray()
        array.header.stamp = self.get_clock().now().to_msg()
        array.status = [
            convert.diagnostic(name, self.kind, level, message or state, {"state": state, **values})
        ]
        self._diagnostics.publish(array)
