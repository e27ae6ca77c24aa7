"""Reads and writes NIR files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
from nir.serialization import hdf2dict

from hybrid_control.files import hdf5
from hybrid_control.snn.nir.checks import GraphError, check_names
from hybrid_control.snn.nir.nodes import node_from, text


def read(path: str | Path) -> nir.NIRGraph:
    """Read a NIR file. GraphError where it is none or holds what is not understood, OSError where it will not open.

    The file is first looked through in a process of its own (`files.hdf5`), which takes a tenth of a second.
    """
    path = Path(path)
    try:
        hdf5.check(path)
    except ValueError as error:
        raise GraphError(f"{path}: not a NIR file ({str(error).removeprefix(f'{path}: ')})") from None
    return read_unchecked(path)


def read_unchecked(path: Path) -> nir.NIRGraph:
    """The same without the look through it, for files of one's own."""
    try:
        with h5py.File(path, "r") as file:
            return read_tree(file)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error
    except OSError as error:
        raise GraphError(f"{path}: damaged HDF5 file ({error})") from error


def read_tree(file: h5py.File) -> nir.NIRGraph:
    """The graph in an open file."""
    if not isinstance(file.get("node"), h5py.Group):
        raise GraphError("not a NIR file (it has no group 'node')")
    try:
        tree = hdf2dict(file["node"])
    except (RuntimeError, KeyError, TypeError, UnicodeDecodeError, MemoryError) as error:
        raise GraphError(f"damaged NIR file ({error})") from error
    graph = node_from(tree, "")
    return graph if isinstance(graph, nir.NIRGraph) else nir.NIRGraph.from_list(graph, type_check=False)


def write(path: str | Path, graph: nir.NIRGraph) -> None:
    """Write a NIR file, in the layout of the nir package; GraphError for a name that cannot be stored.

    (nir.write itself, in 1.0.8, cannot store parameters without a dimension.)
    """
    check_names(graph)
    with h5py.File(path, "w") as file:
        write_tree(file, graph)


def write_tree(file: h5py.File, graph: nir.NIRGraph) -> None:
    """Write a graph into an open, empty file."""
    file.create_dataset("version", data=nir.version, dtype=h5py.string_dtype())
    _write_group(file.create_group("node"), graph.to_dict())


def _write_group(group: h5py.Group, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            if value or key != "metadata":
                _write_group(group.create_group(str(key)), value)
        elif isinstance(value, (str, bytes)):
            group.create_dataset(key, data=text(value), dtype=h5py.string_dtype())
        elif isinstance(value, np.ndarray) and value.size > 1:
            group.create_dataset(key, data=value, compression="gzip")
        elif value is not None:
            group.create_dataset(key, data=value)
