"""Which directions a planner saw closed, how far away, and whether a planar scan would show why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_control.signals import StateVector, layout
from hybrid_control.signals.headings import SECTORS
from hybrid_control.signals.spikes import Float32Array

STANDING, STANDING_AT, HIDDEN, HIDDEN_AT = range(4)
UNSEEN = -1.0
POPULATIONS = layout(standing=SECTORS, standing_at=SECTORS, hidden=SECTORS, hidden_at=SECTORS)  # of the rows, as states


@dataclass(frozen=True, slots=True, eq=False)
class ClosedDirections:
    """The first thing that closes each of the 72 headings, seen from the camera's foot.

    rows: (4, 72). STANDING: how sure it is, 0 .. 1, that the direction is closed by what a planar scan shows as well,
    and STANDING_AT: how far away, m over the ground. HIDDEN, HIDDEN_AT: the same of what a scan does not show, such as
    what is low, hangs, is of glass, or is ground that may not be driven on. The rest of 1 is free, as far as the model
    looks. A direction that it does not see has UNSEEN for both. stamp_ns: of the image.
    """

    stamp_ns: int
    rows: Float32Array

    def __post_init__(self) -> None:
        rows = np.array(self.rows, np.float32)
        rows.flags.writeable = False
        if rows.shape != (4, SECTORS):
            raise ValueError(f"closed: rows of shape {rows.shape}, expected (4, {SECTORS})")
        object.__setattr__(self, "rows", rows)

    @classmethod
    def of(cls, states: StateVector) -> ClosedDirections:
        """Of its rows as states; ValueError for those of other populations, or what no planner may say."""
        if states.populations != POPULATIONS:
            found = ", ".join(f"{p.name} of {p.size}" for p in states.populations)
            wanted = ", ".join(f"{p.name} of {p.size}" for p in POPULATIONS)
            raise ValueError(f"closed: populations {found}, expected {wanted}")
        rows = states.values.reshape(-1, SECTORS)
        if (rows[[STANDING, HIDDEN]] > 1.01).any() or (rows[[STANDING_AT, HIDDEN_AT]] < 0.0).any():
            raise ValueError("closed: a confidence above 1, or a distance below 0 m")
        return cls(states.stamp_ns, rows)

    def states(self) -> StateVector:
        """Its rows as states, a population each."""
        return StateVector(self.stamp_ns, self.rows.reshape(-1), POPULATIONS)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which headings it saw, (72,)."""
        return self.rows[HIDDEN] >= 0.0

    def first(self, sure: float) -> NDArray[np.float64]:
        """m to what closes each heading first, (72,), of what it is at least so sure of; inf where nothing does, 0
        where it did not see."""
        confidence, away = self.rows[[STANDING, HIDDEN]], self.rows[[STANDING_AT, HIDDEN_AT]]
        first = np.where(confidence >= sure, away, np.inf).min(axis=0).astype(np.float64)
        return np.where(self.seen, first, 0.0)
