"""Gaussian population codes: one value as the rates of many neurons, each with a value that it prefers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.signals.coding import channels, kernels
from hybrid_control.signals.spikes import Float32Array


class GaussianCode:
    """Rates with a bell-shaped tuning: r_i = peak x exp(-(value - preferred_i)^2 / (2 sigma^2)).

    preferred: (n,), sigma, and period are in the value's unit, peak in Hz. With a ``period`` the value lies
    on a circle of that length and the difference is the shorter way round. Read back with the population
    vector. (Pouget, Dayan and Zemel, Information processing with population codes, Nature Reviews
    Neuroscience 2000.)
    """

    def __init__(self, preferred: ArrayLike, sigma: float, peak: float = 100.0, period: float = 0.0) -> None:
        self.preferred: NDArray[np.float64] = np.array(preferred, np.float64)
        if self.preferred.ndim != 1 or self.preferred.size < 2 or not np.isfinite(self.preferred).all():
            raise ValueError("preferred: two or more finite values in one dimension are needed")
        if not 0.0 < sigma < math.inf:
            raise ValueError(f"sigma: {sigma!r} must be finite and above 0")
        if not 0.0 <= period < math.inf:
            raise ValueError(f"period: {period!r} must be finite, and 0 for a line")
        self.preferred.flags.writeable = False
        self.size = self.preferred.size
        self.sigma, self.peak, self.period = float(sigma), channels.checked_max_rate(peak), float(period)

    @classmethod
    def line(
        cls, low: float, high: float, size: int, peak: float = 100.0, margin: float = 3.0
    ) -> GaussianCode:
        """``size`` evenly spaced neurons for values in low .. high, sigma equal to their spacing.

        The outermost neurons lie ``margin`` sigmas beyond the ends: without them the population vector would
        be drawn inwards there (with 3, by at most 0.005 sigma).
        """
        intervals = channels.checked_size(size) - 1 - 2.0 * margin
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"line: {low} .. {high} is no range")
        if not margin >= 0.0 or intervals <= 0.0:
            raise ValueError(f"line: {size} neurons are too few for a margin of {margin} sigmas at both ends")
        sigma = (high - low) / intervals
        return cls(np.linspace(low - margin * sigma, high + margin * sigma, size), sigma, peak)

    @classmethod
    def circle(cls, size: int, peak: float = 100.0, sigma: float | None = None) -> GaussianCode:
        """``size`` neurons evenly round -pi .. pi radians, sigma by default equal to their spacing."""
        spacing = 2.0 * math.pi / channels.checked_size(size)
        preferred = -math.pi + spacing * np.arange(size)
        return cls(preferred, spacing if sigma is None else sigma, peak, 2.0 * math.pi)

    def rates(self, value: float) -> Float32Array:
        """The rates that stand for ``value``, (size,) Hz; ValueError where it is not finite."""
        if not math.isfinite(value):
            raise ValueError(f"value: {value!r} must be finite")
        rates = np.empty(self.size, np.float32)
        kernels.gaussian_rates(float(value), self.preferred, self.sigma, self.peak, self.period, rates)
        return rates

    def decode(self, rates: ArrayLike) -> float:
        """The population vector of rates (size,) Hz: a value, in -period/2 .. period/2 on a circle.

        NaN where there is nothing to read: no activity, or on a circle activity without a direction.
        ValueError on a wrong shape and on rates that are not finite and >= 0.
        """
        values = np.asarray(rates, dtype=np.float64)
        if values.shape != (self.size,):
            raise ValueError(f"rates: shape {values.shape}, expected ({self.size},)")
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError("rates: every rate must be finite and >= 0 Hz")
        return float(kernels.population_vector(values, self.preferred, self.period))
