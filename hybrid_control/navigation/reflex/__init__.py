"""The avoidance reflex: a spiking heading ring, its gains, and the tick that every loop calls."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid_control.navigation.reflex.reflex import Command, InputRefused, Mode, Reflex, Status

__all__ = ["Command", "InputRefused", "Mode", "Reflex", "Status"]


def __getattr__(name: str) -> Any:
    """Load the compiled part when it is first asked for: whoever needs the gains' names alone starts at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hybrid_control.navigation.reflex import reflex

    return getattr(reflex, name)
