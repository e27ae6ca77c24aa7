"""Reads files that strangers wrote: bounded in size, depth, memory and time, before anything is allocated for them.

Every reader raises ValueError with one line that begins with the file's name and says what is wrong with it, whatever
the bytes are, and OSError where the file cannot be read at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import yaml
from numpy.typing import NDArray

StrPath = str | os.PathLike[str]

MIB = 1 << 20
TEXT_LIMIT = 16 * MIB  # of JSON and XML
YAML_LIMIT = MIB  # YAML takes about a second for so much
ARRAYS_LIMIT = 256 * MIB  # of all arrays of an npz file together, unpacked
DEPTH_LIMIT = 64  # brackets, elements or mappings within each other
NODES_LIMIT = 200_000  # values of a YAML file, written out
MEMBERS_LIMIT = 256  # arrays in an npz file

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_bytes(path: StrPath, limit: int = ARRAYS_LIMIT) -> bytes:
    """The content of a regular file of at most `limit` bytes."""
    with open(path, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path}: is no regular file")
        if status.st_size > limit:
            raise ValueError(f"{path}: has {status.st_size:,} bytes; at most {limit:,} are read")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path}: grows while it is read; at most {limit:,} bytes are read")
    return content


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe that nobody writes to would be waited on for ever


def digest(path: StrPath) -> str:
    """What tells a file's content from that of others, in 32 letters and digits."""
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()


def read_text(path: StrPath, limit: int = TEXT_LIMIT) -> str:
    """The content of a text file in UTF-8."""
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text in UTF-8: {error.reason} at byte {error.start}") from None


def read_json(path: StrPath, limit: int = TEXT_LIMIT) -> Any:
    """A JSON file's value."""
    text = read_text(path, limit)
    outside_strings = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", outside_strings):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > DEPTH_LIMIT:
            raise ValueError(f"{path}: is nested more than {DEPTH_LIMIT} deep")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON: {_line(error)}") from None


def read_yaml(path: StrPath, limit: int = YAML_LIMIT) -> Any:
    """A YAML file's value. Merge keys (<<) and files whose aliases make them large are refused."""
    text = read_text(path, limit)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_LIMIT:
                raise ValueError(f"{path}: is nested more than {DEPTH_LIMIT} deep")
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _written_out(node, {}, f"{path}") > NODES_LIMIT:
                raise ValueError(f"{path}: its aliases make more than {NODES_LIMIT:,} values of it")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, OverflowError) as error:
        raise ValueError(f"{path}: not YAML: {_line(error)}") from None
    except ValueError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: not YAML: {_line(error)}") from None  # a date that cannot be, a number too long


def _written_out(node: Any, known: dict[int, int], where: str) -> int:
    """How many values a node is with its aliases written out."""
    if id(node) in known:
        if known[id(node)] < 0:
            raise ValueError(f"{where}: an alias stands for something that it lies in")
        return known[id(node)]
    known[id(node)] = -1
    size = 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise ValueError(f"{where}: merge keys (<<) are not read; write the values out")
            size += _written_out(key, known, where) + _written_out(value, known, where)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_written_out(item, known, where) for item in node.value)
    known[id(node)] = size
    return size


def read_xml(path: StrPath, what: str = "XML", limit: int = TEXT_LIMIT) -> ElementTree.Element:
    """An XML file's root. Document types and entities are refused. what: it should be."""
    text = read_bytes(path, limit)
    if re.search(rb"<!\s*(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ValueError(f"{path}: document types and entities are not read")
    parser: Any = ElementTree.XMLPullParser(("start", "end"))
    depth = 0
    root: Any = None
    try:
        for begin in range(0, len(text), 1 << 14):
            parser.feed(text[begin : begin + (1 << 14)])
            for kind, element in parser.read_events():
                root = element if root is None else root
                depth += 1 if kind == "start" else -1
                if depth > DEPTH_LIMIT:
                    raise ValueError(f"{path}: is nested more than {DEPTH_LIMIT} deep")
        parser.close()
    except (ElementTree.ParseError, LookupError) as error:  # an encoding that there is not
        raise ValueError(f"{path}: not {what}: {_line(error)}") from None
    if root is None:
        raise ValueError(f"{path}: not {what}: it is empty")
    return root


def read_npy(path: StrPath, limit: int = ARRAYS_LIMIT) -> NDArray[Any]:
    """The array of an npy file; numbers or text, at most `limit` bytes."""
    content = read_bytes(path, limit)
    try:
        return _read_npy("the array", content)
    except Exception as error:  # numpy raises what Python has to offer over damaged bytes
        raise ValueError(f"{path}: not an npy file: {_line(error)}") from None


def read_npz(path: StrPath, what: str = "an npz file", limit: int = ARRAYS_LIMIT) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file by name; numbers and text alone, at most `limit` bytes in all. what: it should be."""
    return arrays_of(read_bytes(path, limit), path, what, limit)


def arrays_of(
    content: bytes, where: StrPath, what: str = "an npz file", limit: int = ARRAYS_LIMIT
) -> dict[str, NDArray[Any]]:
    """The same of an npz file's bytes; `where` begins what is said of them."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > MEMBERS_LIMIT:
                raise ValueError(f"{len(members)} arrays; at most {MEMBERS_LIMIT} are read")
            size = sum(member.file_size for member in members)
            if size > limit:
                raise ValueError(f"{size:,} bytes unpacked; at most {limit:,} are read")
            return {
                member.filename.removesuffix(".npy"): _read_npy(member.filename, archive.read(member))
                for member in members
            }
    except Exception as error:  # zipfile, zlib and numpy raise what Python has to offer over damaged bytes
        raise ValueError(f"{where}: not {what}: {_line(error)}") from None


def _read_npy(name: str, content: bytes) -> NDArray[Any]:
    """One array. Its header is compared with the bytes that are there before anything is made of it."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name}: version {version} of the format is not read")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if dtype.kind not in "biufcSU":
        raise ValueError(f"{name}: holds {dtype}, which is neither numbers nor text")
    size = math.prod(shape) * dtype.itemsize
    if any(n < 0 for n in shape) or size != len(content) - stream.tell():
        raise ValueError(f"{name}: {len(content) - stream.tell()} bytes for {dtype} of shape {shape}")
    array = np.frombuffer(content, dtype, offset=stream.tell())
    return array.reshape(shape, order="F" if fortran else "C").copy()


def in_child(
    module: str, arguments: Sequence[str], *, where: StrPath, seconds: float = 20.0, memory: int = 2048 * MIB
) -> bytes:
    """What ``python -m module arguments`` writes, run in a process of its own with limits on time and memory.

    For readers in C that may hang, crash or take all memory over a damaged file. The module writes a ValueError's line
    on stderr and exits with 1 where the file is refused. ValueError that begins with `where` for every end but a good
    one.
    """
    command = [sys.executable, "-m", module, *arguments]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "HYBRID_CONTROL_LIMITS": f"{memory} {math.ceil(seconds)}"}
    slow = f"{where}: takes longer than {seconds:g} s to read; given up"
    try:
        # the limit is on processor time; where it sleeps, or the machine is busy, it has longer
        done = subprocess.run(
            command, capture_output=True, timeout=3 * seconds, env=environment, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(slow) from None
    if done.returncode == -signal.SIGXCPU:
        raise ValueError(slow)
    if done.returncode == 0:
        return done.stdout
    last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    if done.returncode == 1 and last and last[0].startswith(f"{where}: "):
        raise ValueError(last[0])
    if b"MemoryError" in done.stderr or b"emory" in done.stderr[-2000:]:
        raise ValueError(f"{where}: takes more than {memory // MIB} MiB of memory to read")
    raise ValueError(f"{where}: what reads it ended with status {done.returncode}: {''.join(last)[:200]}")


def keep_limits() -> None:
    """In a process that `in_child` began: no more memory and processor time than it was given."""
    import resource

    limits = os.environ.get("HYBRID_CONTROL_LIMITS", "").split()
    for kind, limit in zip((resource.RLIMIT_AS, resource.RLIMIT_CPU), limits, strict=False):
        # a second above the limit on time: at the upper one the kernel kills without SIGXCPU, which says why
        resource.setrlimit(kind, (int(limit), int(limit) + (kind == resource.RLIMIT_CPU)))


def _line(error: BaseException) -> str:
    """An error in one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
