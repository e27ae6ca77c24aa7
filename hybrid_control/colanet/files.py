"""A classifier as a file: npz, arrays and text alone, read within limits and written whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.colanet.classifier import CLASSES, COPIES, INPUTS, SYNAPSES, CoLaNET, Snapshot
from hybrid_control.colanet.settings import Settings
from hybrid_control.files import MIB, StrPath, read_npz

VERSION = 1
FORMAT = "hybrid_control CoLaNET"
LIMIT = 1100 * MIB  # SYNAPSES resources, and the rest
WHAT = "a CoLaNET"


def save(network: CoLaNET, path: StrPath, extra: dict[str, Any] | None = None) -> None:
    """Write a classifier. extra: arrays by name that belong to it, such as the scale of an encoder's values."""
    snapshot = network.snapshot()
    head = {
        "format": FORMAT, "version": VERSION, "settings": asdict(network.settings), "copies": network.copies,
        "seed": network.seed, "samples": snapshot.samples, "labels": list(snapshot.labels),
    }  # fmt: skip
    arrays = {name: getattr(snapshot, name) for name in ("resource", "stability", "free")}
    arrays |= {f"extra_{name}": np.asarray(value) for name, value in (extra or {}).items()}
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, head=np.array(json.dumps(head)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: StrPath) -> tuple[CoLaNET, dict[str, Any]]:
    """The classifier of a file, and what else was written with it. ValueError in one line for any other file."""
    arrays = read_npz(path, WHAT, LIMIT)
    try:
        return _classifier(arrays), {
            name.removeprefix("extra_"): array for name, array in arrays.items() if name.startswith("extra_")
        }
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        words = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(f"{path}: not {WHAT}: {words[:200]}") from None


def _classifier(arrays: dict[str, Any]) -> CoLaNET:
    text = arrays["head"]
    if text.shape != () or text.dtype.kind != "U":
        raise ValueError("its head is no text")
    head = json.loads(str(text))
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ValueError(f"its head does not say {FORMAT!r}")
    if head.get("version") != VERSION:
        raise ValueError(f"version {head.get('version')!r}; this program reads version {VERSION}")
    for name in ("copies", "seed", "samples"):
        if type(head[name]) is not int or not 0 <= head[name] < 1 << 63:
            raise ValueError(f"{name} {head[name]!r}: expected a whole number of 0 or more")
    network = CoLaNET(Settings(**head["settings"]), copies=head["copies"], seed=head["seed"])
    labels = head["labels"]
    if not isinstance(labels, list) or not 1 <= len(labels) <= CLASSES:
        raise ValueError(f"labels: expected a list of 1 to {CLASSES}")
    labels = [network.checked_label(label) for label in labels]
    if len(set(labels)) < len(labels) or len({type(label) for label in labels}) > 1:
        raise ValueError("labels: expected a list of different ones of one kind")
    neurons = len(labels) * network.settings.microcolumns
    resource = arrays["resource"]
    inputs = resource.shape[-1] if resource.ndim == 3 else 0
    if not (1 <= inputs <= INPUTS and head["copies"] <= COPIES and resource.size <= SYNAPSES):
        raise ValueError(f"resource of shape {resource.shape}")
    shapes = {"resource": (network.copies, neurons, inputs), "stability": (network.copies, neurons)}
    for name, shape in (shapes | {"free": shapes["stability"]}).items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float32:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; expected float32 of {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")
    network.restore(Snapshot(tuple(labels), head["samples"], resource, arrays["stability"], arrays["free"]))
    return network
