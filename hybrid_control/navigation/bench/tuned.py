"""Gains and settings that tuning found, as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hybrid_control.files import read_yaml
from hybrid_control.navigation.bench.tune import SPACES
from hybrid_control.navigation.reflex.gains import GAINS
from hybrid_control.parameters import Value
from hybrid_control.sim.robots import vehicle


def tuned_file(folder: Path, kind: str, rules: str, robot: str) -> Path | None:
    """The tuned set of a kind ("gains" or "baselines") for a rover under these rules; None where there is none."""
    file = folder / "tuned" / f"{kind}_{rules}.yaml"
    return file if vehicle(robot).wheels is not None and file.is_file() else None


def changed_gains(values: Mapping[str, Value]) -> dict[str, Value]:
    """Those of the reflex's parameters that are gains and differ from their defaults."""
    return {p.name: values[p.name] for p in GAINS if values[p.name] != p.default}


def baseline_settings(file: Path | None) -> dict[str, dict[str, float]]:
    """The settings of baselines in a YAML file: numbers by name, by policy. ValueError for anything else."""
    if file is None:
        return {}
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected a mapping of settings by baseline")
    for policy, values in content.items():
        if policy not in SPACES or not isinstance(values, dict):
            raise ValueError(f"{file}: {policy!r} is no baseline with settings")
        for name, value in values.items():
            known = SPACES[policy]
            if name not in known:
                raise ValueError(f"{file}: {policy} has no setting {name!r}; it has {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
                raise ValueError(f"{file}: {policy}: {name}: {value!r} is no number from 0 on")
    return {policy: {n: float(v) for n, v in values.items()} for policy, values in content.items()}
