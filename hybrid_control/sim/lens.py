"""What a lens and a chip make of a frame: exposure, colour, noise, blur, rolling lines, dirt and JPEG, by chance."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Frame = NDArray[np.uint8]  # (height, width, 3) RGB

GREY = 128.0
POOL = 1 << 18  # numbers of noise that are drawn once; each frame begins somewhere in them
SHARP = 0.75  # pixels of blur that nobody sees


@dataclass(frozen=True, slots=True)
class Lens:
    """A camera's faults, each with a probability of 0 .. 1 that a frame has it, and a strength, the most that it has.

    exposure: the gain is at most 1 + strength or 1 over that, the offset 40 and the logarithm of gamma 0.6 times the
    strength. white_balance: red and blue are at most so much stronger or weaker. noise: standard deviation at most, in
    steps of 256; 2.5 times that in the dark. blur: s, the longest that a line is exposed; what is seen moves on in it.
    rolling: s, the longest that it takes from the first line to the last. jpeg: with quality of 30 .. 95, the lowest by
    its strength of 0 .. 1. dirt: opacity of spots at most. spots: how many at most. hfov: rad, of the camera.
    """

    exposure: tuple[float, float] = (0.5, 0.5)
    white_balance: tuple[float, float] = (0.5, 0.15)
    noise: tuple[float, float] = (0.6, 6.0)
    blur: tuple[float, float] = (0.4, 0.02)
    rolling: tuple[float, float] = (0.5, 0.03)
    jpeg: tuple[float, float] = (0.4, 1.0)
    dirt: tuple[float, float] = (0.15, 0.7)
    spots: int = 4
    hfov: float = math.radians(90.0)
    dim: float = 1.0  # of the light

    night: ClassVar[Lens]
    clean: ClassVar[Lens]

    def __post_init__(self) -> None:
        for name in FAULTS:
            chance, strength = getattr(self, name)
            if not (0 <= chance <= 1 and 0 <= strength < math.inf):
                raise ValueError(f"lens: {name} {getattr(self, name)}: expected 0 <= probability <= 1, strength >= 0")
        if not (0 < self.dim <= 1 and 0 < self.hfov < math.pi and self.spots >= 1):
            raise ValueError(f"lens: dim {self.dim:g}, hfov {self.hfov:g} rad, spots {self.spots}: impossible")
        if self.dirt[1] > 1 or self.jpeg[1] > 1:
            raise ValueError(f"lens: dirt {self.dirt[1]:g} and jpeg {self.jpeg[1]:g} must be at most 1")

    def __call__(self, frame: Frame, rng: Generator, turn: float = 0.0, speed: float = 0.0) -> Frame:
        """The frame (height, width, 3) as it comes out of the camera, a new one.

        turn: rad/s, positive to the left; speed: m/s ahead. Every frame takes as many draws, whatever befalls it.
        """
        chances, by = rng.random(len(FAULTS)), rng.uniform(-1.0, 1.0, DRAWS)
        has = {
            name: chance < getattr(self, name)[0] and getattr(self, name)[1] > 0
            for name, chance in zip(FAULTS, chances.tolist(), strict=True)
        }
        pixels = frame.shape[1] / 2 / math.tan(self.hfov / 2) * turn  # a second, at which the middle goes by
        if has["rolling"]:
            frame = rolled(frame, pixels * self.rolling[1] * abs(by[0]))
        if has["blur"]:
            exposed = self.blur[1] * abs(by[1])
            frame = blurred(frame, pixels * exposed)
            frame = zoomed(frame, speed * exposed / NEAR)
        if has["dirt"]:
            frame = dirtied(frame, int(by[2] * 1e9) & 0xFFFF, 1 + int(abs(by[3]) * self.spots * 0.999), self.dirt[1])
        gains, offset, gamma = np.full(3, self.dim), 0.0, 1.0
        if has["exposure"]:
            strength = self.exposure[1]
            gains *= (1.0 + strength) ** by[4]
            offset, gamma = 40.0 * strength * by[5], math.exp(0.6 * strength * by[6])
        if has["white_balance"]:
            gains *= (1.0 + self.white_balance[1] * by[7], 1.0, 1.0 + self.white_balance[1] * by[8])
        if (gains != 1.0).any() or offset or gamma != 1.0:
            frame = exposed_by(frame, gains, offset, gamma)
        if has["noise"]:
            frame = noisy(frame, self.noise[1] * abs(by[9]), int(abs(by[10]) * POOL))
        if has["jpeg"]:
            frame = squeezed(frame, round(95 - 65 * self.jpeg[1] * abs(by[11])))
        return frame.copy() if not any(has.values()) and self.dim == 1.0 else frame


FAULTS = ("exposure", "white_balance", "noise", "blur", "rolling", "jpeg", "dirt")
DRAWS = 12
NEAR = 1.0  # m, how far away that is by which driving ahead is blurred

NEVER = 0.0, 0.0
Lens.clean = Lens(NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER)
Lens.night = Lens(
    exposure=(0.8, 0.3), white_balance=(0.7, 0.25), noise=(1.0, 10.0), blur=(0.8, 0.05), dim=0.4
)  # fmt: skip


def exposed_by(frame: Frame, gains: Any, offset: float, gamma: float) -> Frame:
    """255 (gain · v / 255)^gamma + offset of each colour, within 0 .. 255."""
    levels = np.arange(256.0)[:, None] / 255.0
    table = 255.0 * np.minimum(levels * gains, 1.0) ** gamma + offset
    table = np.clip(table + 0.5, 0.0, 255.0).astype(np.uint8)
    out = np.empty_like(frame)
    for k in range(3):
        out[..., k] = table[:, k][frame[..., k]]
    return out


@lru_cache(maxsize=1)
def _pool() -> NDArray[np.int16]:
    """Noise of a standard deviation of 64, always the same."""
    normal = np.random.default_rng(0).standard_normal(POOL)
    return np.round(64.0 * normal).astype(np.int16)


@lru_cache(maxsize=1)
def _darker() -> NDArray[np.int16]:
    """How much more noise each level has, in 64ths: 2.5 times at 0, once from GREY on."""
    return np.round(64.0 * (1.0 + 1.5 * np.clip(1.0 - np.arange(256) / GREY, 0.0, 1.0))).astype(np.int16)


def noisy(frame: Frame, deviation: float, begin: int = 0) -> Frame:
    """White noise of a standard deviation in steps, 2.5 times that in the dark; begin: where in the noise drawn."""
    numbers = _pool()
    begin %= POOL
    taken = np.take(numbers, np.arange(begin, begin + frame.size), mode="wrap").reshape(frame.shape)
    steps = taken * (_darker()[frame] * np.float32(deviation / 4096.0))
    return np.clip(steps + frame + np.float32(0.5), 0.0, 255.0).astype(np.uint8)


def blurred(frame: Frame, pixels: float) -> Frame:
    """What goes by sideways so many pixels while it is exposed: their mean, at the edge of those that there are."""
    count = min(round(abs(pixels)), frame.shape[1] - 1) + 1
    if abs(pixels) < SHARP or count < 2:
        return frame
    # a turn to the left moves the picture to the right: what was there is to the left of where it is
    before, after = (0, count - 1) if pixels < 0 else (count - 1, 0)
    padded = np.pad(frame, ((0, 0), (before, after), (0, 0)), mode="edge")
    if count <= 8:
        total = np.zeros(frame.shape, np.uint16)
        for k in range(count):
            total += padded[:, k : k + frame.shape[1]]
    else:
        sums = np.zeros((frame.shape[0], padded.shape[1] + 1, 3), np.uint32)
        np.cumsum(padded, axis=1, dtype=np.uint32, out=sums[:, 1:])
        total = sums[:, count:] - sums[:, :-count]
    return ((total + count // 2) // count).astype(np.uint8)


def zoomed(frame: Frame, share: float) -> Frame:
    """What comes nearer by a share of its distance while it is exposed: the mean of before and after."""
    height, width, _ = frame.shape
    if abs(share) * width / 2 < SHARP:
        return frame
    rows, columns = (_nearer(n, share) for n in (height, width))
    after = frame[rows][:, columns]
    return ((frame.astype(np.uint16) + after) // 2).astype(np.uint8)


def _nearer(count: int, share: float) -> NDArray[np.int64]:
    """Where along a side that which is there after coming nearer was before."""
    middle = (count - 1) / 2
    return np.clip(np.round(middle + (np.arange(count) - middle) * (1.0 - share)), 0, count - 1).astype(np.int64)


def rolled(frame: Frame, pixels: float) -> Frame:
    """The lines are taken one after another while the picture goes on, to the right where pixels > 0: the last one by
    so many, the first by none."""
    height, width, _ = frame.shape
    if abs(pixels) < SHARP:
        return frame
    most = min(round(abs(pixels)), width - 1)
    padded = np.pad(frame, ((0, 0), (most, most), (0, 0)), mode="edge")
    out = np.empty_like(frame)
    for row, shift in enumerate((pixels * np.arange(height) / max(height - 1, 1)).tolist()):
        begin = most - min(max(round(shift), -most), most)
        out[row] = padded[row, begin : begin + width]
    return out


@lru_cache(maxsize=64)
def _spots(height: int, width: int, seed: int, count: int) -> NDArray[np.float32]:
    """How much spots cover of each pixel, (height, width, 1), 0 .. 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    cover = np.zeros((height, width))
    for _ in range(count):
        radius = rng.uniform(0.02, 0.12) * width
        distance = np.hypot(x - rng.uniform(0, width), (y - rng.uniform(0, height)) * rng.uniform(0.7, 1.4))
        cover = np.maximum(cover, np.clip(1.5 - distance / radius, 0.0, 1.0))
    return cover[..., None].astype(np.float32)


def dirtied(frame: Frame, seed: int, count: int, opacity: float) -> Frame:
    """Spots out of focus on the lens, in which the picture's mean shows, darker, by an opacity of 0 .. 1."""
    height, width, _ = frame.shape
    cover = _spots(height, width, seed % 32, count) * np.float32(opacity)
    dirt = 0.6 * frame[::4, ::4].mean(axis=(0, 1), dtype=np.float32)
    return (frame + (dirt - frame) * cover + np.float32(0.5)).astype(np.uint8)


def squeezed(frame: Frame, quality: int) -> Frame:
    """As it comes out of a JPEG file of a quality of 1 .. 100."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "jpeg", quality=quality)
    stream.seek(0)
    return np.array(Image.open(stream))
