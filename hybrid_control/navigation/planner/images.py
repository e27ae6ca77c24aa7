"""Camera images as they come over topics, raw or compressed, to uint8 (height, width, 3) RGB."""

from __future__ import annotations

import array
import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UInt8Array = NDArray[np.uint8]
Bytes = bytes | bytearray | memoryview | array.array | UInt8Array

#: Raw encodings, named as in sensor_msgs: number of channels, and which are red, green and blue.
ENCODINGS: dict[str, tuple[int, tuple[int, int, int]]] = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}
LARGEST_SIDE = 8192  # pixels; a file that claims more is refused before it is unpacked

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)


class ImageError(ValueError):
    """An image that cannot be used, and why."""


def decode(data: Bytes, encoding: str, height: int, width: int, step: int) -> UInt8Array:
    """A raw image, laid out as in sensor_msgs/Image, as uint8 (height, width, 3) RGB.

    step: bytes from one row to the next, at least those of the row's pixels; what lies beyond is padding.
    Raises ImageError on an unknown encoding or sizes that do not agree.
    """
    if encoding not in ENCODINGS:
        raise ImageError(
            f"image encoding {encoding!r} is not known; known: {', '.join(ENCODINGS)}, jpeg, png"
        )
    channels, order = ENCODINGS[encoding]
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise ImageError(f"image of {width} x {height} pixels: each side must be 1 .. {LARGEST_SIDE}")
    if step < width * channels:
        raise ImageError(
            f"image step {step}: {width} pixels of {encoding} take {width * channels} bytes a row"
        )
    buffer = np.frombuffer(data, np.uint8)
    if buffer.size != height * step:
        raise ImageError(f"image has {buffer.size} bytes; {height} rows of step {step} take {height * step}")
    pixels = buffer.reshape(height, step)[:, : width * channels].reshape(height, width, channels)
    return np.ascontiguousarray(pixels[:, :, order])


def decode_compressed(data: Bytes) -> UInt8Array:
    """A JPEG or PNG file, as in sensor_msgs/CompressedImage, as uint8 (height, width, 3) RGB.

    Raises ImageError where it is neither, is damaged or cut short, or holds 16-bit values (a depth image).
    """
    try:
        with Image.open(io.BytesIO(bytes(data)), formats=("JPEG", "PNG")) as image:
            if max(image.size) > LARGEST_SIDE:
                raise ImageError(
                    f"compressed image: {image.size} pixels, each side must be 1 .. {LARGEST_SIDE}"
                )
            if image.mode.startswith(("I", "F")):
                raise ImageError(f"compressed image of mode {image.mode!r}: 8 bits a channel are wanted")
            return np.asarray(image.convert("RGB"))
    except ImageError:
        raise
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ImageError(f"compressed image of {len(data)} bytes: no whole JPEG or PNG ({reason})") from None


def resize(image: UInt8Array, height: int, width: int) -> UInt8Array:
    """The image at another size, (height, width, 3).

    A triangle filter as wide as the step from pixel to pixel: what is thin fades, but never vanishes between
    samples.
    """
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def middle(image: NDArray[Any], aspect: float) -> tuple[NDArray[Any], float]:
    """The middle of an image (h, w, ...) that is `aspect` times as high as it is wide, and which share of its width
    that is; all of it where it is so to a hundredth."""
    height, width = image.shape[:2]
    if abs(height / width / aspect - 1.0) <= 0.01:
        return image, 1.0
    if height < aspect * width:
        kept = max(round(height / aspect), 1)
        return image[:, (width - kept) // 2 :][:, :kept], kept / width
    kept = max(round(width * aspect), 1)
    return image[(height - kept) // 2 :][:kept], 1.0


def contrast(image: UInt8Array) -> float:
    """Standard deviation of the image's brightness (the mean of red, green and blue), 0 .. 127.5."""
    return float(image.mean(axis=2, dtype=np.float32).std())
