"""Where torch works: on the CPU, or on a GPU."""

from __future__ import annotations

import os

import torch


def device_of(name: str) -> torch.device:
    """The device of that name; "auto": cuda where there is one, else cpu. ValueError where torch has none such here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(f"device {name!r}: torch has none such here ({reason}); cpu always works") from None
    return device


def ready(device: torch.device) -> None:
    """Before the first work on a device: the same seed is to give the same bits again."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.use_deterministic_algorithms(True)
