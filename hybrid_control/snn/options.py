"""How a network is integrated: what NIR leaves open, the same for every back end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Scheme = Literal["euler", "exponential", "exact"]
Reset = Literal["value", "subtract"]
Order = Literal["current_first", "voltage_first"]


@dataclass(frozen=True)
class Options:
    """What NIR leaves open. Every field is described, with its equation, in docs/snn.md."""

    dt: float = 1e-3
    dtype: type = np.float32
    scheme: Scheme = "euler"
    reset: Reset = "value"
    if_step: Literal["dt", "one"] = "dt"
    order: Order = "current_first"
    initial: Literal["leak", "zero"] = "leak"
    recurrent_delay: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.dt) and self.dt > 0):
            raise ValueError(f"dt must be a positive time in seconds, not {self.dt}")
        if np.dtype(self.dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, not {self.dtype}")
        for name, value, allowed in (
            ("scheme", self.scheme, ("euler", "exponential", "exact")),
            ("reset", self.reset, ("value", "subtract")),
            ("if_step", self.if_step, ("dt", "one")),
            ("order", self.order, ("current_first", "voltage_first")),
            ("initial", self.initial, ("leak", "zero")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, not {value!r}")
        if self.recurrent_delay != int(self.recurrent_delay) or self.recurrent_delay < 1:
            raise ValueError(
                f"recurrent_delay must be a whole number of ticks >= 1, not {self.recurrent_delay}"
            )
