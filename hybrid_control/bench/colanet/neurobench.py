"""Few shots by NeuroBench's harness: python -m hybrid_control.bench.colanet.neurobench DIR|ZIP --encoder FILE.

The sessions of `one_by_one`; after each, `neurobench.benchmarks.Benchmark` asks every learner for all classes so far
and scores it by its own metrics. Beside CoLaNET the prototypes of its task: the nearest mean as a linear layer. Its
data (MSWC) are not needed. It needs neurobench 2.3 and torch.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from tqdm import trange

from hybrid_control.bench.colanet import one_by_one
from hybrid_control.bench.colanet.compare import Array
from hybrid_control.bench.colanet.one_by_one import Centroids, accuracy, sessions, sessions_table, sizes_of
from hybrid_control.bench.colanet.pictures import chosen, features_of, options
from hybrid_control.colanet import CoLaNET
from hybrid_control.colanet.encode import Encoder
from hybrid_control.colanet.search import folds_of

BATCH = 256


class Judge:
    """Scores learners by NeuroBench; called in the place of `accuracy`.

    difference: the largest there was between its accuracy and ours. results: of the last session of each kind of
    learner, all that its metrics say. ValueError where neurobench or torch is not there.
    """

    def __init__(self) -> None:
        try:
            import neurobench.benchmarks  # noqa: F401
            import torch  # noqa: F401
        except ImportError as error:
            raise ValueError(
                f"NeuroBench's harness is not there ({error}): pip install neurobench==2.3.0 torch"
            ) from None
        self.difference = 0.0
        self.results: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def __call__(self, learner: Any, x: Array, y: Array) -> float:
        """NeuroBench's accuracy of a learner on (samples, inputs) and their classes."""
        import torch
        from neurobench.benchmarks import Benchmark
        from neurobench.metrics.static import Footprint
        from neurobench.metrics.workload import ActivationSparsity, ClassificationAccuracy, SynapticOperations
        from torch.utils.data import DataLoader, TensorDataset

        data = TensorDataset(torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(y))
        metrics = [[Footprint], [ClassificationAccuracy, ActivationSparsity, SynapticOperations]]
        benchmark = Benchmark(model_of(learner), DataLoader(data, batch_size=BATCH), [], [], metrics)
        result = dict(benchmark.run(quiet=True))
        self.difference = max(
            self.difference, abs(result["ClassificationAccuracy"] - accuracy(learner, x, y))
        )
        self.results[name_of(learner)].append(result)
        return float(result["ClassificationAccuracy"])


def name_of(learner: Any) -> str:
    """What results of a learner are kept under."""
    if isinstance(learner, CoLaNET):
        return next(name for name, settings in one_by_one.SETTINGS.items() if settings == learner.settings)
    return type(learner).__name__


def model_of(learner: Any) -> Any:
    """A learner as NeuroBench takes it; prototypes are a linear layer, which its hooks see."""
    import torch
    from neurobench.models import NeuroBenchModel

    class Model(NeuroBenchModel):
        """Says classes; its network has what there is to be seen of it."""

        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential()
            self.classes: Any = None
            if isinstance(learner, Centroids):
                self.classes, means = (np.array(part) for part in zip(*learner.means.items(), strict=True))
                layer = torch.nn.Linear(means.shape[1], len(means))
                with torch.no_grad():
                    layer.weight.copy_(torch.from_numpy(2 * means))
                    layer.bias.copy_(torch.from_numpy(-(means**2).sum(1)))
                self.net.append(layer)
            elif isinstance(learner, CoLaNET):
                snapshot = learner.snapshot()
                for name in ("resource", "stability", "free"):
                    self.net.register_buffer(name, torch.from_numpy(getattr(snapshot, name)))

        def __call__(self, batch: Any) -> Any:
            if self.classes is None:
                return torch.from_numpy(np.asarray(learner.predict(batch.numpy())))
            with torch.no_grad():
                return torch.from_numpy(self.classes)[self.net(batch).argmax(1)]

        def __net__(self) -> Any:
            return self.net

    return Model()


def report(x: Array, labels: Array, folds: int) -> str:
    """The table for features (pictures, features) and their classes, and what the other metrics see."""
    judge = Judge()
    which, y = chosen(labels, len(labels))
    x, fold, sizes = x[which], folds_of(y, folds), sizes_of(len(np.unique(y)))
    if not sizes[1]:
        raise ValueError(f"{sizes[0]} classes are too few for {one_by_one.SESSIONS} sessions")
    runs = [sessions(x, y, fold == k, k, sizes, judge) for k in trange(folds, desc="sessions")]
    lines = [sessions_table(runs), "", f"largest difference to our accuracy: {judge.difference:.1e}", ""]
    for name, results in judge.results.items():
        last = results[-1]
        operations = {key: round(float(n)) for key, n in dict(last["SynapticOperations"]).items()}
        seen = (
            f"ActivationSparsity {last['ActivationSparsity']:.3f}, SynapticOperations {operations}"
            if operations["Dense"]
            else "ActivationSparsity and SynapticOperations see no layer of it"
        )
        lines.append(f"{name}, last session: Footprint {last['Footprint']:,.0f} bytes; {seen}")
    return "\n".join(lines)


def main() -> None:
    """Print the table, a mean over the folds."""
    arguments = options(__doc__, "not used: all classes are").parse_args()
    Judge()  # before the pictures are encoded
    x, labels = features_of(arguments.pictures, Encoder(arguments.encoder, output=arguments.output))
    print(report(x, labels, arguments.folds))


if __name__ == "__main__":
    main()
