"""A run while it lasts: its processes, its place in the ROS graph, what is known of it, and how it is brought up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from hybrid_control_msgs.msg import ReflexStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from hybrid_control.navigation.reflex.modes import Mode
from hybrid_control.signals import Goal
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import bare_node
from hybrid_control_ros.run.judge import Judge
from hybrid_control_ros.run.manager import ACTIVE, INACTIVE, Steered
from hybrid_control_ros.run.plan import REFLEX, SIM, Plan
from hybrid_control_ros.run.processes import Child, Children
from hybrid_control_ros.run.recorder import Recorder
from hybrid_control_ros.run.terminal import Display, Interrupt

TICK = 0.02  # s between two looks at everything
_START_TIMEOUT = 150.0  # s until every node must be active; numba may have to compile the reflex first
_SLOW_START = 10.0  # s after which a person reads what is being waited for


class StartError(ValueError):
    """The system could not be started. The message is for the user."""


class Session:
    """What a run's attachments work with. status: the reflex's newest; begun_ns: stamp of the first ground truth."""

    def __init__(
        self, plan: Plan, context: Context, children: Children, interrupt: Interrupt, display: Display
    ) -> None:
        self.plan, self.children, self.interrupt, self.display = plan, children, interrupt, display
        self.judge = Judge(plan.options.duration)
        self.events: list[dict[str, Any]] = []
        self.status: ReflexStatus | None = None
        self.begun_ns: int | None = None
        self.node = bare_node("run_supervisor", context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.recorder = Recorder(context, plan.folder / "run.mcap")
        self.recorder.metadata = {"seed": str(plan.seed), "world": plan.options.world}
        self.goal = self.node.create_publisher(PoseStamped, "/goal_pose", qos.COMMAND)
        managed = [name for program in plan.programs for name in program.managed]
        self._steering = [Steered(self.node, name, "") for name in managed if name != SIM]
        self._simulator = Steered(self.node, SIM, "")
        self._give_up = time.monotonic() + _START_TIMEOUT

    def close(self) -> None:
        """Leave the graph."""
        self.executor.shutdown()
        self.node.destroy_node()

    @property
    def mode(self) -> int:
        """The reflex's newest mode."""
        return int(Mode.INACTIVE if self.status is None else self.status.mode)

    def note(self, text: str) -> None:
        """Something that happened: a line for a person, and one of the report."""
        self.events.append({"t": round(self.judge.t, 3), "text": text})
        self.display.line(f"{self.judge.t:6.1f} s  {text}")

    def send_goal(self) -> None:
        """Say where to go; again and again, since a node may not have been matched yet."""
        stamp_ns = 0 if self.plan.options.real_time_factor != 1.0 else time.time_ns()
        frame = str(self.plan.parameters[REFLEX]["odom_frame"])
        self.goal.publish(convert.goal_message(Goal(stamp_ns, *self.plan.world.goal), frame))

    # -- bringing up ---------------------------------------------------------------------------------------------

    def wait_for(self, condition: Callable[[], bool], child: Child) -> None:
        """Wait for something that a child does; StartError where it dies, or takes too long."""
        while not condition() and not self.interrupt.requested:
            if not child.alive or time.monotonic() > self._give_up:
                raise StartError(f"{child.last_words() or child.end_text()} (log: {child.log})")
            time.sleep(TICK)

    def bring_up(self) -> None:
        """Configure all nodes at once, and activate what steers."""
        for steered in (*self._steering, self._simulator):
            steered.started()
        self._transit([*self._steering, self._simulator], INACTIVE)
        self._transit(self._steering, ACTIVE)

    def begin(self) -> None:
        """Let the simulation begin."""
        self.send_goal()
        self._transit([self._simulator], ACTIVE)

    def _transit(self, nodes: list[Steered], target: int) -> None:
        """Take several nodes to a state at once; StartError where one of them refuses or dies."""
        for steered in nodes:
            steered.target = target
        slow = self._give_up - _START_TIMEOUT + _SLOW_START
        while late := ", ".join(s.name for s in nodes if not s.there):
            if self.interrupt.requested:
                return
            self.executor.spin_once(timeout_sec=TICK)
            for child in self.children.all.values():
                if not child.alive:
                    raise StartError(f"{child.last_words() or child.end_text()} (log: {child.log})")
            for steered in nodes:
                steered.poll()
                if steered.refused:
                    child = self.children.all[self.plan.program_of(steered.name)]
                    raise StartError(
                        f"{steered.name}: {child.last_words() or 'refused to start'} (log: {child.log})"
                    )
            if slow < time.monotonic():
                slow = self._give_up
                self.display.line(f"waiting for {late}; where numba has to compile first it takes a minute")
            if time.monotonic() > self._give_up:
                raise StartError(
                    f"{late} did not start within {_START_TIMEOUT:g} s; the logs are in {self.plan.folder}"
                )
