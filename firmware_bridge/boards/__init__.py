"""Neuromorphic boards behind one interface: spikes in, spikes out, over a wire.

None of this was ever run on a board: SpiNNaker is tested against its makers' own client and codec and an emulator of
ours, Loihi against Intel's emulator in nengo-loihi.
"""

from firmware_bridge.boards.board import (
    Board,
    BoardConfig,
    BoardRefusal,
    Capabilities,
    Health,
    Layout,
)
from firmware_bridge.boards.registry import BACKENDS, board_class, new_board

__all__ = [
    "BACKENDS",
    "Board",
    "BoardConfig",
    "BoardRefusal",
    "Capabilities",
    "Health",
    "Layout",
    "board_class",
    "new_board",
]
