"""The command lines of a graph's programs, for who starts processes itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml

from hybrid_control.bringup.graph import OURS, Graph, Program


def node_parameters_file(program: Program, folder: Path, namespace: str) -> Path | None:
    """Writes the parameters of a program's nodes into a file of their own; None where it has none."""
    sections = {
        f"{namespace}/{name}": {"ros__parameters": dict(values)}
        for name, values in program.nodes.items()
        if values
    }
    if not sections:
        return None
    path = folder / f"{program.name}.yaml"
    path.write_text(yaml.safe_dump(sections, sort_keys=False), encoding="utf-8")
    return path


def command(program: Program, graph: Graph, folder: Path) -> list[str]:
    """The words that start a program, its parameters written into `folder`. OSError where it is not installed."""
    if not program.package:
        return [program.executable, *program.arguments]
    words = (
        [sys.executable, "-m", OURS, program.executable]
        if program.package == OURS
        else [str(_executable(program.package, program.executable))]
    )
    words += [*program.arguments, "--ros-args", "--log-level", graph.log_level]
    if len(program.managed) < 2:
        words += ["-r", f"__node:={program.name}"]
    if graph.namespace:
        words += ["-r", f"__ns:={graph.namespace}"]
    if os.environ.get("ROS_SECURITY_ENABLE") == "true":
        words += ["--enclave", f"{graph.namespace}/{program.name}"]
    for was, becomes in program.remappings:
        words += ["-r", f"{was}:={becomes}"]
    for file in program.files:
        words += ["--params-file", file]
    own = node_parameters_file(program, folder, graph.namespace)
    return [*words, "--params-file", str(own)] if own else words


def _executable(package: str, name: str) -> Path:
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_prefix
    except ImportError:
        raise OSError("ROS 2 is not in this shell: source it, or scripts/env.sh") from None
    try:
        path = Path(get_package_prefix(package)) / "lib" / package / name
    except PackageNotFoundError:
        raise OSError(
            f"package {package} is not installed (apt install ros-$ROS_DISTRO-{package.replace('_', '-')})"
        ) from None
    if not path.is_file():
        raise OSError(f"package {package} has no program {name}")
    return path
