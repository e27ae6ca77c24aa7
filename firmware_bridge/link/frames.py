"""Frames of the serial link: COBS, CRC-16 and header, as docs/link.md writes them down byte by byte."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass

from cobs import cobs

PROTOCOL_VERSION = 1
PAYLOAD_MAX = 64
_HEADER = struct.Struct("<BBH")
_CRC = struct.Struct("<H")
FRAME_MAX = _HEADER.size + PAYLOAD_MAX + _CRC.size
_ENCODED_MAX = FRAME_MAX + 1


class LinkError(ValueError):
    """The link cannot do what it was asked for; one line says why and what would be right."""


def crc16(data: bytes) -> int:
    """CRC-16/IBM-3740: polynomial 0x1021, start 0xFFFF, not reflected; of b"123456789" it is 0x29B1."""
    return binascii.crc_hqx(data, 0xFFFF)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: type and session (0 .. 255), sequence (0 .. 65535), payload of at most 64 bytes."""

    type: int
    session: int
    sequence: int
    payload: bytes

    def encode(self) -> bytes:
        """The bytes that go on the wire, with the delimiter. LinkError if a field is out of range."""
        if len(self.payload) > PAYLOAD_MAX:
            raise LinkError(f"frame: payload of {len(self.payload)} bytes, at most {PAYLOAD_MAX} fit")
        try:
            raw = _HEADER.pack(self.type, self.session, self.sequence) + self.payload
        except struct.error as error:
            raise LinkError(f"frame: {error}") from None
        return cobs.encode(raw + _CRC.pack(crc16(raw))) + b"\0"


class FrameDecoder:
    """Finds frames in a stream of bytes. After any garbage it goes on at the next delimiter.

    frames: good ones so far; crc_errors, framing_errors: dropped ones; dropped_bytes: what those were made
    of.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.crc_errors = 0
        self.framing_errors = 0
        self.dropped_bytes = 0
        self._pending = bytearray()
        self._overflow = 0

    def reset(self) -> None:
        """Forget a frame that has begun; the counts stay."""
        self._pending.clear()
        self._overflow = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that end in these bytes, in order. Never raises, whatever the bytes."""
        frames: list[Frame] = []
        *complete, rest = data.split(b"\0")
        for part in complete:
            self._take(part)
            frame = self._end()
            if frame is not None:
                frames.append(frame)
        self._take(rest)
        return frames

    def _take(self, part: bytes) -> None:
        room = _ENCODED_MAX - len(self._pending)
        self._pending += part[:room]
        self._overflow += max(0, len(part) - room)

    def _end(self) -> Frame | None:
        encoded, overflow = bytes(self._pending), self._overflow
        self.reset()
        if not encoded:
            return None
        if overflow:
            self._drop_framing(len(encoded) + overflow)
            return None
        try:
            raw = cobs.decode(encoded)
        except cobs.DecodeError:
            self._drop_framing(len(encoded))
            return None
        if len(raw) < _HEADER.size + _CRC.size:
            self._drop_framing(len(encoded))
            return None
        if crc16(raw[:-2]) != _CRC.unpack_from(raw, len(raw) - 2)[0]:
            self.crc_errors += 1
            self.dropped_bytes += len(encoded)
            return None
        self.frames += 1
        kind, session, sequence = _HEADER.unpack_from(raw)
        return Frame(kind, session, sequence, raw[_HEADER.size : -2])

    def _drop_framing(self, size: int) -> None:
        self.framing_errors += 1
        self.dropped_bytes += size
