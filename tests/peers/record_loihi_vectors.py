"""Runs small networks of random integers on nengo-loihi's emulator and prints what they did, as JSON.

    PYTHONPATH=firmware_bridge/boards/processes build/loihi/bin/python tests/peers/record_loihi_vectors.py

tests/boards/loihi_vectors.json is its output; test_peers_loihi.py runs it again where build/loihi is there.
"""

import io
import json
import sys
import warnings

import numpy as np
from board_protocol import LOIHI_PROGRAM
from loihi_emulator import LoihiEmulator


def case(name: str, seed: int, ticks: int = 40) -> dict:
    """One network: two inputs, three populations with every kind of decay, biases and weights of both signs."""
    rng = np.random.default_rng(seed)
    sizes, inputs = {"a": 4, "b": 3, "c": 2}, {"x": 3, "y": 2}
    populations = {
        n: {
            "decay_u": rng.choice([4095, 2047, 409, 50, 0], k).tolist(),
            "decay_v": rng.choice([4095, 1024, 410, 41, 0], k).tolist(),
            "vth": (64 * rng.integers(20, 2000, k)).tolist(),
            "bias": rng.integers(-300, 300, k).tolist(),
        }
        for n, k in sizes.items()
    }
    projections = []
    for source, target in [
        ("x", "a"),
        ("y", "a"),
        ("x", "c"),
        ("a", "b"),
        ("b", "c"),
        ("b", "b"),
        ("c", "a"),
    ]:
        exponent = int(rng.integers(6, 9))
        shape = (sizes[target], {**sizes, **inputs}[source])
        mantissa = rng.integers(-60, 128, shape) * (rng.random(shape) < 0.8)
        projections.append([source, target, exponent, (mantissa * 2**exponent).tolist()])
    meta = {
        "dt": 1e-3,
        "inputs": list(inputs.items()),
        "outputs": [[f"{n}_out", k, n] for n, k in sizes.items()],
        "populations": [[n, k, 1.0] for n, k in sizes.items()],
        "projections": [[f"{s}_{t}", s, t, e] for s, t, e, _ in projections],
    }
    arrays = {
        f"{key}_{i}": np.array(v, np.int32)
        for i, p in enumerate(populations.values())
        for key, v in p.items()
    }
    arrays |= {f"weights_{i}": np.array(j[3], np.int32) for i, j in enumerate(projections)}
    file = io.BytesIO()
    np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    emulator = LoihiEmulator()
    emulator.load(LOIHI_PROGRAM, file.getvalue())
    given = [np.repeat(np.arange(5), rng.integers(0, 3, 5)).tolist() for _ in range(ticks)]
    spikes = [list(emulator.step(g)) for g in given]
    state = emulator._emulator.compartment.voltage
    slices = np.cumsum([0, *sizes.values()])
    return {
        "name": name,
        "inputs": inputs,
        "populations": populations,
        "projections": projections,
        "given": given,
        "spikes": spikes,
        "voltage": {n: state[slices[i] : slices[i + 1]].tolist() for i, n in enumerate(sizes)},
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    cases = [json.dumps(case(f"random {seed}", seed)) for seed in (1, 2, 3)]
    sys.stdout.write("[\n" + ",\n".join(cases) + "\n]\n")
