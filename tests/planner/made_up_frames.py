"""Frames that a network of closed directions learns in a few steps, and a training that is given them."""

import math

import numpy as np

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.planner.training.closed import labels, scenes
from hybrid_control.navigation.planner.training.closed.labels import COLUMNS, FREE, HIDDEN, STANDING
from hybrid_control.navigation.planner.training.closed.scenes import Frames

MOUNT = CameraMount(0.25, 0.28, 0.08, math.pi / 2, 0.75)
SHARD = 64


def frames(n, seed=0):
    """Grey pictures with a dark bar where the ground is closed by what is hidden, a light one by what stands."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(rng.integers(0, 3, (n, 1)), COLUMNS, axis=1).astype(np.int8)
    image = rng.integers(100, 140, (n, labels.HEIGHT, labels.WIDTH, 3), dtype=np.uint8)
    image[kind[:, 0] == HIDDEN, 80:90] = 0
    image[kind[:, 0] == STANDING, 30:90] = 255
    away = np.where(kind == FREE, labels.FARTHEST, 0.7).astype(np.float32)
    row = np.stack([labels.rows_of(a, MOUNT) for a in away]).astype(np.float32)
    camera = np.array([[MOUNT.z, MOUNT.pitch, MOUNT.hfov]], np.float32).repeat(n, axis=0)
    return Frames(image, camera, kind, row, away, np.where(kind == HIDDEN, 0, -1).astype(np.int8))


def learn_these(monkeypatch, train):
    """Shards of SHARD such frames, drawn here; a checkpoint after each lot. train: the module that trains."""
    for module in (train, scenes):
        monkeypatch.setattr(module, "SHARD", SHARD)
    monkeypatch.setattr(train, "KEEP", train.MIXED)
    monkeypatch.setattr(train, "drawn", lambda seed, numbers, *_: (frames(SHARD, n) for n in numbers))
