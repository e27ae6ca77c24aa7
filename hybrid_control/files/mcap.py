"""MCAP files: written while a run goes on, and read whole, cut short or damaged, whoever wrote them."""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcap.records import Channel, Message, Metadata, Schema

    Record = Schema | Channel | Message | Metadata

CHUNK = 512 * 1024  # bytes; what is lost of a file that is cut short
RECORD_LIMIT = 2**28  # bytes of a record, packed or unpacked
MAGIC = b"\x89MCAP0\r\n"


class McapWriter:
    """An MCAP file that stops, and says why, when the disk will not take more.

    note: why it stopped, "" while all is well. No method raises OSError. ValueError where mcap is not installed.
    """

    def __init__(self, path: Path, profile: str = "") -> None:
        try:
            from mcap.writer import CompressionType, Writer
        except ImportError:
            raise ValueError("MCAP files need mcap: pip install '.[sim]' in the repository") from None
        self.note = ""
        self._path = path
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._sequence: dict[str, int] = {}
        self._file: Any = None
        try:
            self._file = path.open("wb")
            self._writer = Writer(self._file, chunk_size=CHUNK, compression=CompressionType.ZSTD)
            self._writer.start(profile=profile, library="hybrid_control")
        except OSError as error:
            self._give_up(error)

    def knows(self, topic: str) -> bool:
        """Whether a topic has its channel."""
        return topic in self._channels

    def channel(
        self,
        topic: str,
        encoding: str,
        schema: tuple[str, str, str],
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """A topic. encoding: of its messages; schema: name, encoding and text of what they are."""
        if self._file is None:
            return
        name, kind, text = schema
        try:
            if name not in self._schemas:
                self._schemas[name] = self._writer.register_schema(name, kind, text.encode())
            self._channels[topic] = self._writer.register_channel(
                topic, encoding, self._schemas[name], dict(metadata or {})
            )
            self._sequence[topic] = 0
        except OSError as error:
            self._give_up(error)

    def add(self, topic: str, data: bytes, log_ns: int, publish_ns: int) -> None:
        """Add a message; does nothing once the file has stopped."""
        if self._file is None:
            return
        try:
            self._sequence[topic] = (self._sequence[topic] + 1) % 2**32
            self._writer.add_message(self._channels[topic], log_ns, data, publish_ns, self._sequence[topic])
        except OSError as error:
            self._give_up(error)

    def metadata(self, name: str, words: Mapping[str, str]) -> None:
        """A few words about the file."""
        if self._file is not None:
            try:
                self._writer.add_metadata(name, dict(words))
            except OSError as error:
                self._give_up(error)

    def flush(self) -> None:
        """Hand what is buffered to the file system, so that a full disk is noticed soon."""
        if self._file is not None:
            try:
                self._writer.flush()
            except OSError as error:
                self._give_up(error)

    def finish(self) -> None:
        """Write the index and close."""
        if self._file is not None:
            try:
                self._writer.finish()
                self._file.close()
                self._file = None
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.note = f"recording stopped: {self._path}: {error.strerror or error}"
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                return  # the same reason again


class McapRecords:
    """The schemas, channels, messages and metadata of a file, one after the other as they were written.

    What a file that was cut short still holds is given; `complete` is True once its end mark was read. Raises OSError
    where it can't be read, and ValueError where it is not MCAP at all.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path, self.complete = Path(path), False

    def __iter__(self) -> Iterator[Record]:
        try:
            import zstandard
            from mcap.exceptions import McapError
            from mcap.records import Channel, Chunk, Message, Metadata, Schema
            from mcap.stream_reader import StreamReader, breakup_chunk
        except ImportError:
            raise ValueError(
                f"{self._path}: MCAP files need mcap: pip install '.[sim]' in the repository"
            ) from None
        # what mcap and its decompressors raise on bytes that are not what they should be
        bad_bytes = (
            McapError, zstandard.ZstdError, struct.error, EOFError, ValueError, IndexError, KeyError, RuntimeError,
            OverflowError, MemoryError,
        )  # fmt: skip
        self.complete = False
        with self._path.open("rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                raise ValueError(f"{self._path}: not an MCAP file")
            stream.seek(0)
            reader = StreamReader(stream, record_size_limit=RECORD_LIMIT, emit_chunks=True)
            records = iter(reader.records)
            while True:
                try:
                    record = next(records, None)
                    inside = breakup_chunk(_unpacked(record)) if isinstance(record, Chunk) else [record]
                except bad_bytes:
                    return
                if record is None:
                    self.complete = True
                    return
                for item in inside:
                    if isinstance(item, Schema | Channel | Message | Metadata):
                        yield item


def _unpacked(chunk: Any) -> Any:
    """A chunk without compression; ValueError where it is larger than it says or than is read."""
    size = chunk.uncompressed_size
    if size > RECORD_LIMIT:
        raise ValueError(f"a chunk of {size:,} bytes")
    if chunk.compression == "zstd":
        import zstandard

        if zstandard.frame_content_size(chunk.data) > size:
            raise ValueError("a chunk that is larger than it says")
        data = zstandard.decompress(chunk.data, size) if size else b""
    elif chunk.compression == "lz4":
        import lz4.frame

        data = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, size)
    elif chunk.compression:
        raise ValueError(f"compression {chunk.compression!r}")
    else:
        data = chunk.data
    return dataclasses.replace(chunk, compression="", data=data)
