"""Which class drives which board, by the name that the parameter `backend` has for it.

A board NAME is the module `firmware_bridge.boards.NAME`: its `BOARD` is the class, its `emulated_config` and
`emulator_command` are for the emulator.
"""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from firmware_bridge.boards.board import Board, BoardConfig
from hybrid_control.backends import BOARDS


def board_module(backend: str) -> ModuleType:
    """The module of a board; ValueError where there is no board of that name."""
    if backend not in BOARDS:
        raise ValueError(f"no board {backend!r}; there are {', '.join(BOARDS)}")
    return importlib.import_module(f"firmware_bridge.boards.{backend}")


def board_class(backend: str) -> type[Board]:
    """The class for a board; ValueError as `board_module`."""
    kind: type[Board] = board_module(backend).BOARD
    return kind


def new_board(backend: str, config: BoardConfig | None = None) -> Board:
    """A board that is not connected yet. config: of the class that `board_class(backend).config_class` names."""
    kind = board_class(backend)
    return kind(kind.config_class() if config is None else config)


def parse_config(backend: str, text: str) -> BoardConfig:
    """A board's config as typed: "listen=10.0.0.2, notify_port=19998"; what is not said has its default.

    ValueError for a field that the board's config does not have, or a value that is none.
    """
    kind = board_class(backend).config_class
    fields = {f.name: f for f in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = (p.strip() for p in part.partition("="))
        if name not in fields or not equals:
            raise ValueError(f"{backend}: {part!r}; expected NAME=VALUE with NAME one of {', '.join(fields)}")
        values[name] = _value(f"{backend}: {name}", str(fields[name].type), value)
    return kind(**values)


def format_config(config: BoardConfig) -> str:
    """What `parse_config` reads as this config: the fields that differ from their defaults."""
    parts = []
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if value != f.default and value is not None:
            parts.append(f"{f.name}={str(value).lower() if isinstance(value, bool) else value}")
    return ", ".join(parts)


def _value(what: str, kind: str, text: str) -> Any:
    if kind == "bool":
        if text not in ("true", "false"):
            raise ValueError(f"{what}: {text!r}, expected true or false")
        return text == "true"
    if kind.startswith("Path"):
        return Path(text)
    if kind not in ("int", "float"):
        return text
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        raise ValueError(f"{what}: {text!r} is no number") from None
