"""Sets one parameter in a ROS parameter file and leaves all else in it as it is: comments, order, nodes of others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from hybrid_control.bringup.node_parameters import NODES, USE_SIM_TIME
from hybrid_control.bringup.parameter_files import sections_of
from hybrid_control.parameters import ParameterError, Value, check_all


def set_parameter(
    path: str | os.PathLike[str], node: str, name: str, value: Value, namespace: str | None = None
) -> None:
    """Write a value into the section of a node of ours; the file, the section and the line are made where missing.

    namespace: which section is meant where there are several of that node. ParameterError for a value that can't be,
    a file that is none, or one in which it can't be written without changing more; then nothing has changed.
    """
    path = Path(path)
    value = check_all((USE_SIM_TIME, *NODES[node]), {name: value}, where=str(path))[name]
    old = sections_of(path).sections if path.exists() else ()
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    key = _section_for(path, [pattern for pattern, _ in old], node, namespace)
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(_edited(path, text, key, name, _flow(value)), encoding="utf-8")
    try:
        _check(path, scratch, key, {name: value}, dict(old))
    except ValueError:
        scratch.unlink()
        raise
    scratch.replace(path)


def _section_for(path: Path, patterns: list[str], node: str, namespace: str | None) -> str:
    """The section that is meant, by the pattern that it has or is to have."""
    new = f"/**/{node}" if namespace is None else f"/{namespace.strip('/')}/{node}".replace("//", "/")
    found = [p for p in patterns if p.rsplit("/", 1)[-1] == node]
    if namespace is not None:
        found = [p for p in found if p == new or len(found) == 1]
    if len(found) > 1:
        names = ", ".join(found)
        raise ParameterError(
            f"{path}: has {len(found)} sections of {node} ({names}); say which with --namespace"
        )
    return found[0] if found else new


def _edited(path: Path, text: str, key: str, name: str, value: str) -> str:
    """The text with the value in it."""
    section = _under(yaml.compose(text, Loader=yaml.SafeLoader) if text.strip() else None, key)
    if section is None:
        gap = "\n" if text and not text.endswith("\n\n") else ""
        return f"{text.rstrip()}\n{gap}{key}:\n  ros__parameters:\n    {name}: {value}\n".lstrip("\n")
    for known, held in section.value:
        if known.value == name:
            return text[: held.start_mark.index] + value + text[held.end_mark.index :]
    if section.flow_style or not section.value:
        raise ParameterError(
            f"{path}: {key}: write its parameters on lines of their own, or '{name}: {value}' by hand"
        )
    at = section.start_mark
    return f"{text[: at.index]}{name}: {value}\n{' ' * at.column}{text[at.index :]}"


def _under(node: Any, key: str) -> Any:
    """The mapping under ros__parameters of the section with that pattern; None where there is none."""

    def walk(mapping: Any, prefix: str) -> Any:
        for name, held in mapping.value if isinstance(mapping, yaml.MappingNode) else ():
            if name.value == "ros__parameters" and prefix == key:
                return held
            found = walk(held, f"{prefix}/{name.value.strip('/')}")
            if found is not None:
                return found
        return None

    return walk(node, "")


def _flow(value: Value) -> str:
    """A value as it stands in the file; text in quotes, whatever it looks like."""
    style = "'" if isinstance(value, str) else None
    text: str = yaml.safe_dump(value, default_style=style, default_flow_style=True, width=1 << 16)
    return text.removesuffix("\n...\n").strip()


def _check(path: Path, scratch: Path, key: str, change: dict[str, Value], old: dict[str, Any]) -> None:
    """ParameterError where the edited file says anything else than the old one with the change."""
    expected = {**old, key: {**old.get(key, {}), **change}}
    try:
        new = dict(sections_of(scratch).sections)
    except ValueError:
        new = {}
    if new != expected:
        ((name, value),) = change.items()
        raise ParameterError(
            f"{path}: can't be changed in place; write '{name}: {_flow(value)}' under {key} by hand"
        )
