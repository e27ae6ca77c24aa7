"""Files of strangers are bounded in size, depth, memory and time, and what is wrong with one is a line."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.files import (
    DEPTH_LIMIT,
    MIB,
    arrays_of,
    hdf5,
    in_child,
    read_bytes,
    read_json,
    read_npz,
    read_xml,
    read_yaml,
)


def refused(read, *arguments):
    """What a reader says of a file, in one line that begins with its name."""
    with pytest.raises(ValueError) as caught:
        read(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{arguments[0]}: ")
    return line


def test_a_file_larger_than_the_limit_a_folder_and_a_pipe_are_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 101)
    assert "101 bytes; at most 100" in refused(read_bytes, tmp_path / "a", 100)
    assert read_bytes(tmp_path / "a", 101) == b"x" * 101
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refused(read_bytes, tmp_path / "pipe")
    with pytest.raises(OSError, match="directory"):
        read_bytes(tmp_path)


def test_json_is_read_and_nesting_is_bounded(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"a": [1, "]]]{{{\\\""]}))
    assert read_json(file) == {"a": [1, "]]]{{{\\\""]}
    file.write_text("[" * 100_000)
    assert f"more than {DEPTH_LIMIT} deep" in refused(read_json, file)
    file.write_text("{'a'")
    assert "not JSON" in refused(read_json, file)
    file.write_bytes(b"\xff\xfe")
    assert "no text in UTF-8" in refused(read_json, file)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &a {x: 1}\nb: {<<: *a}\n", "merge keys"),
        ("a: &a [*a]\n", "lies in"),
        ("[" * 1000, f"more than {DEPTH_LIMIT} deep"),
        ("a: [1\n", "not YAML"),
        ("a: 2026-02-31\n", "not YAML"),
        ("a: !!python/object:os.system x\n", "not YAML"),
        ("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
         + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)), "its aliases make"),
    ],
)  # fmt: skip
def test_yaml_that_would_grow_or_do_something_is_refused_at_once(tmp_path, text, why):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    begin = time.process_time()
    assert why in refused(read_yaml, file)
    assert time.process_time() - begin < 2.0


def test_yaml_with_an_alias_is_read(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("a: &a {x: 1}\nb: [*a, *a]\n")
    assert read_yaml(file) == {"a": {"x": 1}, "b": [{"x": 1}, {"x": 1}]}
    file.write_text("")
    assert read_yaml(file) is None


def test_xml_with_entities_or_deep_nesting_is_refused(tmp_path):
    file = tmp_path / "a.xml"
    file.write_text('<sdf version="1.7"><world name="w"/></sdf>')
    assert read_xml(file).find("world").get("name") == "w"
    for text, why in (
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document types"),
        ("<a>" * 100_000, f"more than {DEPTH_LIMIT} deep"),
        ("<a><b></a>", "not XML"),
        ("", "not XML"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "not XML"),
    ):
        file.write_text(text)
        assert why in refused(read_xml, file)


def npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def test_npz_gives_back_what_numpy_wrote(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array("text"), "c": np.asfortranarray(np.eye(3, 2))}
    np.savez(tmp_path / "a.npz", **arrays)
    for name, array in read_npz(tmp_path / "a.npz").items():
        np.testing.assert_array_equal(array, arrays[name])
        assert array.shape == arrays[name].shape


def test_npz_whose_arrays_are_larger_than_the_limit_or_hold_objects_is_refused(tmp_path):
    file = tmp_path / "a.npz"
    file.write_bytes(npz(a=np.zeros(MIB)))
    assert file.stat().st_size < MIB
    assert "8,388" in refused(lambda f: read_npz(f, limit=MIB), file)
    np.savez(file, a=np.array([{}], dtype=object))
    assert "neither numbers nor text" in refused(read_npz, file)


def test_npz_whose_header_says_more_than_its_bytes_is_refused():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        member = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            member, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
        )
        archive.writestr("a.npy", member.getvalue() + b"\0" * 8)
    assert "8 bytes for float64" in refused(lambda where: arrays_of(stream.getvalue(), where), "a.npz")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_npz_that_is_damaged_anywhere_is_read_or_refused_in_a_line(data):
    content = bytearray(npz(a=np.arange(4), b=np.ones((2, 2), np.float32)))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    said = ""
    try:
        arrays_of(bytes(content[: data.draw(st.integers(0, len(content)))]), "a.npz")
    except ValueError as error:
        said = str(error)
    assert not said or said.startswith("a.npz: not an npz file: ")


def test_hdf5_links_foreign_storage_and_data_that_cannot_be_there_are_refused(tmp_path):
    other = tmp_path / "secret"
    other.write_bytes(b"s" * 100)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (10**9,), "f8")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = h5py.ExternalLink(str(tmp_path / "a.h5"), "/x")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("x", (100,), "u1", external=[(str(other), 0, 100)])
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"] = h5py.SoftLink("/x")
    layout = h5py.VirtualLayout((100,), "u1")
    layout[:] = h5py.VirtualSource(tmp_path / "c.h5", "x", (100,))
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    (tmp_path / "f.h5").write_bytes(b"no such thing")
    for name, why in (
        ("a", "more data than the file can hold"), ("b", "link to another place"), ("c", "in other files"),
        ("d", "link to another place"), ("e", "in other files"), ("f", "no HDF5 file"),
    ):  # fmt: skip
        assert why in refused(hdf5.check, tmp_path / f"{name}.h5")


def test_hdf5_over_which_the_library_reads_for_ever_or_fails_is_refused_before_it_is_read_here(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("texts", data=["one", "two", "three"], dtype=h5py.string_dtype())
        file.create_dataset("packed", data=np.arange(999), compression="gzip")
    content = (tmp_path / "a.h5").read_bytes()
    heap = content.index(b"GCOL")  # where the library keeps texts; after 16 bytes the first one's number and size
    for at, word, why in (
        (heap + 24, bytes(8), "takes longer than 1 s to read; given up"),
        (heap, b"NONE", "not HDF5: "),
        (content.index(b"\x78\x5e"), bytes(8), "not HDF5: "),
    ):
        (tmp_path / "b.h5").write_bytes(content[:at] + word + content[at + len(word) :])
        assert why in refused(lambda path: hdf5.check(path, seconds=1.0), tmp_path / "b.h5")


def test_hdf5_that_is_as_it_should_be_passes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("g/x", data=np.zeros(MIB), compression="gzip")
        file["g"].attrs["name"] = "text"
        file["s"] = "text"
    hdf5.check(tmp_path / "a.h5")


def test_what_hangs_crashes_or_takes_too_much_in_a_child_is_a_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    (tmp_path / "hangs.py").write_text("import time; time.sleep(60)")
    (tmp_path / "spins.py").write_text(
        "from hybrid_control.files import keep_limits; keep_limits()\nwhile True: pass"
    )
    (tmp_path / "crashes.py").write_text("import os; os.abort()")
    (tmp_path / "grows.py").write_text(
        "from hybrid_control.files import keep_limits; keep_limits(); x = bytearray(1 << 40)"
    )
    assert "longer than 0.5 s" in refused(lambda w: in_child("hangs", [], where=w, seconds=0.5), "f")
    assert "longer than 1 s" in refused(lambda w: in_child("spins", [], where=w, seconds=1.0), "f")
    assert "ended with status -6" in refused(lambda w: in_child("crashes", [], where=w), "f")
    assert "MiB of memory" in refused(lambda w: in_child("grows", [], where=w), "f")
