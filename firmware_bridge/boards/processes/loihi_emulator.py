"""nengo-loihi's emulator of a Loihi 1 behind the board protocol.

Runs by its path in an environment with nengo-loihi 1.1.0 (scripts/loihi.sh makes it). A network comes as the integers
of `snn.backends.loihi.LoihiProgram`; each population is a block (a core), each projection its synapses, at the level
below nengo-loihi's own discretisation. Emulated: this was never run on a chip.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from typing import Any, Sequence  # noqa: UP035

import numpy as np
from board_protocol import LOIHI_PROGRAM, main

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore", UserWarning
    )  # nengo 4 is newer than 1.1.0 knows; what is used here is its own
    from nengo.exceptions import BuildError
    from nengo_loihi.block import Axon, LoihiBlock, Synapse
    from nengo_loihi.builder import Model
    from nengo_loihi.builder.validate import validate_block
    from nengo_loihi.emulator import EmulatorInterface
    from nengo_loihi.inputs import SpikeInput

V_LIMIT = 2**23 - 1


class LoihiEmulator:
    """A program on nengo-loihi's emulator."""

    name = "nengo-loihi 1.1.0 emulator of Loihi 1"

    def load(self, kind: int, content: bytes) -> tuple[int, int]:
        """Take an npz file as LoihiProgram.to_bytes makes it."""
        if kind != LOIHI_PROGRAM:
            raise ValueError(f"file of kind {kind}; this emulator takes a Loihi program ({LOIHI_PROGRAM})")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                self._arrays = {key: file[key] for key in file.files}
            self._meta: dict[str, Any] = json.loads(self._arrays["meta"].tobytes())
            self._build()
        except (KeyError, OSError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"no Loihi program: {error}") from None
        except (AssertionError, BuildError) as error:
            raise ValueError(f"no core holds it: {error}") from None
        self.reset()
        return sum(n for _, n in self._meta["inputs"]), sum(n for _, n, _ in self._meta["outputs"])

    def _build(self) -> None:
        """Blocks, axons and synapses from the integers."""
        meta, arrays = self._meta, self._arrays
        self._model = Model(dt=meta["dt"])
        sources: dict[str, Any] = {}
        self._inputs = []
        first = 0
        for name, size in meta["inputs"]:
            sources[name] = SpikeInput(size, label=name)
            self._model.add_input(sources[name])
            self._inputs.append((first, first + size, sources[name]))
            first += size
        for i, (name, size, _) in enumerate(meta["populations"]):
            block = sources[name] = LoihiBlock(size, label=name)
            for key in ("decay_u", "decay_v", "vth", "bias"):
                setattr(block.compartment, key, arrays[f"{key}_{i}"])
            block.compartment.scale_u = block.compartment.scale_v = False
            block.compartment.refract_delay[:] = 1  # may spike again in the next tick
            block.compartment.vmin, block.compartment.vmax = -V_LIMIT, V_LIMIT
            self._model.add_block(block)
        for i, (name, source, target, exponent) in enumerate(meta["projections"]):
            rows = arrays[f"weights_{i}"].T
            synapse = Synapse(len(rows), label=name)
            synapse._set_weights_indices(
                [row[row != 0] for row in rows],
                indices=[np.flatnonzero(row) for row in rows],
                weight_dtype=np.int32,
            )
            synapse.format(
                weight_exp=exponent - 7
            )  # the chip's exponent counts from 2^7 for weights of both signs
            sources[target].add_synapse(synapse)
            axon = Axon(len(rows), label=name)
            axon.target = synapse
            sources[source].add_axon(axon)
        self._outputs = [sources[of] for _, _, of in meta["outputs"]]
        for block in self._model.blocks:
            validate_block(block)

    def reset(self) -> None:
        """A fresh emulator of the same network."""
        for _, _, spikes in self._inputs:
            spikes.spikes.clear()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", RuntimeWarning
            )  # it fills integers with NaN before it writes them
            self._emulator = EmulatorInterface(self._model, seed=0)
        self._slices = [self._emulator.block_info.slices[block] for block in self._outputs]

    def step(self, spikes: Sequence[int]) -> Sequence[int]:
        """One tick; what comes in is delivered in the next, as between cores."""
        now = self._emulator.t + 1
        neurons = np.asarray(spikes, dtype=np.int64)
        for first, end, into in self._inputs:
            mine = neurons[(neurons >= first) & (neurons < end)]
            if mine.size:
                into.add_spikes(now, mine - first)
        self._emulator.step()
        spiked = self._emulator.compartment.spiked
        return np.flatnonzero(np.concatenate([spiked[s] for s in self._slices])).tolist()


if __name__ == "__main__":
    main(LoihiEmulator(), __doc__ or "")
