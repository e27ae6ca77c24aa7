"""What `up` says to systemd where that has started it: that it is ready, and that the reflex ticks."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """The service manager's socket, where there is one (sd_notify(3)); without it nothing is said.

    environment: NOTIFY_SOCKET names the socket, as a path or, from @ on, in the abstract namespace.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")

    def ready(self) -> None:
        """All nodes are active."""
        self._say("READY=1")

    def alive(self) -> None:
        """What is watched is alive; to be said at least twice within the unit's WatchdogSec."""
        self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.sendto(text.encode(), address)
            except OSError:
                return  # the service manager is restarting; the watchdog's next word comes soon
