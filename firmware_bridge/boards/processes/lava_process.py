"""A template for Loihi 2 behind the board protocol: a Loihi program as Lava processes. UNTESTED on a chip.

On a chip it needs Intel's closed extension of Lava (lava-loihi), which was not to be had. What was run is Lava's
simulation on a processor (lava-nc 0.10.0, Python 3.10), whose fixed-point models are said to be bit-accurate: there the
spikes are those of nengo-loihi's emulator (tests/peers/test_peers_lava.py). For the chip, `configuration` is the place
to change: `Loihi2HwCfg` in place of `Loihi2SimCfg`, and the extension's adapters for spikes from and to the host in
place of Injector and Extractor.

Runs by its path, beside `board_protocol.py`. Each population is a LIF process, each projection a Dense, each of which
is a program of its own in the simulation, so a tick takes milliseconds: it is for stepped boards.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any, Sequence  # noqa: UP035

import numpy as np
from board_protocol import LOIHI_PROGRAM, main
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.process import Dense
from lava.proc.io.extractor import Extractor, PyLoihiExtractorModel
from lava.proc.io.injector import Injector
from lava.proc.lif.process import LIF
from lava.utils.weightutils import SignMode


@implements(proc=Injector, protocol=LoihiProtocol)
@requires(CPU)
class SpikeCounts(PyLoihiProcessModel):
    """Hands on whole numbers; Lava's own model of the Injector gives floats, which a fixed-point Dense can't take."""

    in_port: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    out_port: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self) -> None:
        """One tick: take the host's counts."""
        self.out_port.send(self.in_port.recv().astype(np.int32))


def configuration() -> Any:
    """What runs the processes: here a processor, bit-accurate with Loihi as Lava has it."""
    models = {Injector: SpikeCounts, Extractor: PyLoihiExtractorModel}
    return Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models)


class LavaBoard:
    """A Loihi program as Lava processes."""

    name = "Lava 0.10.0, simulated Loihi 2"

    def __init__(self) -> None:
        self._running: Any = None
        self._fresh = False

    def load(self, kind: int, content: bytes) -> tuple[int, int]:
        """Take an npz file as LoihiProgram.to_bytes makes it."""
        if kind != LOIHI_PROGRAM:
            raise ValueError(f"file of kind {kind}; this process takes a Loihi program ({LOIHI_PROGRAM})")
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                self._arrays = {key: file[key] for key in file.files}
            self._meta: dict[str, Any] = json.loads(self._arrays["meta"].tobytes())
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"no Loihi program: {error}") from None
        self._fresh = False
        self.reset()
        return sum(n for _, n in self._meta["inputs"]), sum(n for _, n, _ in self._meta["outputs"])

    def reset(self) -> None:
        """Build the processes anew."""
        if self._fresh:
            return
        self.close()
        meta, arrays = self._meta, self._arrays
        self._injectors = {name: Injector((size,)) for name, size in meta["inputs"]}
        spikes: dict[str, Any] = {name: injector.out_port for name, injector in self._injectors.items()}
        cells: dict[str, Any] = {}
        for i, (name, size, _) in enumerate(meta["populations"]):
            bias = arrays[f"bias_{i}"]
            exponent = np.maximum(np.ceil(np.log2(np.maximum(np.abs(bias), 1) / 4095)), 0).astype(int)
            cells[name] = LIF(
                shape=(size,),
                du=arrays[f"decay_u_{i}"],
                dv=arrays[f"decay_v_{i}"],
                vth=arrays[f"vth_{i}"] // 64,
                bias_mant=bias // 2**exponent,
                bias_exp=exponent,
                name=name,
            )
            spikes[name] = cells[name].s_out
        for i, (name, source, target, exponent) in enumerate(meta["projections"]):
            synapse = Dense(
                weights=arrays[f"weights_{i}"] // 2 ** (exponent - 1),  # even, as a weight of either sign is
                weight_exp=exponent - 7,
                num_message_bits=8
                if source in self._injectors
                else 0,  # an input may spike several times in a tick
                sign_mode=SignMode.MIXED,
                name=name,
            )
            spikes[source].connect(synapse.s_in)
            synapse.a_out.connect(cells[target].a_in)
        self._extractors = []
        for _, size, of in meta["outputs"]:
            extractor = Extractor((size,))
            spikes[of].connect(extractor.in_port)
            self._extractors.append(extractor)
        self._running = self._extractors[0]  # any process stands for all that it is joined with
        self._running.create_runtime(run_cfg=configuration())
        self._fresh = True

    def step(self, spikes: Sequence[int]) -> Sequence[int]:
        """One tick; what comes in is delivered in the next."""
        self._fresh = False
        counts = np.bincount(
            np.asarray(spikes, dtype=np.int64), minlength=sum(n for _, n in self._meta["inputs"])
        )
        first = 0
        for name, size in self._meta["inputs"]:
            self._injectors[name].send(counts[first : first + size].astype(np.float64))
            first += size
        self._running.run(RunSteps(num_steps=1))
        return np.flatnonzero(np.concatenate([e.receive() for e in self._extractors])).tolist()

    def close(self) -> None:
        """End the processes."""
        if self._running is not None:
            self._running.stop()
            self._running = None


if __name__ == "__main__":
    board = LavaBoard()
    try:
        main(board, __doc__ or "")
    finally:
        board.close()
