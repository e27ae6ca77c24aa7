"""The folder that `train` fills."""

from __future__ import annotations

from pathlib import Path


def networks_in(folder: Path) -> list[Path]:
    """The npz file of each network, by name. ValueError where there is none."""
    paths = sorted(folder.glob("*_*.npz"))
    if not paths:
        raise ValueError(f"{folder}: holds no networks; `train` writes them, such as mnist_residual.npz")
    return paths
