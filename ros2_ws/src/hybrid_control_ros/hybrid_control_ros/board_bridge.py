"""The board bridge node: spikes between the reflex and the neuromorphic board that runs its network.

In a process of its own it meets the reflex over the topics reflex/inputs and board/spikes; in the program
reflex_board_node both share a process and the reflex's mailboxes, with no message between them. Nobody waits for
anybody: where the board is silent the reflex sees that by itself. Never tried with a board, see docs/boards.md.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticStatus

from firmware_bridge.boards import Board, new_board
from firmware_bridge.boards.pump import HasNetwork, Pump
from firmware_bridge.boards.registry import parse_config
from hybrid_control.navigation.reflex.board_inputs import board_inputs
from hybrid_control.navigation.reflex.gains import ON_BOARD
from hybrid_control.navigation.reflex.network import build_network, with_gains
from hybrid_control.parameters import ParameterError, Value
from hybrid_control.realtime import scheduling
from hybrid_control.signals import SpikeTrain
from hybrid_control.snn import Network
from hybrid_control.snn.backends.quantise import report
from hybrid_control.snn.backends.split import split
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import SpikeTrainMessage
from hybrid_control_ros.node import ManagedNode

if TYPE_CHECKING:
    from hybrid_control_ros.reflex import ReflexNode

_ATTEMPT = 1.0  # s of one attempt to start the board, between which the node can end
_COMPARED = 500  # ticks in which the board's network is compared with the engine's
_PATIENCE = 5.0  # s that the thread may take to end
_WAITING = 64  # windows of the reflex that wait for the board at most


class _Topics:
    """The reflex behind two topics."""

    def __init__(self, node: BoardBridgeNode) -> None:
        self._node = node
        self._waiting: deque[SpikeTrain] = deque(maxlen=_WAITING)
        self._topic = node.talk(SpikeTrainMessage, "board/spikes", qos.STREAM)
        node.listen(SpikeTrainMessage, "reflex/inputs", self._on_inputs, qos.SENSOR)

    def _on_inputs(self, message: Any) -> None:
        try:
            self._waiting.append(convert.spike_train(message))
        except ValueError as error:
            self._node.refuse("reflex/inputs", error)

    def take_board_spikes(self) -> SpikeTrain | None:
        return self._waiting.popleft() if self._waiting else None

    def put_board_spikes(self, train: SpikeTrain) -> None:
        stamp_ns = self._node.now_ns() - (time.monotonic_ns() - train.stamp_ns)
        self._topic.publish(
            convert.spike_train_message(dataclasses.replace(train, stamp_ns=max(stamp_ns, 0)))
        )


class _Mailboxes:
    """The reflex in the same process, where it is active."""

    def __init__(self, node: ReflexNode) -> None:
        self._node = node

    def take_board_spikes(self) -> SpikeTrain | None:
        reflex = self._node.reflex
        return reflex.take_board_spikes() if reflex is not None and self._node.active else None

    def put_board_spikes(self, train: SpikeTrain) -> None:
        reflex = self._node.reflex
        if reflex is not None and self._node.active:
            reflex.put_board_spikes(train)


class BoardBridgeNode(ManagedNode):
    """Keeps one exchange after another going between reflex and board, in a thread of its own.

    reflex: where it is in the same process; without, it is met over topics.
    """

    kind = "board_bridge_node"

    def __init__(
        self,
        values: Mapping[str, Value] | None = None,
        reflex: ReflexNode | None = None,
        **options: object,
    ) -> None:
        super().__init__(values, **options)
        self._reflex_node = reflex
        self.board: Board | None = None
        self._peer: HasNetwork | None = None
        self._thread: threading.Thread | None = None
        self._going = False
        self._error = ""
        self._exchanges = 0

    def configure(self) -> None:
        backend = self.value("backend")
        config = parse_config(backend, self.value("connection"))
        self.board = new_board(backend, dataclasses.replace(config, start_timeout=_ATTEMPT))
        self._period = config.dt
        if self._reflex_node is not None and self._reflex_node.value("backend") != backend:
            raise ParameterError(
                f"backend: {backend!r}, but that of the reflex is {self._reflex_node.value('backend')!r}"
            )
        network = split(self._network()).board
        self.board.load(network)
        # what the board makes of the network is said before anything is sent
        for line in report(network, backend, board_inputs(network, _COMPARED)).splitlines():
            self.get_logger().info(line)
        self.board.connect()
        self._peer = _Mailboxes(self._reflex_node) if self._reflex_node is not None else _Topics(self)
        self._error = "waiting for the board"

    def _network(self) -> Network:
        """The reflex's network, its gains written into it."""
        node = self if self._reflex_node is None else self._reflex_node
        file = str(node.value("network_file"))
        network = Network.load(Path(file)) if file else build_network(dt=1e-3)
        return with_gains(network, {name: float(node.value(name)) for name in ON_BOARD})

    def activate(self) -> None:
        self._going = True
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        self._going = False
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)
        if self.board is not None:
            self.board.stop()

    def cleanup(self) -> None:
        board, self.board, self._peer = self.board, None, None
        if board is not None:
            board.close()

    def _run(self) -> None:
        """The thread: start the board as soon as it is there, then exchange once a tick."""
        scheduling.use_exact_timers()
        board, peer = self.board, self._peer
        assert board is not None
        assert peer is not None
        while self._going:
            try:
                self._error = "waiting for the board"
                board.start()
                self._error = ""
                self.get_logger().info(f"{board.capabilities.board}: started")
                self._exchange(Pump(board, peer))
            except TimeoutError:
                continue
            except (OSError, ValueError) as error:
                self._error = str(error)
                self.get_logger().error(f"board: {error}; trying on")
                time.sleep(_ATTEMPT)

    def _exchange(self, pump: Pump) -> None:
        due = time.monotonic()
        while self._going:
            pump.exchange()
            self._exchanges += 1
            due = max(due + self._period, time.monotonic() - 0.01)  # a pause is not made up for
            time.sleep(max(0.0, due - time.monotonic()))

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        board = self.board
        if board is None:
            return DiagnosticStatus.OK, "", {}
        health = board.health()
        values: dict[str, object] = {
            "board": board.capabilities.board,
            "ever on hardware": board.capabilities.on_hardware,
            "running": health.running,
            "exchanges": self._exchanges,
            "silent for [s]": health.silent_for,
            "round trip p50 [ms]": health.round_trip * 1e3,
            "round trip p99 [ms]": health.round_trip_p99 * 1e3,
            "time offset [s]": health.time_offset,
            "loss [%]": health.loss * 100,
            "spikes to the board": health.sent,
            "spikes from the board": health.received,
            **{f"refused packets: {reason}": count for reason, count in health.refused.items()},
        }
        if math.isfinite(health.round_trip):
            # a line of the run's report: what the board's wire adds to the way from scan to command
            values["note on the board"] = (
                f"{board.capabilities.board}: to the board and back in {health.round_trip * 1e3:.1f} ms "
                f"(99 %: {health.round_trip_p99 * 1e3:.1f} ms), {health.loss * 100:.1f} % of the probes lost"
            )
        if not self.active:
            return DiagnosticStatus.OK, "", values
        if self._error:
            return DiagnosticStatus.WARN, self._error, values
        if board.silent:
            silent = health.silent_for
            return (
                DiagnosticStatus.ERROR,
                "the board was never heard"
                if math.isinf(silent)
                else f"the board is silent for {silent:.2f} s",
                values,
            )
        return DiagnosticStatus.OK, "", values
