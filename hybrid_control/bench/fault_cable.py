"""A cable to a TCP port of this machine that can be cut: what is on it then waits, or its ends are closed."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

_LOOK = 0.02  # s between two looks at what is to be
_CHUNK = 1 << 16  # bytes
_PATIENCE = 1.0  # s that one end may take what the other has sent

WHOLE, CUT, CLOSED = "whole", "cut", "closed"


class Cable:
    """Passes on what comes at `address` to a port, and back.

    `cut`: nothing passes, and all that is sent meanwhile arrives when it is mended, as TCP has it. `close`: connections
    are closed and new ones refused.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self._own = int(self._listener.getsockname()[1])
        self._ends: dict[socket.socket, socket.socket] = {}  # each end and the other one
        self._state = self._acting = WHOLE  # what it is to be, and what the thread makes of it
        self._turn = threading.Condition()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cable", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """What a link opens."""
        return f"tcp://127.0.0.1:{self._own}"

    def cut(self) -> None:
        """Nothing passes from when this returns."""
        self._become(CUT)

    def close(self) -> None:
        """No connection from when this returns."""
        self._become(CLOSED)

    def mend(self) -> None:
        """All passes, and who connects is answered from when this returns."""
        self._become(WHOLE)

    def end(self) -> None:
        """For good."""
        self._ending.set()
        self._thread.join(2.0)

    def _become(self, state: str) -> None:
        with self._turn:
            self._state = state
            self._turn.wait_for(lambda: self._acting == state, _PATIENCE)

    def _run(self) -> None:
        while not self._ending.is_set():
            state = self._state
            if state == CLOSED:
                self._close_all()
            elif self._listener is None:
                self._listener = socket.create_server(("127.0.0.1", self._own))
            with self._turn:
                self._acting = state
                self._turn.notify_all()
            if state == WHOLE and self._listener is not None:
                self._pass(self._listener)
            else:
                self._ending.wait(_LOOK)
        self._close_all()

    def _pass(self, listener: socket.socket) -> None:
        ready, _, _ = select.select([listener, *self._ends], [], [], _LOOK)
        for end in ready:
            if self._state != WHOLE:
                return
            if end is listener:
                self._accept(listener)
            elif end in self._ends:
                self._carry(end)

    def _accept(self, listener: socket.socket) -> None:
        here, _ = listener.accept()
        try:
            there = socket.create_connection(("127.0.0.1", self._port), _PATIENCE)
        except OSError:
            here.close()
            return
        for end, other in ((here, there), (there, here)):
            end.settimeout(_PATIENCE)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends[end] = other

    def _carry(self, end: socket.socket) -> None:
        other = self._ends[end]
        try:
            data = end.recv(_CHUNK)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in (end, other):
                self._ends.pop(each, None)
                each.close()

    def _close_all(self) -> None:
        if self._listener is not None:  # first: whose connection was closed finds nobody when it comes back
            self._listener.close()
            self._listener = None
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.close()
        self._ends.clear()
