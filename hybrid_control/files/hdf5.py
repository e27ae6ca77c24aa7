"""HDF5 files of strangers: what one holds is known before it is read.

    python -m hybrid_control.files.hdf5 FILE

looks through a file and reads all of it once, in a process with limits on time and memory, for the HDF5 library itself
can hang or crash over a damaged one. Links that lead elsewhere, storage in other files and data that are larger than
the file can account for are refused.
"""

from __future__ import annotations

import math
import sys
from typing import Any

from hybrid_control.files import DEPTH_LIMIT, MIB, StrPath, in_child, keep_limits, read_bytes

DATA_LIMIT = 1024 * MIB  # of all data sets together, unpacked
ITEMS_LIMIT = 100_000  # groups, data sets and attributes
EXPANSION = 1100  # deflate packs at most 1,032 bytes into one


def check(path: StrPath, limit: int = DATA_LIMIT, seconds: float = 10.0) -> None:
    """ValueError with one line for a file that is not to be read; OSError where there is none. seconds: of processor
    time that it may take."""
    if not read_bytes(path, limit).startswith(b"\x89HDF\r\n\x1a\n"):
        raise ValueError(f"{path}: is no HDF5 file")
    in_child("hybrid_control.files.hdf5", [str(path)], where=path, seconds=seconds)


def look_through(path: StrPath, limit: int = DATA_LIMIT) -> None:
    """The same within this process."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            most = min(limit, MIB + EXPANSION * file.id.get_filesize())
            _Walk(most).group(file, "", 0)
    except ValueError:
        raise
    except Exception as error:  # h5py raises what it likes over damaged bytes
        raise ValueError(f"not HDF5: {' '.join(str(error).split())[:200]}") from None


class _Walk:
    """Adds up what a file holds."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size, self.items = limit, 0, 0

    def group(self, group: Any, where: str, depth: int) -> None:
        """A group with all that is in it."""
        import h5py

        if depth > DEPTH_LIMIT:
            raise ValueError(f"{where}: is nested more than {DEPTH_LIMIT} deep")
        self._attributes(group, where)
        for name in group:
            place = f"{where}/{name}"
            self._count()
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{place}: is a link to another place, which is not followed")
            kind = group.get(name, getclass=True)
            if kind is h5py.Group:
                self.group(group[name], place, depth + 1)
            elif kind is h5py.Dataset:
                self._data(group[name], place)

    def _data(self, data: Any, where: str) -> None:
        if data.external or data.is_virtual:
            raise ValueError(f"{where}: keeps its data in other files, which are not read")
        if data.id.get_create_plist().get_nfilters() > 4:
            raise ValueError(f"{where}: is packed more than four times over")
        self._attributes(data, where)
        self._add(data.shape, data.dtype, where)
        data[()]  # over a damaged heap of texts the library reads for ever, or crashes: it is to do so here

    def _attributes(self, owner: Any, where: str) -> None:
        import h5py

        for index in range(h5py.h5a.get_num_attrs(owner.id)):
            self._count()
            attribute = h5py.h5a.open(owner.id, index=index)
            self._add(attribute.shape, attribute.dtype, where)

    def _count(self) -> None:
        self.items += 1
        if self.items > ITEMS_LIMIT:
            raise ValueError(f"holds more than {ITEMS_LIMIT:,} groups, data sets and attributes")

    def _add(self, shape: tuple[int, ...] | None, dtype: Any, where: str) -> None:
        if dtype.kind not in "biufcSUO":
            raise ValueError(f"{where}: holds {dtype}, which is neither numbers nor text")
        self.size += math.prod(shape or (1,)) * dtype.itemsize
        if self.size > self.limit:
            raise ValueError(f"{where}: more data than the file can hold: {self.size:,} bytes, {self.limit:,} at most")


if __name__ == "__main__":
    keep_limits()
    try:
        look_through(sys.argv[1])
    except (ValueError, OSError) as refused:
        print(f"{sys.argv[1]}: {refused}", file=sys.stderr)
        sys.exit(1)
