"""The topic cmd_vel as the reflex writes it: its command, or zero where there is a reason for that."""

from __future__ import annotations

import dataclasses
import threading

from hybrid_control.signals import Twist
from hybrid_control_ros import convert, qos
from hybrid_control_ros.node import ManagedNode


class Commands:
    """Sends commands from any thread, until the node's cleanup. fault: why zero is sent, "" while nothing is wrong."""

    def __init__(self, node: ManagedNode) -> None:
        self._stamped, self._frame = node.value("stamped_cmd_vel"), node.value("base_frame")
        self._topic = node.talk(node.twist_kind, "cmd_vel", qos.COMMAND)
        self._lock = threading.Lock()
        self._halted = False
        self.fault = ""

    def publish(self, twist: Twist) -> None:
        """One message."""
        self._topic.publish(convert.twist_message(twist, self._stamped, self._frame))

    def begin(self) -> None:
        """Let commands flow."""
        self._halted, self.fault = False, ""

    def send(self, twist: Twist, stamp_ns: int) -> None:
        """The newest command; zero in its place where there is a fault, nothing once it was halted."""
        with self._lock:
            if self.fault:
                self.publish(Twist(stamp_ns))
            elif not self._halted:
                self.publish(dataclasses.replace(twist, stamp_ns=stamp_ns))

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
