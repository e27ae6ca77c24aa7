"""The topic cmd_vel as the reflex writes it: its command, or zero where there is a reason for that."""

from __future__ import annotations

import dataclasses
import threading

from hybrid_control.signals import Twist
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import ManagedNode


class Commands:
    """Sends commands from any thread, until the node's cleanup. fault: why zero is sent, "" while nothing is wrong.

    max_age_ns: age of a command beyond which zero is sent in its place.
    """

    def __init__(self, node: ManagedNode, max_age_ns: int) -> None:
        self._stamped, self._frame = node.value("stamped_cmd_vel"), node.value("base_frame")
        self._topic = node.talk(node.twist_kind, "cmd_vel", qos.COMMAND)
        self._lock = threading.Lock()
        self.max_age_ns = max_age_ns
        self._halted = False
        self.fault = ""

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._topic.get_subscription_count())

    def publish(self, twist: Twist) -> None:
        """One message."""
        self._topic.publish(convert.twist_message(twist, self._stamped, self._frame))

    def begin(self) -> None:
        """Let commands flow."""
        self._halted, self.fault = False, ""

    def send(self, twist: Twist, age_ns: int, now_ns: int) -> bool:
        """A command, stamped with the time at which it was made; whether it was young enough.

        Zero in its place where it is too old or there is a fault, nothing once it was halted.
        """
        young = age_ns <= self.max_age_ns
        with self._lock:
            if self.fault or (not young and not self._halted):
                self.publish(Twist(now_ns))
            elif not self._halted:
                self.publish(dataclasses.replace(twist, stamp_ns=now_ns - max(age_ns, 0)))
        return young

    def halt(self, stamp_ns: int) -> None:
        """Zero, and then nothing before `begin`."""
        with self._lock:
            self._halted = True
            self.publish(Twist(stamp_ns))

    def stop_for(self, fault: str, stamp_ns: int) -> None:
        """Zero, from now on until the fault is taken back."""
        with self._lock:
            self.fault = fault
            self.publish(Twist(stamp_ns))
