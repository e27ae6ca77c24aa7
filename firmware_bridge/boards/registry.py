"""Which class drives which board, by the name that the parameter `backend` has for it."""

from __future__ import annotations

import importlib

from firmware_bridge.boards.board import Board, BoardConfig

#: Module and class by backend. `numba` is no board: the reflex runs its network itself then.
BACKENDS: dict[str, tuple[str, str]] = {
    "spinnaker": ("firmware_bridge.boards.spinnaker", "SpinnakerBoard"),
    "loihi": ("firmware_bridge.boards.loihi", "LoihiBoard"),
}


def board_class(backend: str) -> type[Board]:
    """The class for a backend; ValueError where there is no board of that name."""
    if backend not in BACKENDS:
        raise ValueError(f"no board {backend!r}; there are {', '.join(BACKENDS)}")
    module, name = BACKENDS[backend]
    found: type[Board] = getattr(importlib.import_module(module), name)
    return found


def new_board(backend: str, config: BoardConfig | None = None) -> Board:
    """A board that is not connected yet. config: of the class that `board_class(backend).config_class` names."""
    kind = board_class(backend)
    return kind(kind.config_class() if config is None else config)
