"""Old machine code is never run: what was compiled from other sources is kept elsewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba  # noqa: F401

from hybrid_control import machine_code

PROGRAM = """
import hybrid_control.realtime.caller as caller
print(caller.call(1.0))
"""
CALLER = """
from numba import njit
from hybrid_control.realtime.callee import callee

@njit(cache=True)
def call(x):
    return callee(x)
"""
CALLEE = """
from numba import njit

@njit(cache=True)
def callee(x):
    return x + {}
"""


def small_package(folder):
    """A package of the same name with nothing in it but two compiled functions in two files."""
    package = folder / "hybrid_control"
    (package / "realtime").mkdir(parents=True)
    here = Path(machine_code.__file__).parent
    for name in ("__init__.py", "machine_code.py"):
        shutil.copy(here / name, package / name)
    (package / "realtime" / "__init__.py").write_text("")
    (package / "realtime" / "caller.py").write_text(CALLER)
    return package


def run(folder, **environment):
    kept = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env={**kept, "PYTHONPATH": str(folder), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_library_a_change_in_another_file_is_compiled_anew(tmp_path):
    package = small_package(tmp_path)
    for value in (1.0, 25.5):  # of another length, or Python itself takes the old file for the new one
        (package / "realtime" / "callee.py").write_text(CALLEE.format(value))
        assert run(tmp_path) == 1.0 + value
    folders = sorted((package / "__pycache__").glob("hybrid_control-*"))
    assert len(folders) == 2
    assert all(any(folder.rglob("*.nbc")) for folder in folders)


def test_library_a_process_that_was_started_by_one_of_other_sources_has_a_folder_of_its_own(tmp_path):
    package = small_package(tmp_path)
    (package / "realtime" / "callee.py").write_text(CALLEE.format(1.0))
    parents = tmp_path / "cache" / "hybrid_control-0123456789abcdef"
    assert run(tmp_path, NUMBA_CACHE_DIR=str(parents)) == 2.0
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [
        f"hybrid_control-{machine_code.digest_of_sources(package)}"
    ]


def test_library_the_newest_few_folders_of_older_sources_are_kept(tmp_path):
    package = small_package(tmp_path)
    for k in range(7):
        old = tmp_path / "cache" / f"hybrid_control-{k:016x}"
        old.mkdir(parents=True)
        os.utime(old, (1e9 + k, 1e9 + k))
    (package / "realtime" / "callee.py").write_text(CALLEE.format(1.0))
    run(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    kept = {p.name for p in (tmp_path / "cache").iterdir()}
    ours = f"hybrid_control-{machine_code.digest_of_sources(package)}"
    assert kept == {ours, *(f"hybrid_control-{k:016x}" for k in (4, 5, 6))}


def test_library_where_nothing_can_be_written_code_is_kept_while_the_machine_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_code, "digest_of_sources", lambda: "1" * 16)
    monkeypatch.setattr(machine_code.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/none")
    monkeypatch.setattr(sys.modules["numba"].config, "CACHE_DIR", "")
    machine_code.keep_apart()
    folder = tmp_path / f"hybrid_control_{os.getuid()}" / f"hybrid_control-{'1' * 16}"
    assert folder.is_dir()
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)
