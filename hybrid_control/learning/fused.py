"""The instructions of a neuron's step as one compiled loop over a population, and one for the way back.

Torch goes through memory once for each instruction; these go through it once for all. The values are the same to the
bit; gradients are worked out by the same rules in one pass from the last instruction to the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from hybrid_control.learning.surrogates import SURROGATES, Surrogate

WORTH = 4096  # values from which on it is worth its compilation
_BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/", "gt": ">", "ge": ">=", "and": "and", "or": "or"}


class Code:
    """A step as instructions: (number, name, *arguments) in order, of `tracing`.

    kinds: "own", "double" or "flag" of each number. roots: the numbers of the variables afterwards and, where the type
    fires, of its spikes.
    """

    def __init__(
        self,
        code: Sequence[tuple[Any, ...]],
        kinds: Mapping[int, str],
        roots: Sequence[int],
        surrogate: Surrogate,
    ) -> None:
        self.surrogate, self.roots = surrogate, tuple(roots)
        self._code, self._kinds = code, kinds
        self._constants = {number: arguments[0] for number, name, *arguments in code if name == "constant"}
        forth = [f"v{number} = {self._value(number, name, arguments)}" for number, name, *arguments in code]
        stores = [f"outs[{k}][b, j] = v{root}" for k, root in enumerate(self.roots)]
        self._forward = _function("forward", "x, states, rows, outs", [*forth, *stores])
        self._backward = _function(
            "backward", "x, states, rows, given, to_x, to_states, to_rows", [*forth, *self._back()]
        )

    def _value(self, number: int, name: str, arguments: Sequence[Any]) -> str:
        kind = self._kinds[number]
        if name == "x":
            return "x[b, j]"
        if name in ("state", "row"):
            return f"{name}s[{arguments[0]}][{'b, ' * (name == 'state')}j]"
        if name == "constant":
            return f"double({float(arguments[0])!r})"
        a, *rest = (f"v{i}" for i in arguments)
        if name in _BINARY:
            return f"{a} {_BINARY[name]} {rest[0]}"
        if name in ("select", "choose"):
            then, other = rest[-2:]
            return f"{kind}({then}) if {a} else {kind}({other})"
        if name in ("spike_gt", "spike_ge"):
            return f"{kind}(1.0) if {a} {'>' if name == 'spike_gt' else '>='} {rest[0]} else {kind}(0.0)"
        if name == "own" and self._kinds[arguments[0]] == "flag":
            return f"own(1.0) if {a} else own(0.0)"
        return {
            "own": f"own({a})", "double": f"double({a})", "neg": f"-{a}", "abs": f"abs({a})", "not": f"not {a}",
            "complement": f"own(1.0) - {a}",
        }[name]  # fmt: skip

    def _back(self) -> list[str]:
        """Gradients after every number, from the last to the first."""
        lines = [f"g{number} = 0.0" for number, *_ in self._code]
        lines += [f"g{root} += given[{k}][b, j]" for k, root in enumerate(self.roots)]
        for number, name, *arguments in reversed(self._code):
            g = f"g{number}"
            if name == "x":
                lines.append(f"to_x[b, j] = {g}")
            elif name == "state":
                lines.append(f"to_states[{arguments[0]}][b, j] = {g}")
            elif name == "row":
                lines.append(f"to_rows[{arguments[0]}][j] += {g}")
            else:
                lines += self._rule(g, name, arguments)
        return lines

    def _rule(self, g: str, name: str, arguments: Sequence[Any]) -> list[str]:
        a, *rest = arguments
        b = rest[0] if rest else a
        spike = f"{g} * derivative(v{a} - v{b}, slope)"
        parts: dict[str, list[tuple[int, str]]] = {
            "add": [(a, g), (b, g)],
            "sub": [(a, g), (b, f"-{g}")],
            "mul": [(a, f"{g} * v{b}"), (b, f"{g} * v{a}")],
            "div": [(a, f"{g} / v{b}"), (b, f"-{g} * v{a} / (v{b} * v{b})")],
            "neg": [(a, f"-{g}")],
            "abs": [(a, f"({g} if v{a} > 0 else -{g} if v{a} < 0 else 0.0)")],
            "own": [(a, g)],
            "double": [(a, g)],
            "complement": [(a, f"-{g}")],
            "spike_gt": [(a, spike), (b, f"-({spike})")],
            "spike_ge": [(a, spike), (b, f"-({spike})")],
        }
        if name in ("select", "choose"):
            then, other = rest[-2:]
            parts[name] = [(then, f"({g} if v{a} else 0.0)"), (other, f"(0.0 if v{a} else {g})")]
            if name == "choose":
                parts[name].append((b, f"{g} * (v{then} - v{other})"))
        return [
            f"g{i} += {what}"
            for i, what in parts.get(name, [])
            if self._kinds[i] != "flag" and i not in self._constants
        ]

    def compiled(self, dtype: torch.dtype) -> tuple[Callable[..., None], Callable[..., None]]:
        """Both loops for float32 or float64."""
        own = np.float32 if dtype == torch.float32 else np.float64
        return _compiled(self._forward, own, self.surrogate), _compiled(self._backward, own, self.surrogate)


def _function(name: str, arguments: str, lines: Sequence[str]) -> str:
    body = "\n".join(f"            {line}" for line in lines)
    return f"def {name}({arguments}):\n    for b in range(x.shape[0]):\n        for j in range(x.shape[1]):\n{body}\n"


@cache
def _compiled(source: str, own: type, surrogate: Surrogate) -> Callable[..., None]:
    function, usual = SURROGATES[surrogate.name]
    names: dict[str, Any] = {
        "own": own, "double": np.float64, "derivative": numba.njit(function),
        "slope": usual if surrogate.slope is None else surrogate.slope,
    }  # fmt: skip
    exec(source, names)
    made: Callable[..., None] = numba.njit(nogil=True, error_model="numpy")(names[source.split("(")[0][4:]])
    return made


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, code: Code, variables: int, x: Tensor, *tensors: Tensor) -> Any:
        x, tensors = x.contiguous(), tuple(t.contiguous() for t in tensors)
        ctx.code, ctx.variables = code, variables
        ctx.save_for_backward(x, *tensors)
        outs = tuple(torch.empty_like(x) for _ in code.roots)
        arrays = tuple(t.detach().numpy() for t in tensors)
        code.compiled(x.dtype)[0](
            x.detach().numpy(), arrays[:variables], arrays[variables:], tuple(out.numpy() for out in outs)
        )
        return outs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, *tensors = ctx.saved_tensors
        to_x, *to = torch.empty_like(x), *(torch.zeros_like(t) for t in tensors)
        arrays, back = tuple(t.numpy() for t in tensors), tuple(t.numpy() for t in to)
        k = ctx.variables
        given = tuple(g.contiguous().numpy() for g in gradients)
        ctx.code.compiled(x.dtype)[1](
            x.numpy(), arrays[:k], arrays[k:], given, to_x.numpy(), back[:k], back[k:]
        )
        return None, None, to_x, *to


def step(code: Code, x: Tensor, states: Sequence[Tensor], rows: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The roots of a step: x and states (batch, neurons), rows (neurons,) each."""
    outs: tuple[Tensor, ...] = _Step.apply(code, len(states), x, *states, *rows)
    return outs
