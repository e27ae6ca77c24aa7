"""What a network begins with: the weights of another training's checkpoint, or those of a planner's file."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.depths import UNKNOWN
from hybrid_control.navigation.planner.training.closed.int8 import PREFIX
from hybrid_control.navigation.planner.training.closed.network import DEPTHS, Network
from hybrid_control.navigation.planner.training.closed.scenes import Frames

_OF_FILE = PREFIX + "network."
_BATCH = 100  # frames at once


def fill(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Give a network weights, by name. Where it takes depths and they do not, its weights of depths are 0, and where
    they do and it does not, theirs are left out: both say what the other says of images without a depth image.
    KeyError or RuntimeError where they are another network's."""
    wanted, given = network.state_dict(), dict(state)
    for name, tensor in state.items():
        missing = wanted[name].shape[1] - tensor.shape[1] if tensor.dim() == 4 else 0
        if missing == DEPTHS:
            given[name] = torch.cat([tensor, tensor.new_zeros(len(tensor), missing, *tensor.shape[2:])], dim=1)
        elif missing == -DEPTHS:
            given[name] = tensor[:, :missing]
    network.load_state_dict(given)


def from_planner(path: Path, network: Network, frames: Frames) -> None:
    """Give a network the weights of a file of contract 2 that `train closed` made, of floats or of 8 bits.

    In the file each normalisation is within the convolution before it. frames: some that the network is to learn from,
    by which the two are told apart again: the normalisation gets the mean and the variance that the convolution has on
    them, and the scale and shift that leave what comes out of both as it was. ValueError where the file is no such one.
    """
    contract.load(path)  # says what is wrong with it
    held = _tensors(onnx.load(path).graph)
    state, after = network.state_dict(), {}
    try:
        for name, module in network.named_modules():
            if not isinstance(module, nn.Conv1d | nn.Conv2d):
                continue
            state[f"{name}.weight"] = held[f"{_OF_FILE}{name}.weight"]
            if module.bias is not None:
                state[f"{name}.bias"] = held[f"{_OF_FILE}{name}.bias"]
                continue
            norm = f"{name.rpartition('.')[0]}.{int(name.rpartition('.')[2]) + 1}"
            after[norm] = held[f"{_OF_FILE}{name}.weight_bias"]
            epsilon = network.get_submodule(norm).eps
            one, none = torch.ones_like(after[norm]), torch.zeros_like(after[norm])
            state |= {
                f"{norm}.weight": one, f"{norm}.bias": after[norm],
                f"{norm}.running_mean": none, f"{norm}.running_var": one - epsilon,
            }  # fmt: skip
        fill(network, state)
    except (KeyError, RuntimeError):
        raise ValueError(f"{path}: its closed directions are not those of `train closed`") from None
    _unfold(network, frames, after)


def _unfold(network: Network, frames: Frames, shifts: dict[str, Tensor]) -> None:
    """Give normalisations that do nothing but add `shifts`, by name, the statistics of what comes into them."""
    sums: dict[str, Tensor] = {}

    def count(name: str) -> None:
        def seen(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].double()
            counts = torch.full((x.shape[1],), float(x.numel() // x.shape[1]))
            new = torch.stack([counts, x.sum(dim=(0, 2, 3)), (x * x).sum(dim=(0, 2, 3))])
            sums[name] = sums.get(name, 0.0) + new

        hooks.append(network.get_submodule(name).register_forward_pre_hook(seen))

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    for name in shifts:
        count(name)
    network.eval()
    with torch.no_grad():
        for k in range(0, len(frames), _BATCH):
            image = torch.from_numpy(frames.image[k : k + _BATCH])
            unknown = torch.full(image.shape[:3], UNKNOWN) if network.depth else None
            network(image, torch.from_numpy(frames.camera[k : k + _BATCH]), unknown)
        for hook in hooks:
            hook.remove()
        for name, shift in shifts.items():
            norm = network.get_submodule(name)
            mean = sums[name][1] / sums[name][0]
            var = (sums[name][2] / sums[name][0] - mean**2).clamp(min=1e-6)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)
            norm.weight.copy_(torch.sqrt(var + norm.eps))
            norm.bias.copy_(shift + mean)


def _tensors(graph: onnx.GraphProto) -> dict[str, Tensor]:
    """Weights and biases by name, of 8 bits made floats again."""
    raw = {tensor.name: tensor for tensor in graph.initializer if tensor.name.startswith(PREFIX)}
    found = {name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for name, tensor in raw.items()}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in raw:
            continue
        values, scale, zero = (found[name] for name in node.input)
        shape = (-1, *[1] * (values.dim() - 1)) if scale.numel() > 1 else ()
        name = node.output[0].removesuffix("_DequantizeLinear_Output")
        found[name] = (values.float() - zero.float().reshape(shape)) * scale.reshape(shape)
    return found
