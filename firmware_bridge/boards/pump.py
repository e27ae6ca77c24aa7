"""Moves spikes between a reflex and the board that runs its network; nobody waits for anybody."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from firmware_bridge.boards.board import Board
from hybrid_control.signals import SpikeTrain

_NOTHING = np.zeros(0, np.uint32)


class HasNetwork(Protocol):
    """What the pump asks of a reflex; `hybrid_control.navigation.reflex.Reflex` is one."""

    def take_board_spikes(self) -> SpikeTrain | None:
        """What its ticks since the last call have for the board."""

    def put_board_spikes(self, train: SpikeTrain) -> None:
        """What came from the board, which may be nothing: a sign of life."""


class Pump:
    """One exchange after another; `exchange` is to be called once a tick or so, always by the same thread."""

    def __init__(self, board: Board, reflex: HasNetwork) -> None:
        self.board, self.reflex = board, reflex
        self._heard_ns = board.heard_ns

    def exchange(self) -> None:
        """Send what there is for the board, and hand on what came from it. OSError where the wire fails."""
        train = self.reflex.take_board_spikes()
        if train is not None:
            self.board.send(train)
        elif self.board.config.stepped:
            self.board.send(SpikeTrain(0, 1, self.board.inputs, _NOTHING, _NOTHING))
        came = self.board.receive()
        if self.board.heard_ns != self._heard_ns:
            self._heard_ns = self.board.heard_ns
            self.reflex.put_board_spikes(came)
