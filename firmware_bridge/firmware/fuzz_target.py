"""The Python decoder under atheris, beside the C decoder: ``python -m firmware_bridge.firmware.fuzz`` runs it.

An input is a script: raw bytes, whole frames, damaged ones, any bytes with a good CRC; then where the stream is cut in
two. Both decoders must find the same frames and count the same errors, and every payload is a message or refused.
"""

from __future__ import annotations

import ctypes
import json
import sys

import atheris
from cobs import cobs

_OTHERS = [
    f"firmware_bridge.link.{name}" for name in ("command", "link", "transport")
]  # numba cannot compile probes

with atheris.instrument_imports(include=["firmware_bridge.link"], exclude=_OTHERS):
    from firmware_bridge.link import Frame, FrameDecoder, LinkError, crc16, messages

_PIECE = 90
_ROOM = 4096
_TELL = 1000


class Target:
    """One input after the other, and how many bytes they made."""

    def __init__(self, library: str) -> None:
        self._c = ctypes.CDLL(library)
        self._c.host_transcode.restype = ctypes.c_uint32
        self._room = ctypes.create_string_buffer(_ROOM)
        self._dropped = (ctypes.c_uint32 * 2)()
        self._bytes = self._runs = 0

    def __call__(self, data: bytes) -> None:
        """Decodes one input. AssertionError where the two decoders differ."""
        script = atheris.FuzzedDataProvider(data)
        stream = _stream(script)[: _ROOM // 2]
        self._compare(stream, script.ConsumeIntInRange(0, len(stream)))
        self._bytes += len(stream)
        self._runs += 1
        if self._runs % _TELL == 0:  # libFuzzer ends the process without a word to Python
            sys.stderr.write(json.dumps({"bytes": self._bytes, "runs": self._runs}) + "\n")

    def _compare(self, stream: bytes, cut: int) -> None:
        decoder = FrameDecoder()
        frames = decoder.feed(stream[:cut]) + decoder.feed(stream[cut:])
        for frame in frames:
            try:
                message = messages.unpack(frame.type, frame.payload)
            except LinkError:
                continue
            assert frame.type == message.TYPE
        size = self._c.host_transcode(stream, len(stream), self._room, _ROOM, self._dropped)
        by_c = self._room.raw[:size], *self._dropped
        by_python = b"".join(f.encode() for f in frames), decoder.framing_errors, decoder.crc_errors
        assert by_c == by_python, f"C and Python differ on {stream.hex()}"


def _stream(script: atheris.FuzzedDataProvider) -> bytes:
    stream = bytearray()
    while script.remaining_bytes():
        what = script.ConsumeIntInRange(0, 3)
        piece = script.ConsumeBytes(script.ConsumeIntInRange(0, _PIECE))
        if what == 0:
            stream += piece
            continue
        if what == 1:
            stream += cobs.encode(piece + crc16(piece).to_bytes(2, "little")) + b"\0"
            continue
        kind, session = script.ConsumeIntInRange(0, 255), script.ConsumeIntInRange(0, 255)
        wire = bytearray(Frame(kind, session, script.ConsumeIntInRange(0, 65535), piece[:64]).encode())
        if what == 3:
            wire[script.ConsumeIntInRange(0, len(wire) - 1)] ^= 1 << script.ConsumeIntInRange(0, 7)
        stream += wire
    return bytes(stream)


def main() -> None:
    """Arguments: the library of build_host_library, then libFuzzer's."""
    atheris.Setup([sys.argv[0], *sys.argv[2:]], Target(sys.argv[1]))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
