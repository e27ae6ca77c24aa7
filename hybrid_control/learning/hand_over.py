"""An ANN that knows at a low rate sets the states of an SNN that reacts at a high one.

The method of A. Aydin, M. Gehrig, D. Gehrig, D. Scaramuzza, "A Hybrid ANN-SNN Architecture for Low-Power and
Low-Latency Visual Perception" (arXiv 2303.14176): at the beginning of each window the membrane potentials of every
layer of the SNN become what a small network, an initialiser, makes of the ANN's features of that layer, and the SNN's
outputs go on from the ANN's own. The ANN is trained first and frozen; SNN and initialisers are then trained together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid_control.learning.mirror import Mirror, State, Tap

VOLTAGE = "voltage"
CONSISTENCY = 0.05
"""Share of the loss that asks a layer to end a window where the next one's initialiser would set it (theirs)."""


def _plane(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, rows and columns of values (channels,), (channels, columns) or (channels, rows, columns)."""
    channels, *space = shape
    rows, columns = (*[1] * (2 - len(space)), *space)
    return channels, rows, columns


class Initialiser(nn.Sequential):
    """Potentials of a layer from the ANN's feature of it: 1 x 1 convolution, norm, leaky ReLU, and once more."""

    def __init__(self, channels: int, potentials: int) -> None:
        super().__init__(
            nn.Conv2d(channels, potentials, 1),
            nn.BatchNorm2d(potentials),
            nn.LeakyReLU(),
            nn.Conv2d(potentials, potentials, 1),
            nn.BatchNorm2d(potentials),
        )


class HandOver(nn.Module):
    """Any ANN and any spiking network, layers paired by name.

    ann: a module from (batch, ...) to a tensor or a tuple of them, which is frozen here. layers: for a population, the
    module of the ANN (as `named_modules` names it) whose output sets its voltage; a feature (batch, channels, *space)
    is brought to the population's space, its nearest value to each place. outputs: populations whose voltages become
    what the ANN gives, in its order and of the same shapes; (): none do. example: one input of the ANN, (1, ...), from
    which shapes are learnt. ValueError where a name is not there or shapes do not fit.
    """

    def __init__(
        self,
        ann: nn.Module,
        mirror: Mirror,
        layers: Mapping[str, str],
        outputs: Sequence[str],
        example: Tensor,
    ) -> None:
        super().__init__()
        self.ann, self.mirror = ann, mirror
        self.layers, self.outputs = dict(layers), tuple(outputs)
        self._features: dict[str, Tensor] = {}
        modules = dict(ann.named_modules())
        for population, layer in self.layers.items():
            if layer not in modules:
                raise ValueError(
                    f"{population!r}: the ANN has no module {layer!r}; it has {sorted(modules)[1:]}"
                )
            modules[layer].register_forward_hook(self._keeper(layer))
        for parameter in ann.parameters():
            parameter.requires_grad_(False)
        ann.eval()
        self._check_outputs([tuple(given.shape[1:]) for given in self._given(example)])
        self.initialisers = nn.ModuleList(
            Initialiser(self._features[layer].shape[1], self._shape(population)[0])
            for population, layer in self.layers.items()
        )

    def _given(self, seen: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            given = self.ann(seen)
        return given if isinstance(given, tuple) else (given,)

    def _check_outputs(self, shapes: Sequence[tuple[int, ...]]) -> None:
        if len(self.outputs) > len(shapes):
            raise ValueError(f"the ANN has {len(shapes)} outputs and cannot set {list(self.outputs)}")
        for population, shape in zip(self.outputs, shapes, strict=False):
            if shape != self._shape(population):
                raise ValueError(
                    f"{population!r} has the shape {self._shape(population)}, the ANN gives {shape}"
                )

    def _keeper(self, layer: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._features[layer] = output

        return keep

    def _shape(self, population: str) -> tuple[int, ...]:
        return tuple(self.mirror.node(population).shape_out)

    def train(self, mode: bool = True) -> HandOver:
        """The ANN stays as it was trained, its norms too."""
        super().train(mode)
        self.ann.eval()
        return self

    def trained(self) -> list[nn.Parameter]:
        """What `HandOver` trains: the free parameters of the SNN and the initialisers."""
        return [*self.mirror.numbers.parameters(), *self.initialisers.parameters()]

    def states(self, seen: Tensor) -> tuple[tuple[Tensor, ...], dict[Tap, Tensor]]:
        """What the ANN gives for its inputs (batch, ...), and the voltages that it sets, (batch, *shape) each."""
        given = self._given(seen)
        voltages: dict[Tap, Tensor] = {}
        for population, initialiser in zip(self.layers, self.initialisers, strict=True):
            values = initialiser(self.feature(population))
            voltages[population, VOLTAGE] = values.reshape(len(seen), *self._shape(population))
        for population, values in zip(self.outputs, given, strict=False):
            voltages[population, VOLTAGE] = values
        return given, voltages

    def forward(self, seen: Tensor) -> tuple[Tensor, ...]:
        """What the ANN gives, then the voltages of `layers`, in their order: what `export` writes."""
        given, voltages = self.states(seen)
        return *given, *(voltages[population, VOLTAGE] for population in self.layers)

    def export(self, path: Path, example: Tensor, name: str = "events") -> None:
        """ANN and initialisers as an ONNX file. Its outputs are named after the populations that they set, those of the
        ANN that set none "output0" and on; example: an input (1, ...), of that name there."""
        others = range(len(self._given(example)) - len(self.outputs))
        program = torch.onnx.export(
            self.eval(),
            (example,),
            input_names=[name],
            output_names=[*self.outputs, *(f"output{k}" for k in others), *self.layers],
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(path)

    def feature(self, population: str) -> Tensor:
        """What the ANN's module of that population gave last, as its initialiser takes it: (batch, channels, *space)
        of the population."""
        feature, space = self._features[self.layers[population]], _plane(self._shape(population))[1:]
        plane = feature.reshape(len(feature), *_plane(feature.shape[1:]))
        if plane.shape[2:] != space:
            plane = functional.interpolate(plane, size=space, mode="nearest")
        return plane

    def start(self, voltages: Mapping[Tap, Tensor]) -> State:
        """The SNN before the first tick of a window."""
        return self.mirror.start(len(next(iter(voltages.values()))), voltages)

    def consistency(self, end: State, following: Mapping[Tap, Tensor]) -> Tensor:
        """Mean over layers of the mean square by which they end away from where the next window would begin."""
        distances = [
            functional.mse_loss(end.variables[population][0], following[population, VOLTAGE].flatten(1))
            for population in self.layers
        ]
        return torch.stack(distances).mean()
