"""Neuromorphic boards behind one interface: spikes in, spikes out, over a wire.

None of this was ever run on a board: SpiNNaker is tested against its makers' own client and codec and an emulator of
ours, Loihi against Intel's emulator in nengo-loihi.
"""

from firmware_bridge.boards.board import Board, BoardConfig, Health
from firmware_bridge.boards.registry import board_class, new_board
from hybrid_control.snn.backends.capabilities import BoardCapabilities, BoardRefusal

__all__ = [
    "Board",
    "BoardCapabilities",
    "BoardConfig",
    "BoardRefusal",
    "Health",
    "board_class",
    "new_board",
]
