"""A neuron type's own step, followed once with symbols and then done on tensors: the engine's equations with gradients.

`NeuronModel.step` is Python for one neuron, which numba compiles for the engine. Here it is called with symbols; both
ways of every `if` are followed and joined. Numbers behave as in compiled code: what meets a Python number is worked
out in double precision and rounded where it is stored.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from hybrid_control.learning.fused import WORTH, Code
from hybrid_control.learning.fused import step as fused_step
from hybrid_control.learning.propagation import compiled_for
from hybrid_control.learning.surrogates import Surrogate, choose, spike
from hybrid_control.snn.neurons.model import NeuronModel

MOST_BRANCHES = 12  # decisions in one way through a step
OWN, DOUBLE, FLAG = (
    "own",
    "double",
    "flag",
)  # of a symbol: the network's type of values, double, or true and false

Instruction = tuple[Any, ...]  # the name of an operation, then the numbers of earlier instructions
Stepper = Callable[[Tensor, Sequence[Tensor], Sequence[Tensor]], tuple[Tensor | None, tuple[Tensor, ...]]]


class _UndecidedError(Exception):
    def __init__(self, flag: Flag) -> None:
        super().__init__()
        self.flag = flag


class _Trace:
    """The instructions so far, each once; and what is taken as true and false on this way through the step."""

    def __init__(self) -> None:
        self.code: list[Instruction] = []
        self.kinds: list[str] = []
        self.moves: list[bool] = []  # whether it depends on the input or the voltage
        self.decided: dict[int, bool] = {}
        self._numbers: dict[Instruction, int] = {}

    def emit(self, kind: str, name: str, *arguments: Any, moves: bool = False) -> int:
        """The number of an instruction; the arguments are numbers of others, but for leaves and constants."""
        instruction = (name, *arguments)
        if instruction not in self._numbers:
            self._numbers[instruction] = len(self.code)
            self.code.append(instruction)
            self.kinds.append(kind)
            inner = () if name in ("x", "state", "row", "constant") else arguments
            self.moves.append(moves or any(self.moves[i] for i in inner))
        return self._numbers[instruction]

    def number(self, value: Any) -> int:
        """Of a symbol, or of a Python number, which is a constant."""
        if isinstance(value, Real):
            return value.number
        if isinstance(value, (int, float)):
            return self.emit(DOUBLE, "constant", float(value))
        raise TypeError(f"it works with a {type(value).__name__}")

    def cast(self, number: int, kind: str) -> int:
        """The same in another precision. A rounding after a choice is one of each side."""
        if self.kinds[number] == kind or self.code[number][0] == "constant":
            return number
        name, *arguments = self.code[number]
        if name in ("select", "choose"):
            *flags, then, other = arguments
            return self.emit(kind, name, *flags, self.cast(then, kind), self.cast(other, kind))
        return self.emit(kind, kind, number)

    def pair(self, a: Any, b: Any) -> tuple[int, int, str]:
        """Two values in one precision."""
        first, second = self.number(a), self.number(b)
        kind = OWN if self.kinds[first] == self.kinds[second] == OWN else DOUBLE
        return self.cast(first, kind), self.cast(second, kind), kind


class Real:
    """A value of a neuron, as a symbol. trace: is set on a class of its own for each trace."""

    trace: _Trace

    def __init__(self, value: Any) -> None:
        number = self.trace.number(value)
        self.number = self.trace.cast(number, OWN)

    @classmethod
    def of(cls, number: int) -> Real:
        """The symbol of an instruction."""
        symbol = cls.__new__(cls)
        symbol.number = number
        return symbol

    def _with(self, name: str, a: Any, b: Any) -> Real:
        first, second, kind = self.trace.pair(a, b)
        return self.of(self.trace.emit(kind, name, first, second))

    def _compare(self, name: str, a: Any, b: Any) -> Flag:
        first, second, _ = self.trace.pair(a, b)
        return Flag(self.trace, self.trace.emit(FLAG, name, first, second))

    def __add__(self, other: Any) -> Real:
        return self._with("add", self, other)

    def __radd__(self, other: Any) -> Real:
        return self._with("add", other, self)

    def __sub__(self, other: Any) -> Real:
        return self._with("sub", self, other)

    def __rsub__(self, other: Any) -> Real:
        return self._with("sub", other, self)

    def __mul__(self, other: Any) -> Real:
        return self._with("mul", self, other)

    def __rmul__(self, other: Any) -> Real:
        return self._with("mul", other, self)

    def __truediv__(self, other: Any) -> Real:
        return self._with("div", self, other)

    def __rtruediv__(self, other: Any) -> Real:
        return self._with("div", other, self)

    def __neg__(self) -> Real:
        return self.of(self.trace.emit(self.trace.kinds[self.number], "neg", self.number))

    def __abs__(self) -> Real:
        return self.of(self.trace.emit(self.trace.kinds[self.number], "abs", self.number))

    def __gt__(self, other: Any) -> Flag:
        return self._compare("gt", self, other)

    def __lt__(self, other: Any) -> Flag:
        return self._compare("gt", other, self)

    def __ge__(self, other: Any) -> Flag:
        return self._compare("ge", self, other)

    def __le__(self, other: Any) -> Flag:
        return self._compare("ge", other, self)


class Flag:
    """Whether something holds for a neuron, as a symbol; an `if` on it is followed both ways."""

    def __init__(self, trace: _Trace, number: int) -> None:
        self.trace, self.number = trace, number

    def __bool__(self) -> bool:
        if self.number not in self.trace.decided:
            raise _UndecidedError(self)
        return self.trace.decided[self.number]


def _select_flag(trace: _Trace, flag: int, then: int | bool, other: int | bool) -> int | bool:
    if then == other and type(then) is type(other):
        return then
    if then is True and other is False:
        return flag
    no = trace.emit(FLAG, "not", flag)
    if then is False and other is True:
        return no
    if then is False:
        return trace.emit(FLAG, "and", no, other)
    if other is False:
        return then if then == flag else trace.emit(FLAG, "and", flag, then)
    sides = _select_flag(trace, flag, then, False), _select_flag(trace, flag, False, other)
    return trace.emit(FLAG, "or", *sides)


def _soft(trace: _Trace, flag: int) -> int:
    """A flag as 0 and 1, with a gradient where it depends on the input or the voltage."""
    name, *arguments = trace.code[flag]
    if name in ("gt", "ge"):
        if not trace.moves[flag]:
            return trace.emit(OWN, "own", flag)
        kind = trace.kinds[arguments[0]]
        if "constant" in (trace.code[i][0] for i in arguments):
            raise TypeError("it compares with a Python number; a threshold has to be a coefficient")
        return trace.cast(trace.emit(kind, f"spike_{name}", *arguments), OWN)
    parts = [_soft(trace, argument) for argument in arguments]
    if name == "not":
        return trace.emit(OWN, "complement", *parts)
    both = trace.emit(OWN, "mul", *parts)
    return both if name == "and" else trace.emit(OWN, "sub", trace.emit(OWN, "add", *parts), both)


def _merge(trace: _Trace, flag: int, then: Any, other: Any) -> Any:
    """What two ways gave, joined. A spike's reset of the voltage passes no gradient to the spike; all else does."""
    states = []
    for place, (a, b) in enumerate(zip(then[1], other[1], strict=True)):
        if a == b:
            states.append(a)
        elif place and trace.moves[flag]:
            states.append(trace.emit(OWN, "choose", flag, _soft(trace, flag), a, b))
        else:
            states.append(trace.emit(OWN, "select", flag, a, b))
    return _select_flag(trace, flag, then[0], other[0]), tuple(states)


def _follow(model: NeuronModel, setting: int, symbols: tuple[Any, Any, Any], trace: _Trace) -> Any:
    try:
        fired, states = model.step(*symbols, setting)
    except _UndecidedError as undecided:
        flag, known = undecided.flag.number, trace.decided
        if len(known) == MOST_BRANCHES:
            raise TypeError(f"more than {MOST_BRANCHES} decisions follow each other") from None
        sides = []
        for answer in (True, False):
            trace.decided = {**known, flag: answer}
            sides.append(_follow(model, setting, symbols, trace))
        trace.decided = known
        return _merge(trace, flag, *sides)
    if isinstance(fired, Flag):
        fired = trace.decided.get(fired.number, fired.number)
    elif not isinstance(fired, bool):
        raise TypeError(f"whether it fired is a {type(fired).__name__}")
    return fired, tuple(trace.cast(trace.number(value), OWN) for value in states)


def _live(code: Sequence[Instruction], roots: Sequence[int]) -> list[int]:
    """The instructions that lead to `roots`, in order."""
    seen, waiting = set[int](), list(roots)
    while waiting:
        number = waiting.pop()
        if number not in seen:
            seen.add(number)
            name, *arguments = code[number]
            waiting += [] if name in ("x", "state", "row", "constant") else arguments
    return sorted(seen)


def stepper(model: NeuronModel, setting: int, surrogate: Surrogate) -> Stepper:
    """A tick of a whole population: (x, variables, coefficients) to (spikes or None, variables), differentiable.

    x and variables are (batch, neurons), coefficients (neurons,) each, all of one type. The values are those of the
    compiled step to the bit. ValueError where the type's step cannot be followed.
    """
    trace = _Trace()

    class Symbol(Real):  # of this trace alone; a step writes type(x)(value) for a rounding
        pass

    Symbol.trace = trace
    x = Symbol.of(trace.emit(OWN, "x", moves=True))
    states = tuple(Symbol.of(trace.emit(OWN, "state", i, moves=i == 0)) for i in range(len(model.variables)))
    rows = tuple(Symbol.of(trace.emit(OWN, "row", i)) for i in range(len(model.rows)))
    try:
        fired, after = _follow(model, setting, (x, states, rows), trace)
        if isinstance(fired, bool) and model.spiking:
            raise TypeError("it never fires, or always")
        out = _soft(trace, fired) if model.spiking else None
    except (TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the step of {model.node.__name__} cannot be differentiated: {reason}") from None
    roots = after if out is None else (*after, out)
    code = [(number, *trace.code[number]) for number in _live(trace.code, roots)]
    fused = Code(code, dict(enumerate(trace.kinds)), roots, surrogate) if states and rows else None

    def step(x: Tensor, states: Sequence[Tensor], rows: Sequence[Tensor]) -> Any:
        if fused is not None and x.numel() >= WORTH and compiled_for(x):
            results = fused_step(fused, x, states, rows)
            return None if out is None else results[-1], results[: len(after)]
        values: dict[int, Any] = {}
        for number, name, *arguments in code:
            values[number] = _done(name, arguments, values, (x, states, rows), surrogate)
        return None if out is None else values[out], tuple(values[i] for i in after)

    return step


_PLAIN: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "abs": abs,
    "gt": operator.gt,
    "ge": operator.ge,
    "not": torch.logical_not,
    "and": torch.logical_and,
    "or": torch.logical_or,
    "complement": lambda soft: 1.0 - soft,
    "double": Tensor.double,
    "select": torch.where,
    "choose": choose,
}


def _done(
    name: str, arguments: Sequence[Any], values: dict[int, Any], leaves: Any, surrogate: Surrogate
) -> Any:
    """The result of one instruction."""
    x, states, rows = leaves
    plain = _PLAIN.get(name)
    if plain is not None:
        return plain(*[values[i] for i in arguments])
    if name == "own":
        return values[arguments[0]].to(x.dtype)
    if name in ("spike_gt", "spike_ge"):
        return spike(values[arguments[0]], values[arguments[1]], name == "spike_ge", surrogate)
    if name == "x":
        return x
    return {"state": states, "row": rows}[name][arguments[0]] if name != "constant" else arguments[0]
