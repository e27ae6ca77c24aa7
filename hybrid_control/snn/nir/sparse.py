"""SparseLinear: the NIR node of a linear map that lists its synapses, with a delay for each where wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from nir.ir.node import NIRNode
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(eq=False)
class SparseLinear(NIRNode):
    """A linear map given synapse by synapse, each with a weight and, where wanted, a delay.

    y_j(t) = sum over the synapses s with post[s] = j of weight[s] x_{pre[s]}(t - delay[s])
    shape: (out, in), as the shape of a Linear's weight; pre, post, weight: (synapses,); delay: (synapses,)
    seconds, rounded to whole ticks, or None for none. Several synapses may join the same two neurons.
    """

    shape: Array
    pre: Array
    post: Array
    weight: Array
    delay: Array | None = None

    def __post_init__(self) -> None:
        self.shape = np.asarray(self.shape, dtype=np.int64)
        self.input_type = {"input": self.shape[1:]}
        self.output_type = {"output": self.shape[:1]}

    def to_dict(self) -> dict[str, Any]:
        """As NIR's nodes do; a delay of None is left out."""
        values = super().to_dict()
        if self.delay is None:
            del values["delay"]
        return values
