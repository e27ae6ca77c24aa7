"""How old what came is by its stamp, and whether that may be."""

from __future__ import annotations

MAX_FUTURE_NS = 50_000_000  # a stamp further ahead of the clock than this comes from another clock


def age_of(stamp_ns: int, now_ns: int, limit: str, allowed: float) -> int:
    """Nanoseconds since a stamp, 0 where it lies a little ahead. now_ns: of the clock that stamps are of.

    ValueError for one that is older than `allowed` seconds, which `limit` names, or from the future.
    """
    age = now_ns - stamp_ns
    if age > allowed * 1e9:
        raise ValueError(f"its stamp is {age * 1e-9:.3f} s old, {limit} is {allowed:g} s")
    if age < -MAX_FUTURE_NS:
        raise ValueError(f"its stamp is {-age * 1e-9:.3f} s in the future")
    return max(age, 0)
