"""Pictures from strangers: a folder or a zip file with one folder per class at any depth, read within limits.

A picture's class is the path of the folder that it lies in. Where all of them lie in folders called train, val or test,
these are parts, and the class is the path within the part.
"""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from hybrid_control.files import MIB, StrPath, read_bytes

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp")
PARTS = ("train", "val", "test")
FILES = 1_000_000  # of a folder or a zip, at most
FILE_LIMIT = 64 * MIB  # of one picture, packed and unpacked
PIXELS = 64 * 1024 * 1024  # of one picture
FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")


@dataclass(frozen=True)
class Picture:
    """Where one picture is: its path within the folder or zip, its part ("" where there are none) and its class."""

    path: str
    part: str
    label: str


class Pictures:
    """The pictures of a folder or a zip file, which is never unpacked; sorted by path.

    Use as a context manager. ValueError in one line where there are none, or where something is wrong with one.
    """

    def __init__(self, place: StrPath) -> None:
        self.place = Path(place)
        self._stack = ExitStack()
        self._archive: zipfile.ZipFile | None = None
        try:
            paths = self._open()
        except BaseException:
            self._stack.close()
            raise
        found = sorted(p for p in paths if PurePosixPath(p).suffix.lower() in ENDINGS)
        parted = bool(found) and all(p.partition("/")[0] in PARTS for p in found)
        self.pictures = [_picture(path, parted, self.place) for path in found]
        if not found:
            raise ValueError(
                f"{self.place}: has no pictures ({', '.join(ENDINGS)}) in folders, one for each class"
            )

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> list[str]:
        if self.place.is_dir():
            return list(_files(self.place))
        if not self.place.is_file():
            raise ValueError(f"{self.place}: no such folder or zip file of pictures")
        try:
            self._archive = self._stack.enter_context(zipfile.ZipFile(self.place))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise ValueError(f"{self.place}: neither a folder nor a zip file: {error}") from None
        members = self._archive.infolist()
        if len(members) > FILES:
            raise ValueError(f"{self.place}: has {len(members):,} files; at most {FILES:,} are read")
        return [member.filename for member in members if not member.is_dir()]

    def read(self, picture: Picture, size: tuple[int, int]) -> NDArray[np.uint8]:
        """A picture as (height, width, 3), uint8, RGB, its middle cut to the shape of size (height, width)."""
        where = f"{self.place}/{picture.path}"
        return decode(self._content(picture.path, where), size, where)

    def _content(self, path: str, where: str) -> bytes:
        if self._archive is None:
            return read_bytes(self.place / path, FILE_LIMIT)
        try:
            with self._archive.open(path) as file:
                content = file.read(FILE_LIMIT + 1)
        except Exception as error:  # zipfile and zlib raise what Python has to offer over damaged bytes
            raise ValueError(f"{where}: can't be unpacked: {' '.join(str(error).split())[:200]}") from None
        if len(content) > FILE_LIMIT:
            raise ValueError(f"{where}: has more than {FILE_LIMIT:,} bytes unpacked")
        return content


def decode(content: bytes, size: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """A picture's bytes as (height, width, 3), uint8, RGB; `where` begins what is said of them."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            if image.width * image.height > PIXELS:
                raise ValueError(f"{image.width} × {image.height} pixels; at most {PIXELS:,} are read")
            image.draft("RGB", (2 * size[1], 2 * size[0]))  # JPEG: no more of it than is needed
            upright = ImageOps.exif_transpose(image).convert("RGB")
            return np.asarray(ImageOps.fit(upright, (size[1], size[0]), Image.Resampling.BICUBIC))
    except Exception as error:  # Pillow raises what Python has to offer over damaged bytes
        raise ValueError(
            f"{where}: no picture that can be read: {' '.join(str(error).split())[:200]}"
        ) from None


def _files(folder: Path) -> Iterator[str]:
    """Paths of the files in a folder, at any depth; links to folders are not followed."""
    count = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        count += len(names)
        if count > FILES:
            raise ValueError(f"{folder}: has more than {FILES:,} files")
        for name in names:
            yield Path(parent, name).relative_to(folder).as_posix()


def _picture(path: str, parted: bool, place: Path) -> Picture:
    folders = [f for f in PurePosixPath(path).parent.parts if f != "/"]
    part = folders.pop(0) if parted else ""
    if not folders:
        raise ValueError(f"{place}/{path}: lies in no folder of a class")
    return Picture(path, part, "/".join(folders))
