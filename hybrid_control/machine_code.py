"""Where compiled machine code is kept: a folder for each state of the sources, so that old code is never run.

numba compiles a function anew where the function's own file has changed, but not where one that it calls in another
file has. After an update of the sources a robot would then go on with parts of the old guard. So the folder's name has
a digest of all sources that anything compiled can come from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parent
#: Folders, beside the package's, that hold compiled functions or what these read as constants.
ROOMS = ("signals", "geometry", "realtime", "snn", "colanet", "sim", "navigation", "cosim", "../firmware_bridge/link")
PREFIX = "hybrid_control-"
KEPT = 3  # folders of older sources


def digest_of_sources(package: Path = PACKAGE) -> str:
    """16 hexadecimal digits that change with any file of ROOMS."""
    found = hashlib.blake2b(digest_size=8)
    for room in ROOMS:
        for folder, folders, files in os.walk(package / room):
            folders.sort()
            for name in sorted(files):
                if name.endswith(".py"):
                    content = Path(folder, name).read_bytes()
                    found.update(f"{room}/{name}/{len(content)}/".encode() + content)
    return found.hexdigest()


def folders_for(digest: str, asked: str | None, package: Path = PACKAGE) -> list[Path]:
    """Where the code of these sources may be kept, the first that can be written: in NUMBA_CACHE_DIR (`asked`), or
    beside the sources, in the user's cache, or in a folder that lasts as long as the machine is up."""
    if asked:
        base = Path(asked)
        bases = [base.parent if base.name.startswith(PREFIX) else base]  # a parent process of ours has set it
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        bases = [package / "__pycache__", cache / "hybrid_control"]
    bases.append(Path(tempfile.gettempdir()) / f"hybrid_control_{os.getuid()}")
    return [base / f"{PREFIX}{digest}" for base in bases]


def keep_apart() -> None:
    """Let numba keep this process's machine code in the folder of the sources as they are now."""
    for folder in folders_for(digest_of_sources(), os.environ.get("NUMBA_CACHE_DIR")):
        new = not folder.is_dir()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if not os.access(folder, os.W_OK) or folder.stat().st_uid != os.getuid():
            continue  # code is not taken from what somebody else may have written
        if new:
            _forget_older(folder)
        os.environ["NUMBA_CACHE_DIR"] = str(folder)
        if "numba" in sys.modules:
            sys.modules["numba"].config.CACHE_DIR = str(folder)  # it has read the environment already
        return


def _forget_older(folder: Path) -> None:
    """Remove all but the KEPT newest folders of other sources."""
    others = [p for p in folder.parent.glob(f"{PREFIX}*") if p != folder]
    for old in sorted(others, key=lambda p: p.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
