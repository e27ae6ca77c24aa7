"""ROS parameter files (YAML): read, checked against the nodes' parameters, written and brought up to date.

    python -m hybrid_control.bringup.parameter_files config/*.yaml

brings files up to date with the code: values stay, what is new comes in, what is gone goes, comments are renewed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hybrid_control.bringup.node_parameters import NODES, USE_SIM_TIME
from hybrid_control.files import read_yaml as read_yaml_file
from hybrid_control.parameters import Parameter, ParameterError, Value, check_all


def config_folder() -> Path:
    """Where the parameter files are: as installed by hybrid_control_bringup, or else in the repository.

    OSError where neither is there.
    """
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        pass
    else:
        try:
            installed = Path(get_package_share_directory("hybrid_control_bringup")) / "config"
        except PackageNotFoundError:
            pass
        else:
            if installed.is_dir():
                return installed
    tree = Path(__file__).parents[2] / "config"
    if tree.is_dir():
        return tree
    raise OSError("config/ is not found: build and source the workspace (package hybrid_control_bringup)")


def params_path(name: str) -> Path:
    """A parameter file by path, or by its name in config/; OSError where it is neither."""
    if os.sep not in name and not name.endswith((".yaml", ".yml")):
        file = config_folder() / f"{name}.yaml"
        if not file.is_file():
            known = ", ".join(sorted(f.stem for f in config_folder().glob("*.yaml")))
            raise OSError(
                f"params_file: no {name!r} in config/, there are {known}; for another file give its path"
            )
        return file
    file = Path(name).expanduser()
    if not file.is_file():
        raise OSError(f"params_file: {name}: no such file")
    return file.resolve()


def read_yaml(path: str | os.PathLike[str]) -> dict[str, dict[str, Value]]:
    """What a ROS parameter file says about our nodes, by the node's name without its namespace.

    Raises ParameterError, which begins with the path, where it is not a parameter file, or names a parameter that
    the node does not have or a value that it can't take. Nodes that are not ours are left out. OSError as usual.
    """
    result: dict[str, dict[str, Value]] = {}
    for name, given in _sections(path).items():
        if name in NODES:
            known = (USE_SIM_TIME, *NODES[name])
            checked = check_all(known, given, where=f"{path}: {name}")
            result[name] = {key: checked[key] for key in given}
    return result


@dataclass(frozen=True)
class Sections:
    """The sections of a ROS parameter file, in its order: pattern of a node's full name, and parameters.

    A pattern is as ROS reads it: `*` stands for one part of a name, `**` for any number of them.
    """

    file: str
    sections: tuple[tuple[str, Mapping[str, Any]], ...]

    def of(self, node: str, known: Collection[str]) -> dict[str, Any]:
        """What the file says of a node with this full name, such as /robot1/reflex_node; later sections win.

        A section that names no node, such as `/**`, says of each only what is `known` to it.
        """
        values: dict[str, Any] = {}
        for pattern, given in self.sections:
            names_one = "*" not in pattern.rsplit("/", 1)[-1]
            if _matches(pattern, node):
                values |= {k: v for k, v in given.items() if names_one or k in known}
        return values


def _matches(pattern: str, node: str) -> bool:
    parts = [
        ".*" if p == "**" else re.escape(p).replace(r"\*", "[^/]*") for p in pattern.strip("/").split("/")
    ]
    # "**" also stands for no part at all
    expression = "/".join(parts).replace(".*/", "(?:.*/)?")
    if "/" not in pattern.strip("/"):
        node = node.rsplit("/", 1)[-1] if pattern.strip("/") != "**" else node
    return re.fullmatch(expression, node.strip("/")) is not None


def sections_of(path: str | os.PathLike[str]) -> Sections:
    """The sections of a ROS parameter file. ParameterError where it is none, OSError as usual."""
    found: list[tuple[str, Mapping[str, Any]]] = []

    def walk(prefix: str, content: Mapping[Any, Any]) -> None:
        for key, section in content.items():
            name = f"{prefix}/{str(key).strip('/')}"
            if not isinstance(section, dict):
                raise ParameterError(f"{path}: {name}: expected 'ros__parameters:' with parameters under it")
            for inner, values in section.items():
                if inner != "ros__parameters":
                    walk(name, {inner: values})
                elif isinstance(values, dict):
                    found.append((name, values))
                else:
                    raise ParameterError(
                        f"{path}: {name}: expected 'ros__parameters:' with parameters under it"
                    )

    walk("", _load(path))
    return Sections(str(path), tuple(found))


def to_yaml(values: Mapping[str, Mapping[str, Value]], head: str = "") -> str:
    """A ROS parameter file that holds every parameter of the nodes in `values`, in any namespace.

    values: those that differ from the defaults. head: comment lines, without their #.
    """
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for name, given in values.items():
        known = (USE_SIM_TIME, *NODES[name])
        checked = check_all(known, given, where=name)
        lines += ["", f"/**/{name}:", "  ros__parameters:"]
        lines += [f"    {p.name}: {_scalar(checked[p.name])}  # {_remark(p)}" for p in known]
    return "\n".join(lines).lstrip("\n") + "\n"


def save(path: str | os.PathLike[str], values: Mapping[str, Mapping[str, Value]]) -> None:
    """Write a parameter file with these nodes' values; what a file there says of other nodes stays, and its head.

    ParameterError for a value that can't be or a file there that is none of ours, OSError as usual; then nothing has
    changed.
    """
    path = Path(path)
    sections, head = _with_head(path) if path.exists() else ({}, "Saved from the running nodes.")
    for name in sections:
        if name not in NODES:
            raise ParameterError(
                f"{path}: has parameters of {name!r}, which is none of our nodes; save to another file"
            )
    text = to_yaml({**sections, **values}, head)
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)


def refresh(path: str | os.PathLike[str]) -> str:
    """The text of a parameter file brought up to date with the code."""
    return to_yaml(*_with_head(Path(path)))


def _with_head(path: Path) -> tuple[dict[str, dict[str, Value]], str]:
    """What a file says of parameters that there are, by node, and the comment that it begins with."""
    head = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        head.append(line.removeprefix("#").removeprefix(" "))
    values = {}
    for name, given in _sections(path).items():
        names = {p.name for p in (USE_SIM_TIME, *NODES.get(name, ()))}
        values[name] = {key: value for key, value in given.items() if key in names}
    return values, "\n".join(head)


def _load(path: str | os.PathLike[str]) -> dict[Any, Any]:
    try:
        content = read_yaml_file(path)
    except ValueError as error:
        raise ParameterError(str(error)) from None
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: not a parameter file, expected the names of nodes at the top")
    return content


def _sections(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    content = _load(path)
    sections: dict[str, dict[str, Any]] = {}
    for key, section in content.items():
        if not isinstance(section, dict) or not isinstance(section.get("ros__parameters"), dict):
            raise ParameterError(f"{path}: {key}: expected 'ros__parameters:' with parameters under it")
        sections.setdefault(str(key).rsplit("/", 1)[-1], {}).update(section["ros__parameters"])
    return sections


def _scalar(value: Value) -> str:
    if isinstance(value, float):
        text = f"{value:.12g}"
        return text if any(c in text for c in ".e") else f"{text}.0"
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()


def _remark(parameter: Parameter) -> str:
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    span = parameter.range_text
    if parameter.choices:
        span = "one of " + ", ".join(repr(c) for c in parameter.choices)
    return f"{parameter.description}{unit}" + (f" ({span})" if span else "")


def read_parameters(file: Path | None) -> dict[str, dict[str, Value]]:
    """Every parameter of every node: a ROS parameter file over the defaults. Errors as of `read_stated`."""
    stated = read_stated(file)
    return {name: check_all(known, stated[name], where=name) for name, known in NODES.items()}


def read_stated(file: Path | None) -> dict[str, dict[str, Value]]:
    """What a ROS parameter file says of each node, and nothing where there is none.

    Raises ValueError with one line for a file that is no such file, an unknown node or parameter, or a value out of
    range; OSError where it can't be read.
    """
    given: dict[str, dict[str, object]] = {name: {} for name in NODES}
    content: object = {}
    if file is not None:
        content = read_yaml_file(file) or {}
    if not isinstance(content, dict):
        raise ValueError(
            f"{file}: expected node names with ros__parameters below them, as in config/sim.yaml"
        )
    for key, section in content.items():
        name = str(key).removeprefix("/**").strip("/")
        if name and name not in NODES:
            raise ValueError(f"{file}: unknown node {key!r}; known are {', '.join(NODES)}")
        values = section.get("ros__parameters") if isinstance(section, dict) else None
        if not isinstance(values, dict) or len(section) != 1:
            raise ValueError(
                f"{file}: {key}: expected ros__parameters with parameters below it, and nothing else"
            )
        values = {str(k): v for k, v in values.items() if k != "use_sim_time"}  # follows --real-time-factor
        if name:
            given[name] |= values
            continue
        for parameter, value in values.items():
            takers = [n for n, known in NODES.items() if parameter in {p.name for p in known}]
            if not takers:
                raise ParameterError(f"{file}: unknown parameter {parameter!r}: no node has it")
            for node in takers:
                given[node][parameter] = value
    checked = {n: check_all(NODES[n], values, where=f"{file}: {n}") for n, values in given.items() if values}
    return {n: {name: checked[n][name] for name in values} for n, values in given.items()}


if __name__ == "__main__":
    for file in sys.argv[1:]:
        Path(file).write_text(refresh(file), encoding="utf-8")
