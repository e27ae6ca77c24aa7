"""Writes a network for Loihi: its integers, a script that runs them on nengo-loihi, and the Lava template.

`hybrid-control boards export --target loihi`. Never run on a chip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from firmware_bridge.boards.processes import board_protocol
from hybrid_control.snn import Network
from hybrid_control.snn.backends.loihi import LoihiProgram, loihi_program

_PROCESSES = Path(board_protocol.__file__).parent
_SCRIPT = '''"""{name} as a board behind the board protocol, on {what}.

Written by `hybrid-control boards export --target loihi`; {state}.
The network is {program}:
{table}
Run it with an interpreter that has {needs}:

    python {script} [--host ADDRESS] [--port PORT]

A host may send another network with LOAD; until then it is this one.
"""

from pathlib import Path

from board_protocol import LOIHI_PROGRAM, main
from {module} import {kind}

if __name__ == "__main__":
    board = {kind}()
    loaded = board.load(LOIHI_PROGRAM, (Path(__file__).resolve().parent / "{program}").read_bytes())
    main(board, "{name} on {what}", loaded)
'''
# what runs it, whether it ever did, what an interpreter must have, module and class
_NENGO = (
    "nengo-loihi's emulator of Loihi 1", "never run on a chip", "nengo-loihi 1.1.0 (scripts/loihi.sh makes one)",
    "loihi_emulator", "LoihiEmulator",
)  # fmt: skip
_LAVA = (
    "Lava", "a template, run on Lava's simulation alone, never on a chip", "lava-nc 0.10.0 (Python 3.10)",
    "lava_process", "LavaBoard",
)  # fmt: skip


def export(network: Network, out: Path) -> list[Path]:
    """Write OUT.py (nengo-loihi), OUT_lava.py (Lava), OUT.npz (the integers) and the modules that both import.

    network: one whose inputs are all spikes. BoardRefusal where a chip can't run it, OSError where it can't be written.
    """
    program = loihi_program(network)
    numbers = out.with_suffix(".npz")
    lava = out.with_name(f"{out.stem}_lava.py")
    numbers.write_bytes(program.to_bytes())
    for script, (what, state, needs, module, kind) in ((out, _NENGO), (lava, _LAVA)):
        text = _SCRIPT.format(
            name=out.stem, what=what, state=state, needs=needs, module=module, kind=kind, script=script.name,
            program=numbers.name, table=_table(program),
        )  # fmt: skip
        script.write_text(text)
    written = [out, lava, numbers]
    for name in ("board_protocol.py", "loihi_emulator.py", "lava_process.py"):
        copy = out.with_name(name)
        copy.write_text((_PROCESSES / name).read_text())
        written.append(copy)
    return written


def _table(program: LoihiProgram) -> str:
    """Cores and synapses, a line each."""
    lines = [f"  {p.name}: {p.size} input neurons" for p in program.inputs]
    lines += [
        f"  {p.name}: {p.size} compartments, decay_u {_range(p.decay_u)}, decay_v {_range(p.decay_v)}, "
        f"vth {_range(p.vth)}"
        for p in program.populations
    ]
    lines += [
        f"  {j.name}: {j.source} -> {j.target}, {int((j.weights != 0).sum())} synapses, "
        f"{_range(j.weights // 2**j.exponent)} times 2^{j.exponent}"
        for j in program.projections
    ]
    return "\n".join(lines)


def _range(values: ArrayLike) -> str:
    array = np.asarray(values)
    low, high = int(array.min()), int(array.max())
    return str(low) if low == high else f"{low} .. {high}"
