"""Measures what `train` made: `python -m hybrid_control.bench.hand_over.measure OUT --task arm --window 33x1`.

On sequences that no network saw: how far each is from the truth, tick by tick; what it costs in operations; and what
becomes of the hybrid where the ANN is late or drops out, or the camera gives another number of events. Spiking networks
run in the torch mirror, which gives the engine's values to the bit; the engine counts their events.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from hybrid_control.bench.hand_over.follower import Follower
from hybrid_control.bench.hand_over.networks import Recurrent
from hybrid_control.bench.hand_over.sequences import SIZE, Sequences
from hybrid_control.bench.hand_over.task import VARIANTS, WINDOWS, Task, Window
from hybrid_control.bench.hand_over.tasks import TASKS
from hybrid_control.bench.hand_over.train import Trained
from hybrid_control.learning.mirror import State
from hybrid_control.snn import Engine
from hybrid_control.snn.energy import HOROWITZ_45NM

Array = NDArray[Any]

SHIPPED = Path(__file__).with_name("trained")
TESTED, AT_ONCE = 120, 40  # sequences; those of a batch
COUNTED = 12  # sequences on which the engine counts
MAC, AC = HOROWITZ_45NM.mac_pj, HOROWITZ_45NM.synaptic_event_pj
WORD = 5.0  # pJ, of 32 bit from a cache of 8 kB; from where MAC and AC are
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % quantile for so many seeds
LATE, DROPPED, RATES = (
    (0.0, 0.25, 0.5, 1.0),
    (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
    (0.5, 0.75, 1.0, 1.5, 2.0),
)


class Ticks:
    """The test sequences of a task in windows of a length, all ticks of them, and what is asked about them.

    events: (sequences, ticks, 2, SIZE, SIZE); truth: (sequences, ticks, *shape) after each tick.
    """

    def __init__(
        self, task: Task, data: Sequences, window: Window, rate: float = 1.0, sequences: int | None = None
    ) -> None:
        count = data.steps // window.length * window.ticks
        chosen = np.arange(TESTED if sequences is None else sequences)
        begins = np.zeros(len(chosen), np.int64)
        events = data.bins(chosen, begins, count, window.per_tick)
        if rate < 1.0:
            events = np.random.default_rng(7).binomial(events.astype(np.int64), rate).astype(np.float32)
        elif rate > 1.0:
            events += np.random.default_rng(7).poisson(events * (rate - 1.0)).astype(np.float32)
        self.events, self.task, self.window = torch.from_numpy(events), task, window
        self.truth = torch.from_numpy(data.after(chosen, begins, count, window.per_tick))

    @property
    def starts(self) -> list[int]:
        """The ticks at which windows begin: all but the first two, which the ANN has to see."""
        ticks = self.window.ticks
        return list(range(2 * ticks, self.events.shape[1], ticks))

    def before(self, tick: int, part: slice | Array) -> Tensor:
        """What the ANN sees before a tick."""
        return self.window.seen(self.events[part, tick - self.window.ticks : tick])

    def errors(self, found: Tensor) -> Array:
        """Distances (sequences, windows, ticks, parts) of what was found, (sequences, windows * ticks, *shape)."""
        away = self.task.distance(found, self.truth[:, 2 * self.window.ticks :])
        return away.unflatten(1, (-1, self.window.ticks)).numpy().astype(np.float64)


def _all(ticks: Ticks, part: Callable[[slice], Tensor]) -> Tensor:
    """What `part` gives for some sequences, of all of them."""
    with torch.no_grad():
        return torch.cat([part(slice(k, k + AT_ONCE)) for k in range(0, len(ticks.events), AT_ONCE)])


def of_ann(network: nn.Module, ticks: Ticks) -> dict[str, Array]:
    """Errors of the ANN alone: asked anew at every tick; held for a window; carried on at constant velocity, by its
    last two answers or by the velocity that it gives."""

    def known(tick: int) -> tuple[Tensor, Tensor]:
        """What is known before a tick, and how it changes in a second, (sequences, *shape)."""
        both = _all(ticks, lambda part: torch.stack(ticks.task.known(network(ticks.before(tick, part))), 1))
        return both[:, 0], both[:, 1]

    count = ticks.window.ticks
    every = torch.stack([known(tick + 1)[0] for tick in range(ticks.starts[0], ticks.events.shape[1])], 1)
    last, first = known(ticks.starts[0] - count)[0], known(ticks.starts[0])[0]
    at = torch.cat([first[:, None], every[:, count - 1 : -1 : count]], 1)  # what is known as a window begins
    past = torch.cat([last[:, None], at[:, :-1]], 1)
    moving = torch.stack([known(tick)[1] for tick in ticks.starts], 1)
    length = ticks.window.length * 1e-3
    ahead = torch.arange(1, count + 1).reshape(-1, *[1] * (at.ndim - 2)) * (length / count)

    def carried(per_second: Tensor) -> Array:
        found = ticks.task.carried(at[:, :, None], per_second[:, :, None], ahead)
        return ticks.errors(found.flatten(1, 2))

    return {
        "ann_every_tick": ticks.errors(every),
        "ann_held": carried(torch.zeros_like(at)),
        "constant_velocity": carried((at - past) / length),
        "velocity_of_the_ann": carried(moving),
    }


def of_gru(network: nn.Module, gru: Recurrent, ticks: Ticks) -> Array:
    """Errors of the GRU that goes on from what the ANN knows in each window."""

    def part(each: slice) -> Tensor:
        found = []
        for start in ticks.starts:
            known = ticks.task.known(network(ticks.before(start, each)))
            found.append(gru(ticks.events[each, start : start + ticks.window.ticks], *known))
        return torch.cat(found, 1)

    return ticks.errors(_all(ticks, part))


def of_snn(
    whole: Follower, ticks: Ticks, carried: bool = False, late: int = 0, dropped: float = 0.0
) -> Array:
    """Errors of an SNN, with the ANN before it where it has one.

    carried: the state is kept from window to window where the ANN says nothing. late: ticks by which what the ANN says
    comes late; dropped: the share of windows, after the first of a sequence, in which it says nothing, drawn for each
    sequence. Until then the SNN goes on.
    """
    count, asked = ticks.window.ticks, bool(whole.both.layers or whole.both.outputs)
    starts = ticks.starts if asked else range(0, ticks.events.shape[1], count)
    heard = np.random.default_rng(11).random((len(ticks.events), len(starts))) >= dropped
    heard[:, 0] = True

    def part(each: Array, says: Array) -> Tensor:
        state: State | None = None
        at: Tensor | None = None
        found = []
        for k, start in enumerate(starts):
            if not asked and not carried:
                state = at = None
            wait = late if asked and says[k] and state is not None else 0
            for begin, end in ((start, start + wait), (start + wait, start + count)):
                if begin == start + wait and asked and says[k]:
                    state, at = whole.begin(ticks.before(start, each))
                if begin < end:
                    values, state = whole(ticks.events[each, begin:end], state, at)
                    at = values[:, -1]
                    found.append(values)
        return torch.cat(found, 1)[:, -len(ticks.starts) * count :]

    order, parts = [], []
    patterns, of_pattern = np.unique(heard, axis=0, return_inverse=True)
    with torch.no_grad():
        for k, says in enumerate(patterns):
            same = np.flatnonzero(of_pattern.reshape(-1) == k)
            for each in np.array_split(same, -(-len(same) // AT_ONCE)):
                order.append(each)
                parts.append(part(each, says))
    return ticks.errors(torch.cat(parts)[np.argsort(np.concatenate(order))])


def multiplications(network: nn.Module, example: Tensor) -> int:
    """Multiply-accumulates of a network's convolutions and matrices for one input."""
    total = 0

    def count(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        per_output = module.weight[0].numel()
        total += per_output * output[0].numel()

    hooks = [
        m.register_forward_hook(count) for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))
    ]
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    return total


def costs(whole: Follower, ticks: Ticks) -> dict[str, float]:
    """Operations of a window: of the ANN asked once, of the initialisers, and of the SNN as the engine counts it.

    What enters the SNN as a value and not as a spike, counts of events and what is believed, is multiplied.
    """
    window, both, spiking = ticks.window, whole.both, ticks.task.spiking
    example = torch.zeros(1, window.bins, 2, SIZE, SIZE)
    _, voltages = both.states(example)
    found = {
        "ann_macs": float(multiplications(both.ann, example)),
        "initialiser_macs": float(
            sum(
                multiplications(initialiser, both.feature(population))
                for population, initialiser in zip(both.layers, both.initialisers, strict=True)
            )
        ),
    } | dict.fromkeys(("snn_macs", "snn_acs", "snn_updates"), 0.0)
    engine = Engine(both.mirror.to_nir(), dt=both.mirror.options.dt, reset=both.mirror.options.reset)
    runs = COUNTED * len(ticks.starts)
    for k in range(COUNTED):
        for start in ticks.starts:
            engine.reset()
            before, now = (
                ticks.before(start, slice(k, k + 1)),
                ticks.events[k : k + 1, start : start + window.ticks],
            )
            told: list[Tensor] = []
            with torch.no_grad():
                _, voltages = both.states(before)
                whole(now, *whole.begin(before), told)
            engine.set_state({f"{name}.{what}": v[0].numpy() for (name, what), v in voltages.items()})
            engine.run({"events": now[0].numpy(), spiking.belief: torch.cat(told).numpy()})
            counters = engine.counters
            by_values = sum(counters.events.get(name, 0) for name in spiking.driven)
            found["snn_macs"] += (by_values + sum(counters.macs.values())) / runs
            found["snn_acs"] += (sum(counters.events.values()) - by_values) / runs
            found["snn_updates"] += sum(counters.updates.values()) / runs
    return found


def energies(cost: dict[str, float], ticks: int) -> dict[str, float]:
    """nJ of a window: of the ANN asked at every tick and of the hybrid; as the paper counts, and with memory.

    With memory each product reads a weight and a value, each addition for a spike reads a weight and reads and writes a
    membrane, each update reads and writes one: 5 pJ for a word from a small cache (as MAC and AC).
    """
    once = cost["ann_macs"] + cost["initialiser_macs"] + cost["snn_macs"]
    found = {
        "ann": 1e-3 * MAC * ticks * cost["ann_macs"],
        "hybrid": 1e-3 * (MAC * once + AC * cost["snn_acs"]),
        "ann_memory": 1e-3 * (MAC + 2 * WORD) * ticks * cost["ann_macs"],
    }
    accesses = 2 * once + 3 * cost["snn_acs"] + 2 * cost["snn_updates"]
    return found | {"hybrid_memory": found["hybrid"] + 1e-3 * WORD * accesses}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and half the width of its 95 % interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan")
    return mean, STUDENT[len(values)] * float(np.std(values, ddof=1)) / len(values) ** 0.5


def of_seed(trained: Trained, seed: int, ticks: Ticks) -> tuple[dict[str, Array], dict[str, float]]:
    """Errors by name of all that was trained with a seed, and what a window of the hybrid costs."""
    network = trained.ann(seed)
    errors, cost = of_ann(network, ticks), {}
    for name, variant in tqdm(VARIANTS.items(), desc=f"seed {seed}", unit="network"):
        if not trained.has(name, seed):
            continue
        whole = trained.follower(name, seed)
        errors[name] = of_snn(whole, ticks, carried=variant.carried)
        if name == "hybrid":
            cost = costs(whole, ticks)
    if trained.has("gru", seed):
        errors["gru"] = of_gru(network, trained.gru(seed), ticks)
    return errors, cost


def robustness(trained: Trained, seed: int, data: Sequences) -> dict[str, dict[str, float]]:
    """Mean error of the hybrid on AT_ONCE sequences, where the ANN is late or silent, or there are fewer or more
    events."""
    task, window = trained.task, trained.window
    network, whole = trained.ann(seed), trained.follower("hybrid", seed)
    ticks = Ticks(task, data, window, sequences=AT_ONCE)
    curves: dict[str, dict[str, float]] = {
        "late, of a window": {
            str(share): float(of_snn(whole, ticks, late=round(share * window.ticks)).mean()) for share in LATE
        },
        "dropped": {str(share): float(of_snn(whole, ticks, dropped=share).mean()) for share in DROPPED},
        "events": {},
        "events, the ANN at every tick": {},
    }
    for rate in RATES:
        other = Ticks(task, data, window, rate, AT_ONCE)
        curves["events"][str(rate)] = float(of_snn(whole, other).mean())
        curves["events, the ANN at every tick"][str(rate)] = float(
            of_ann(network, other)["ann_every_tick"].mean()
        )
    return curves


def table(task: Task, found: Sequence[dict[str, Array]]) -> dict[str, dict[str, Any]]:
    """By name: the error, mean over seeds and half its 95 % interval; tick by tick; each part that has a unit in its
    own; and in how many of the test sequences' windows the hybrid is better."""
    rows: dict[str, dict[str, Any]] = {}
    for name in found[0]:
        have = [errors[name] for errors in found if name in errors]
        mean, half = interval([float(e.mean()) for e in have])
        rows[name] = {
            "mean": mean,
            "half": half,
            "by_tick": np.mean([e.mean((0, 1, 3)) for e in have], 0).round(4).tolist(),
            "parts": {
                part.name: part.one * float(np.mean([e[..., k].mean() for e in have]))
                for k, part in enumerate(task.parts)
            },
        }
        pairs = [
            errors["hybrid"].mean((-2, -1)) < errors[name].mean((-2, -1))
            for errors in found
            if {name, "hybrid"} <= {*errors}
        ]
        difference = [
            float(e["hybrid"].mean() / e[name].mean()) - 1.0 for e in found if {name, "hybrid"} <= {*e}
        ]
        if pairs and name != "hybrid":
            rows[name]["hybrid_better_in"] = float(np.mean(pairs))
            rows[name]["hybrid_relative"], rows[name]["hybrid_relative_half"] = interval(difference)
    return rows


def _line(task: Task, name: str, row: dict[str, Any]) -> str:
    own = "".join(f"   {row['parts'][part.name]:.3f} {part.unit}" for part in task.parts)
    other = f"   hybrid {row['hybrid_relative']:+.1%}" if "hybrid_relative" in row else ""
    return f"{name:19} {row['mean']:.3f} ± {row['half']:.3f} {task.unit}{own}{other}"


def main() -> None:
    """Measure all seeds that are there."""
    parser = argparse.ArgumentParser(
        prog="python -m hybrid_control.bench.hand_over.measure", description=__doc__
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder that `train` filled")
    parser.add_argument("--task", choices=[*TASKS], default="arm", help="(default: %(default)s)")
    parser.add_argument(
        "--window", choices=[*WINDOWS], default="33x1", help="ticks x ms (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: %(default)s)")
    parser.add_argument(
        "--robustness", action="store_true", help="also with a late ANN, a silent one, other events"
    )
    parser.add_argument(
        "--shipped", action="store_true", help="the networks that come with this package; OUT holds the sequences alone"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    args = parser.parse_args()
    torch.set_num_threads(2)
    task, window = TASKS[args.task], WINDOWS[args.window]
    data = task.test_sequences(args.out, window)
    ticks = Ticks(task, data, window)
    trained = Trained(task, SHIPPED if args.shipped else args.out, window)
    seeds = [seed for seed in range(args.seeds) if trained.has("hybrid", seed)]
    if not seeds:
        parser.error(
            f"{args.out} has no {trained.path('hybrid', 0).name} or of another seed; `train` makes it"
        )
    measured = [of_seed(trained, seed, ticks) for seed in seeds]
    rows = table(task, [errors for errors, _ in measured])
    cost = {key: float(np.mean([c[key] for _, c in measured])) for key in measured[0][1]}
    answer: dict[str, Any] = {
        "task": task.name, "unit": task.unit, "window": window.name, "seeds": len(seeds), "errors": rows,
        "operations": cost, "energy_nJ": energies(cost, window.ticks),
    }  # fmt: skip
    if args.robustness:
        answer["robustness"] = robustness(trained, seeds[0], data)
    for name, row in rows.items():
        print(_line(task, name, row))
    print(json.dumps({key: answer[key] for key in ("operations", "energy_nJ")}))
    if args.json:
        args.json.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
