"""The names that classes of ground may have, and what each does."""

from __future__ import annotations

import re
from collections.abc import Mapping

AVOID, APPROACH, SLOW, IGNORE = "avoid", "approach", "slow", "ignore"
EFFECTS = (AVOID, APPROACH, SLOW, IGNORE)
GROUND = "ground"
"""The class of ordinary ground."""
LABEL = re.compile(r"[a-z][a-z0-9_]{0,31}")


def checked_label(label: str) -> str:
    """A class's name; ValueError where it is none."""
    if not isinstance(label, str) or not LABEL.fullmatch(label):
        raise ValueError(
            f"class {str(label)[:40]!r}: expected a small letter and up to 31 small letters, digits or _"
        )
    return label


def checked_effects(effects: Mapping[str, str]) -> dict[str, str]:
    """What each class does, by its name; ValueError for what is no name or no effect."""
    for label, effect in effects.items():
        checked_label(label)
        if effect not in EFFECTS:
            raise ValueError(
                f"class {label!r}: the effect {effect!r} is unknown; expected {', '.join(EFFECTS)}"
            )
    return dict(effects)


def read_effects(text: str) -> dict[str, str]:
    """What each class does, of a text such as "puddle=avoid; dock=approach"; ValueError where it can't be read."""
    effects: dict[str, str] = {}
    for entry in filter(None, (each.strip() for each in text.split(";"))):
        label, equals, effect = (word.strip() for word in entry.partition("="))
        if not equals:
            raise ValueError(f"effects: {entry!r}; expected CLASS=EFFECT, such as puddle=avoid, parted by ';'")
        if label in effects:
            raise ValueError(f"effects: class {label!r} stands twice")
        effects[label] = effect
    return checked_effects(effects)
