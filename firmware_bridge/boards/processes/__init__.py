"""Boards and simulators as processes of their own, which speak the board protocol over UDP (docs/board_protocol.md).

Each runs by its path in an environment of its own, beside `board_protocol.py`, which needs only the standard library.
"""
