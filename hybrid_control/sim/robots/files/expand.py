"""A stranger's xacro file as URDF, expanded in a process of its own with limits on time, memory and what it may read.

    python -m hybrid_control.sim.robots.files.expand FILE

writes the URDF on standard output. It reads files of the robot's package or folder alone, and of ROS packages whose
folder, by the package's name, is above that file, or beside one above it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hybrid_control.files import in_child, keep_limits, read_xml

UP = 4  # folders above the robot's in which a package is looked for
ELSE = ("subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "socket.", "ctypes.")  # is refused
MISSING = "xacro is not installed (pip install 'xacro>=2.0'), or make a URDF of it on a machine that has it"


def package_folder(name: str, path: Path) -> Path | None:
    """The folder of a ROS package by its name: one above the file, or beside one above it; None where there is none."""
    if not name or name in (".", "..") or "/" in name:
        return None
    folder = path.resolve().parent
    for up in (folder, *list(folder.parents)[:UP]):
        if up.name == name:
            return up
        if (up / name).is_dir():
            return up / name
    return None


def home(path: Path) -> Path:
    """The folder whose files a robot may be made of: the ROS package that its file is in, or else its own."""
    folder = path.resolve().parent
    return next((up for up in (folder, *list(folder.parents)[:UP]) if (up / "package.xml").is_file()), folder)


def within(file: Path, roots: list[Path]) -> bool:
    """Whether a file, links followed, lies below one of these folders."""
    real = file.resolve()
    return any(real.is_relative_to(root) for root in roots)


def expanded(path: Path) -> bytes:
    """The URDF that a xacro file makes. ValueError in one line where it makes none, or asks for more than it may."""
    return in_child("hybrid_control.sim.robots.files.expand", [str(path)], where=path, seconds=4.0, memory=1024 << 20)


def _expand_here(path: Path) -> str:
    read_xml(path, "xacro")
    try:
        import xacro
        import xacro.substitution_args
    except ImportError:
        raise ValueError(f"{path}: {MISSING}") from None
    roots = [home(path)]

    def find(name: str) -> str:
        folder = package_folder(name, path)
        if folder is None:
            where = f"no folder of that name within {UP} above it, or beside those"
            raise ValueError(f"{path}: $(find {name}): {where}; expected the package there")
        roots.append(folder.resolve())
        return str(folder)

    xacro.substitution_args._eval_find = find
    homes = (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), os.path.dirname(xacro.__file__))
    of_python = [Path(p).resolve() for p in homes]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            file = Path(os.fsdecode(arguments[0]))
            mode, flags = arguments[1:3]
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & (os.O_WRONLY | os.O_RDWR)
            if writes or not within(file, roots + of_python):
                raise ValueError(f"{path}: names {file}, which is outside its folder and is not read")
        elif event.startswith(ELSE):
            raise ValueError(f"{path}: asks for more than files: {event}")

    parse = xacro.parse

    def checked(inp: Any, filename: Any = None) -> Any:
        if inp is None:
            read_xml(filename, "xacro")
        return parse(inp, filename)

    xacro.parse = checked
    sys.addaudithook(watch)
    try:
        return str(xacro.process_file(str(path)).toxml())
    except RecursionError:
        raise ValueError(f"{path}: a macro or an include that leads to itself") from None
    except Exception as error:  # xacro raises what Python has to offer over the expressions of a file
        cause: Any = error
        while (inner := cause.__cause__ or getattr(cause, "exc", None)) is not None:
            cause = inner
        if str(cause).startswith(f"{path}: "):
            raise ValueError(str(cause)) from None
        raise ValueError(f"{path}: not xacro: {' '.join(f'{error}'.split())[:200] or type(error).__name__}") from None


if __name__ == "__main__":
    keep_limits()
    try:
        sys.stdout.write(_expand_here(Path(sys.argv[1])))
    except (ValueError, OSError) as refused:
        line = " ".join(str(refused).split())
        print(line if line.startswith(sys.argv[1]) else f"{sys.argv[1]}: {line}", file=sys.stderr)
        sys.exit(1)
