"""The packets that a SpiNNaker machine and its host exchange over UDP: EIEIO data and commands, SDP and SCP headers.

Layouts are those of EIEIO (A. Rast et al., "Transport-independent protocols for universal AER communications",
ICONIP 2015) as SpiNNMan 7.4.1 reads and writes them; all words are little-endian. `tests/peers` compares byte by byte.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_BYTES = 256  # of an EIEIO message, for an SDP message carries no more
NOTIFY_PORT = 19999  # where the host's programs are told of the database, of start and stop
SCAMP_PORT = 17893  # of the board, for SCP and SDP
LIVE_OUTPUT_PORT = 17895  # of the host, where a board sends live output unless a tag says otherwise

UInt32Array = NDArray[np.uint32]

_SHORT = struct.Struct("<H")
_TWO_BYTES = struct.Struct("<BB")
_SDP = struct.Struct("<8B")
_SCP = struct.Struct("<HHIII")
_PAD = b"\0\0"
_IPTAG_SET = 1


class EieioError(ValueError):
    """Bytes that are no packet of these protocols, or values that no packet can hold."""


class Kind(enum.IntEnum):
    """What the elements of a data packet are; the numbers are those of the header's two bits."""

    KEY_16 = 0
    KEY_PAYLOAD_16 = 1
    KEY_32 = 2
    KEY_PAYLOAD_32 = 3

    @property
    def wide(self) -> bool:
        """Whether keys and payloads have 32 bits."""
        return bool(self & 2)

    @property
    def has_payload(self) -> bool:
        """Whether each key is followed by a payload."""
        return bool(self & 1)


class CommandCode(enum.IntEnum):
    """Numbers of the EIEIO commands; those of the handshake are DATABASE, START_RESUME and STOP_PAUSE."""

    DATABASE = 1
    EVENT_PADDING = 2
    EVENT_STOP = 3
    STOP_SENDING_REQUESTS = 4
    START_SENDING_REQUESTS = 5
    SPINNAKER_REQUEST_BUFFERS = 6
    HOST_SEND_SEQUENCED_DATA = 7
    SPINNAKER_REQUEST_READ_DATA = 8
    HOST_DATA_READ = 9
    STOP_PAUSE = 10
    START_RESUME = 11
    HOST_DATA_READ_ACK = 12


_DTYPES: dict[bool, Any] = {False: np.dtype("<u2"), True: np.dtype("<u4")}
_ELEMENT = {kind: (4 if kind.wide else 2) * (2 if kind.has_payload else 1) for kind in Kind}
_KINDS = tuple(Kind)
_NO_KEYS = np.zeros(0, np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class DataPacket:
    """An EIEIO data packet.

    keys, payloads: (n,) as they stand in the packet, before prefix and base; payloads only where the kind has them.
    prefix: 16 bits that are OR-ed into every key, into its upper half where `upper`. payload_base: OR-ed into every
    payload, and the payload of every key where the kind has none. is_time: payloads are timestamps in ticks.
    """

    kind: Kind
    keys: UInt32Array
    payloads: UInt32Array | None = None
    prefix: int | None = None
    upper: bool = False
    payload_base: int | None = None
    is_time: bool = False
    tag: int = 0

    @property
    def full_keys(self) -> UInt32Array:
        """The keys with the prefix, (n,)."""
        if self.prefix is None:
            return self.keys
        return self.keys | np.uint32(self.prefix << 16 if self.upper else self.prefix)

    @property
    def full_payloads(self) -> UInt32Array | None:
        """The payloads with their base, (n,); None where the packet has neither."""
        if self.payload_base is None:
            return self.payloads
        if self.payloads is None:
            return np.full(self.keys.size, self.payload_base, np.uint32)
        return self.payloads | np.uint32(self.payload_base)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataPacket) and self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]

    def encode(self) -> bytes:
        """The packet's bytes; EieioError for what does not fit."""
        wide, count = self.kind.wide, self.keys.size
        most = 0xFFFFFFFF if wide else 0xFFFF
        if (self.payloads is None) is self.kind.has_payload:
            raise EieioError(f"EIEIO: a packet of kind {self.kind.name} with payloads {self.payloads}")
        if count and int(self.keys.max()) > most:
            raise EieioError(
                f"EIEIO: key {self.keys.max()}, at most {most} in a packet of kind {self.kind.name}"
            )
        if not 0 <= self.tag <= 3:
            raise EieioError(f"EIEIO: tag {self.tag}, expected 0 .. 3")
        bits = self.is_time << 4 | self.kind << 2 | self.tag
        head = b""
        if self.prefix is not None:
            if not 0 <= self.prefix <= 0xFFFF:
                raise EieioError(f"EIEIO: prefix {self.prefix}, expected 0 .. 65535")
            bits |= 1 << 7 | self.upper << 6
            head = _SHORT.pack(self.prefix)
        if self.payload_base is not None:
            if not 0 <= self.payload_base <= most:
                raise EieioError(f"EIEIO: payload base {self.payload_base}, expected 0 .. {most}")
            bits |= 1 << 5
            head += self.payload_base.to_bytes(4 if wide else 2, "little")
        dtype = _DTYPES[wide]
        if self.payloads is None:
            body = self.keys.astype(dtype).tobytes()
        else:
            if self.payloads.size != count:
                raise EieioError(f"EIEIO: {count} keys and {self.payloads.size} payloads")
            if count and int(self.payloads.max()) > most:
                raise EieioError(f"EIEIO: payload {self.payloads.max()}, at most {most}")
            pairs = np.empty((count, 2), dtype)
            pairs[:, 0], pairs[:, 1] = self.keys, self.payloads
            body = pairs.tobytes()
        if count > 255 or 2 + len(head) + len(body) > MAX_BYTES:
            raise EieioError(
                f"EIEIO: {count} elements of {_ELEMENT[self.kind]} bytes; a packet has {MAX_BYTES} bytes"
            )
        return _TWO_BYTES.pack(count, bits) + head + body


def data_packet(
    kind: Kind, keys: ArrayLike, payloads: ArrayLike | None = None, *, prefix: int | None = None, upper: bool = False,
    payload_base: int | None = None, is_time: bool = False, tag: int = 0,
) -> DataPacket:  # fmt: skip
    """A DataPacket from anything that numpy takes for whole numbers; EieioError for what is negative or too large."""
    arrays = []
    for name, values in (("key", keys), ("payload", payloads)):
        array = np.asarray([] if values is None else values, dtype=np.int64).reshape(-1)
        if array.size and (int(array.min()) < 0 or int(array.max()) > 0xFFFFFFFF):
            raise EieioError(f"EIEIO: a {name} out of 0 .. 4294967295")
        arrays.append(array.astype(np.uint32))
    return DataPacket(
        kind, arrays[0], None if payloads is None else arrays[1], prefix, upper, payload_base, is_time, tag
    )


def most_elements(kind: Kind, prefix: bool = False, payload_base: bool = False) -> int:
    """How many elements a packet of that kind holds."""
    head = 2 + 2 * prefix + (4 if kind.wide else 2) * payload_base
    return min(255, (MAX_BYTES - head) // _ELEMENT[kind])


@dataclass(frozen=True, slots=True)
class EieioCommand:
    """An EIEIO command: its number (14 bits) and what follows it, for DATABASE the path, or nothing in the answer."""

    code: int
    data: bytes = b""

    def encode(self) -> bytes:
        """The command's bytes; EieioError for a number that does not fit."""
        if not 0 <= self.code <= 0x3FFF:
            raise EieioError(f"EIEIO: command {self.code}, expected 0 .. 16383")
        return _SHORT.pack(0x4000 | self.code) + self.data


def decode(data: bytes) -> DataPacket | EieioCommand:
    """The packet in these bytes, all of them; EieioError where they are none."""
    size = len(data)
    if size < 2:
        raise EieioError(f"EIEIO: {size} bytes, expected at least 2")
    bits = data[1]
    if bits & 0xC0 == 0x40:
        return EieioCommand((bits & 0x3F) << 8 | data[0], bytes(data[2:]))
    count, kind = data[0], _KINDS[bits >> 2 & 3]
    width = 4 if kind >= 2 else 2
    at = 2
    prefix = base = None
    end = size - count * _ELEMENT[kind]
    if end != 2 + (2 if bits & 0x80 else 0) + (width if bits & 0x20 else 0):
        raise EieioError(f"EIEIO: {size} bytes are no packet of {count} elements of kind {kind.name}")
    if bits & 0x80:
        prefix = data[2] | data[3] << 8
        at = 4
    if bits & 0x20:
        base = int.from_bytes(data[at : at + width], "little")
        at += width
    values = np.frombuffer(data, _DTYPES[width == 4], offset=at).astype(np.uint32) if count else _NO_KEYS
    keys, payloads = values, None
    if kind & 1:
        keys, payloads = values[::2], values[1::2]
    return DataPacket(kind, keys, payloads, prefix, bits & 0xC0 == 0xC0, base, bool(bits & 0x10), bits & 3)


@dataclass(frozen=True, slots=True)
class SdpHeader:
    """The header of a SpiNNaker datagram: flags, tag, and destination and source as (x, y, core, port)."""

    destination: tuple[int, int, int, int] = (0, 0, 0, 0)
    source: tuple[int, int, int, int] = (0, 0, 0, 0)
    tag: int = 0
    flags: int = 0x07  # 0x87 where an answer is expected

    def encode(self) -> bytes:
        """The header's 8 bytes; EieioError for a field that does not fit."""
        for x, y, core, port in (self.destination, self.source):
            if not (0 <= x <= 255 and 0 <= y <= 255 and 0 <= core <= 31 and 0 <= port <= 7):
                raise EieioError(f"SDP: chip ({x}, {y}), core {core}, port {port}: no place of a machine")
        if not (0 <= self.tag <= 255 and 0 <= self.flags <= 255):
            raise EieioError(f"SDP: tag {self.tag} and flags {self.flags}, expected 0 .. 255")
        (x, y, core, port), (from_x, from_y, from_core, from_port) = self.destination, self.source
        return _SDP.pack(
            self.flags, self.tag, port << 5 | core, from_port << 5 | from_core, y, x, from_y, from_x
        )


def decode_sdp(datagram: bytes) -> tuple[SdpHeader, bytes]:
    """Header and content of a UDP datagram that carries SDP, two bytes of padding first."""
    if len(datagram) < 10:
        raise EieioError(f"SDP: a datagram of {len(datagram)} bytes, expected at least 10")
    flags, tag, to, of, y, x, from_y, from_x = _SDP.unpack_from(datagram, 2)
    header = SdpHeader((x, y, to & 31, to >> 5), (from_x, from_y, of & 31, of >> 5), tag, flags)
    return header, bytes(datagram[10:])


def encode_sdp(header: SdpHeader, content: bytes) -> bytes:
    """The UDP datagram that carries an SDP message."""
    return _PAD + header.encode() + content


class ScpCode(enum.IntEnum):
    """The SCP commands and results that live input and output need."""

    IPTAG = 26
    OK = 0x80
    BAD_COMMAND = 0x83
    BAD_ARGUMENT = 0x84


@dataclass(frozen=True, slots=True)
class IpTagSet:
    """The SCP request that tells a board where a tag's packets go.

    address: (host, port) as four bytes and a number, or all zeros with `use_sender` for where the request came from.
    strip: leave the SDP header off.
    """

    tag: int
    chip: tuple[int, int] = (0, 0)
    host: tuple[int, int, int, int] = (0, 0, 0, 0)
    port: int = 0
    strip: bool = True
    use_sender: bool = True
    sequence: int = 0

    def encode(self) -> bytes:
        """The UDP datagram; EieioError for what does not fit."""
        if not (0 <= self.tag <= 7 and 0 <= self.port <= 0xFFFF and 0 <= self.sequence <= 0xFFFF):
            raise EieioError(f"SCP: tag {self.tag}, port {self.port}, sequence {self.sequence}")
        first = self.strip << 28 | self.use_sender << 30 | _IPTAG_SET << 16 | self.tag
        header = SdpHeader((*self.chip, 0, 0), (*self.chip, 31, 7), 0xFF, 0x87)
        host = int.from_bytes(bytes(self.host), "little")
        return encode_sdp(header, _SCP.pack(ScpCode.IPTAG, self.sequence, first, self.port, host))


def decode_iptag(header: SdpHeader, content: bytes) -> IpTagSet:
    """The tag that an SCP request sets; EieioError where it is another request."""
    if len(content) != _SCP.size:
        raise EieioError(f"SCP: a request of {len(content)} bytes, expected {_SCP.size}")
    command, sequence, first, port, host = _SCP.unpack(content)
    if command != ScpCode.IPTAG or first >> 16 & 0xF != _IPTAG_SET:
        raise EieioError(f"SCP: command {command}, expected to set an IP tag ({int(ScpCode.IPTAG)})")
    if port > 0xFFFF or first & 0xFF > 7:
        raise EieioError(f"SCP: tag {first & 0xFF} and port {port}")
    a, b, c, d = host.to_bytes(4, "little")
    return IpTagSet(
        first & 7, header.destination[:2], (a, b, c, d), port, bool(first >> 28 & 1), bool(first >> 30 & 1), sequence
    )  # fmt: skip


def scp_answer(header: SdpHeader, sequence: int, result: ScpCode = ScpCode.OK) -> bytes:
    """The datagram that answers an SCP request, with no values (18 bytes)."""
    back = SdpHeader(header.source, header.destination, header.tag, 0x07)
    return encode_sdp(back, struct.pack("<HHI", result, sequence, 0))


def decode_scp_answer(datagram: bytes) -> tuple[int, int]:
    """Result and sequence of an SCP answer; EieioError where the datagram is none."""
    header, content = decode_sdp(datagram)
    if header.flags != 0x07 or header.destination[2:] != (31, 7) or len(content) < 4:
        raise EieioError("SCP: no answer")
    result, sequence = struct.unpack_from("<HH", content)
    return result, sequence
