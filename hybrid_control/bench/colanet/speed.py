"""How fast CoLaNET learns and what an answer costs: python -m hybrid_control.bench.colanet.speed.

On made-up features of the kind an encoder gives: 1,280 of 0 and more, most of them small, 10 classes.
"""

from __future__ import annotations

import numpy as np

from hybrid_control.bench.arguments import parser_of
from hybrid_control.bench.colanet.compare import Split, baselines, colanet, counts, table
from hybrid_control.colanet import ACTIVATIONS, Settings

INPUTS, CLASSES, COPIES = 1280, 10, 15


def features(samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (samples, INPUTS) in units of the saturation's 99th percentile, and their classes."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(7).gamma(0.5, 1.0, (CLASSES, INPUTS))
    labels = rng.integers(0, CLASSES, samples)
    values = means[labels] * rng.gamma(4.0, 0.25, (samples, INPUTS))
    return (values * ACTIVATIONS.saturation / 2.6).astype(np.float32), labels


def cost(x: np.ndarray, settings: Settings, copies: int) -> tuple[float, float]:
    """Additions of a weight per answer: as spikes on a chip that adds at each, and as this kernel adds them up."""
    neurons = copies * CLASSES * settings.microcolumns
    spikes = counts(x, settings.saturation)
    return float(spikes.sum(1).mean()) * 10 * neurons, float((spikes > 0).sum(1).mean()) * neurons


def main() -> None:
    """Print the table and the costs."""
    parser_of("colanet.speed", __doc__).parse_args()
    x, y = features(3000)
    split = Split(x[:2000], y[:2000], x[2000:], y[2000:])
    rows = [colanet(split, ACTIVATIONS, copies) for copies in (1, COPIES)]
    print(table(rows + baselines(split, ACTIVATIONS.saturation)))
    spiking = (x >= 0.1 * ACTIVATIONS.saturation).mean()
    print(
        f"\n{100 * spiking:.0f} % of the inputs spike; learnt per second at ×{COPIES}: {1e3 / rows[1].learn_ms:,.0f}"
    )
    on_chip, here = cost(x, ACTIVATIONS, COPIES)
    print(
        f"an answer adds a weight {on_chip:,.0f} times spike by spike, {here:,.0f} times here; "
        f"a linear head multiplies and adds {INPUTS * CLASSES:,} times"
    )


if __name__ == "__main__":
    main()
