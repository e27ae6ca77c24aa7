"""The Lava template on Lava's own simulation, against what nengo-loihi's emulator gave.

Skipped without build/lava: `python3.10 -m venv build/lava && build/lava/bin/pip install lava-nc==0.10.0`.
"""

import json
import subprocess
from pathlib import Path

import pytest

from firmware_bridge.boards.loihi import EMULATOR

pytestmark = pytest.mark.peers
ROOT = Path(__file__).resolve().parents[2]

# The same random integers as in the vectors, run tick by tick on Lava.
RUN = """
import io, json, sys
import numpy as np
from board_protocol import LOIHI_PROGRAM
from lava_process import LavaBoard

if __name__ == "__main__":
    case = json.loads(sys.stdin.read())
    cells, joined = case["populations"], case["projections"]
    meta = {
        "dt": 1e-3,
        "inputs": list(case["inputs"].items()),
        "outputs": [[n + "_out", len(p["vth"]), n] for n, p in cells.items()],
        "populations": [[n, len(p["vth"]), 1.0] for n, p in cells.items()],
        "projections": [[s + "_" + t, s, t, e] for s, t, e, _ in joined],
    }
    arrays = {f"{k}_{i}": np.array(v, np.int32) for i, p in enumerate(cells.values()) for k, v in p.items()}
    arrays |= {f"weights_{i}": np.array(j[3], np.int32) for i, j in enumerate(joined)}
    file = io.BytesIO()
    np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    board = LavaBoard()
    board.load(LOIHI_PROGRAM, file.getvalue())
    spikes = [board.step(given) for given in case["given"]]
    board.close()
    print("SPIKES", json.dumps(spikes))
"""


@pytest.mark.parametrize("index", range(3))
def test_lava_spikes_as_nengo_loihi_does(index: int, tmp_path: Path) -> None:
    python = ROOT / "build" / "lava" / "bin" / "python"
    if not python.exists():
        pytest.skip("build/lava is not there")
    case = json.loads((ROOT / "tests" / "boards" / "loihi_vectors.json").read_text())[index]
    script = tmp_path / "run_lava.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(EMULATOR.parent)!r})\n{RUN}")
    done = subprocess.run(
        [str(python), str(script)],
        input=json.dumps(case),
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    line = next(x for x in done.stdout.splitlines() if x.startswith("SPIKES "))
    assert json.loads(line.removeprefix("SPIKES ")) == case["spikes"]
