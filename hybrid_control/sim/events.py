"""A simulated event camera: from frames to the events of pixels that watch the logarithm of the intensity.

Each pixel knows how far its log intensity is from what it remembers. Between two frames the log intensity runs
straight, and so does this, with the leak's slope added. Where it reaches a threshold the pixel gives an event, and
remembers a threshold more. This is the model of ESIM (Rebecq et al., "ESIM: an open event camera simulator", CoRL
2018): a crossing within the refractory time gives no event, but is remembered as well. Mismatch of thresholds, leak and
shot noise are those of v2e (Hu et al., "v2e: from video frames to realistic DVS events", CVPRW 2021): the leak goes
towards ON, noise events come at random, half of them ON, and at each the pixel remembers what is there.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.signals.events import EVENT

LEAST, MOST = 0.15, 0.3  # thresholds, of log intensity
DARK = 1e-3  # intensity that is added to each, of white, so that black has a logarithm
_NEVER = -(2**62)


@dataclass(frozen=True, slots=True)
class EventPixels:
    """What the pixels are like.

    threshold: of log intensity, the mean of ON and OFF alike; mismatch: its standard deviation over pixels, which stay
    within LEAST .. MOST. refractory: s after an event in which a pixel gives none. leak_rate, noise_rate: events/s of a
    pixel, by its leak and by its shot noise. cutoff: Hz, of the first-order low pass before the comparators; 0: none.
    """

    threshold: float = 0.2
    mismatch: float = 0.03
    refractory: float = 0.0005
    leak_rate: float = 0.1
    noise_rate: float = 1.0
    cutoff: float = 0.0

    def __post_init__(self) -> None:
        if not LEAST <= self.threshold <= MOST:
            raise ValueError(f"event camera: threshold {self.threshold} must be {LEAST} .. {MOST}")
        for name in ("mismatch", "refractory", "leak_rate", "noise_rate", "cutoff"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"event camera: {name} {getattr(self, name)} must be >= 0 and finite")


class EventCamera:
    """Events of frames of width x height pixels; seed decides thresholds and noise."""

    def __init__(self, width: int, height: int, pixels: EventPixels | None = None, seed: int = 0) -> None:
        if not (0 < width <= 65535 and 0 < height <= 32767):
            raise ValueError(f"event camera: {width} x {height} pixels, expected up to 65535 x 32767")
        self.width, self.height = width, height
        self.pixels = pixels or EventPixels()
        self._seed = seed
        draw = np.random.default_rng([seed, 0])
        mismatched = draw.normal(self.pixels.threshold, self.pixels.mismatch, (2, width * height))
        self.thresholds: FloatArray = np.clip(mismatched, LEAST, MOST)  # (2, pixels) of ON and of OFF
        self.reset()

    def reset(self) -> None:
        """No frame was seen; noise begins anew from the seed."""
        count = self.width * self.height
        self._rng = np.random.default_rng([self._seed, 1])
        self._time_ns: int | None = None
        self._level: FloatArray = np.zeros(count)  # log intensity behind the low pass
        self._input: FloatArray = np.zeros(count)  # and before it
        self._away: FloatArray = np.zeros(count)  # of the level from what the pixel remembers
        self._last: NDArray[np.int64] = np.full(count, _NEVER)  # ns, of the newest event

    def put(self, frame: ArrayLike, time_ns: int) -> NDArray[Any]:
        """The events since the frame before, (n,) of EVENT in order of time, each at the first whole ns at which its
        threshold is reached; none for the first frame, which the pixels remember.

        frame: (height, width) intensity >= 0 in any unit in which 1 is white; uint8: 255 is white. ValueError for
        another shape, values that can't be, or a time that is not after the one before.
        """
        level = self._log(np.asarray(frame))
        if self._time_ns is None:
            self._time_ns, self._level, self._input = time_ns, level, level
            if self.pixels.leak_rate:  # from the start as later, not in step
                self._away = self._rng.random(level.size) * self.thresholds[0]
            return np.empty(0, EVENT)
        if time_ns <= self._time_ns:
            raise ValueError(
                f"event camera: a frame at {time_ns} ns, not after the one before, at {self._time_ns} ns"
            )
        seconds = (time_ns - self._time_ns) * 1e-9
        behind = self._behind(level, seconds)
        times, places, on = _crossings(
            self._away, behind - self._level, self.thresholds, self._last, self._noise(seconds),
            self.pixels.leak_rate * seconds, (self._time_ns, time_ns, round(self.pixels.refractory * 1e9)),
        )  # fmt: skip
        self._time_ns, self._level, self._input = time_ns, behind, level
        order = np.argsort(times, kind="stable")  # at the same time by row and column
        events = np.empty(times.size, EVENT)
        events["t"], events["on"] = times[order], on[order]
        events["y"], events["x"] = np.divmod(places[order], self.width)
        return events

    def _log(self, frame: NDArray[Any]) -> FloatArray:
        if frame.shape != (self.height, self.width):
            raise ValueError(
                f"event camera: a frame of shape {frame.shape}, expected ({self.height}, {self.width})"
            )
        if frame.dtype == np.uint8:
            return _OF_BYTES[frame.ravel()]
        intensity = frame.ravel().astype(np.float64)
        if not (intensity.min() >= 0.0 and intensity.max() < math.inf):
            raise ValueError("event camera: intensities must be >= 0 and finite")
        return np.asarray(np.log(intensity + DARK))

    def _behind(self, level: FloatArray, seconds: float) -> FloatArray:
        """Behind the low pass, whose input has run straight since the frame before: exact at the frame."""
        if not self.pixels.cutoff:
            return level
        tau = 1.0 / (2.0 * math.pi * self.pixels.cutoff)
        lag = (level - self._input) * (tau / seconds)  # of the output behind the input in the long run
        return level - lag + (self._level - self._input + lag) * math.exp(-seconds / tau)

    def _noise(self, seconds: float) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.uint8]]:
        """Pixels in order, when in the interval (0 .. 1) each errs, in order, and whether with ON."""
        count = int(self._rng.poisson(self.pixels.noise_rate * seconds * self._level.size))
        places = self._rng.integers(0, self._level.size, count)
        when = self._rng.random(count)
        order = np.lexsort((when, places))
        return places[order], when[order], self._rng.integers(0, 2, count, np.uint8)

    def state(self) -> Any:
        """All that the next events depend on, a copy."""
        arrays = self._level, self._input, self._away, self._last
        return self._time_ns, self._rng.bit_generator.state, *(array.copy() for array in arrays)

    def set_state(self, state: Any) -> None:
        """Go on from a state of a camera with the same pixels and seed."""
        self._time_ns, generator, *arrays = copy.deepcopy(state)
        self._rng.bit_generator.state = generator
        self._level, self._input, self._away, self._last = arrays


_OF_BYTES: FloatArray = np.log(np.arange(256) / 255 + DARK)


@numba.njit(cache=True, nogil=True)
def _crossings(
    away: FloatArray,
    change: FloatArray,
    thresholds: FloatArray,
    last: NDArray[np.int64],
    noise: tuple[NDArray[np.int64], FloatArray, NDArray[np.uint8]],
    leaked: float,
    clock: tuple[int, int, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """The events of an interval, pixel after pixel: times in ns, pixels, whether ON; brings away and last up to date.

    change: of the log intensity over the interval, which runs straight; leaked: thresholds by which the leak adds to
    it; clock: ns of the interval's begin and end, and the refractory time.
    """
    begin, end, refractory = clock
    noisy, when, polarity = noise
    times, places, on = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.uint8)
    count = k = 0
    for i in _busy(away, change, thresholds, noisy, leaked):
        d, at, most, least = away[i], 0.0, thresholds[0, i], -thresholds[1, i]
        slope = change[i] + leaked * most
        while True:
            # what comes next: a threshold, a noise event, or the end of the interval
            errs = k < noisy.size and noisy[k] == i
            until = when[k] if errs else 1.0
            then, is_on = d + slope * (until - at), slope > 0.0
            if (is_on and then >= most) or (slope < 0.0 and then <= least):
                at = min(at + ((most if is_on else least) - d) / slope, until)
                d = 0.0
            elif errs:
                at, d, is_on = until, 0.0, polarity[k] == 1
                k += 1
            else:
                away[i] = then
                break
            t = min(max(begin + math.ceil(at * (end - begin)), begin + 1), end)
            if t - last[i] < refractory:
                continue
            last[i] = t
            if count == times.size:
                times, places, on = _doubled(times), _doubled(places), _doubled(on)
            times[count], places[count], on[count] = t, i, is_on
            count += 1
    return times[:count], places[:count], on[:count]


@numba.njit(cache=True, nogil=True)
def _busy(
    away: FloatArray, change: FloatArray, thresholds: FloatArray, noisy: NDArray[np.int64], leaked: float
) -> NDArray[np.int64]:
    """The pixels in which something happens; the others, most of them, are brought to the end."""
    busy = np.empty(away.size, np.int64)
    count = k = 0
    errs = noisy[0] if noisy.size else -1
    for i in range(away.size):
        then = away[i] + (change[i] + leaked * thresholds[0, i])
        if i != errs and -thresholds[1, i] < then < thresholds[0, i]:
            away[i] = then
            continue
        busy[count] = i
        count += 1
        if i == errs:
            while k < noisy.size and noisy[k] == i:
                k += 1
            errs = noisy[k] if k < noisy.size else -1
    return busy[:count]


@numba.njit(cache=True, nogil=True)
def _doubled(values: Any) -> Any:
    """The same with as much room again."""
    larger = np.empty(2 * values.size, values.dtype)
    larger[: values.size] = values
    return larger
