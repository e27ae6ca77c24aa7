"""What a CoLaNET is made with: numbers of its neurons and of its rules, and sets of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

#: Fixed by the construction: one sample is 15 ticks of 1 ms, the first 10 with input. Receptors fire at 0..9 and are
#: heard a tick later; the label at 11, so BIASGATE at 12, forced firing at 13 and the reward at 14.
TICKS, INPUT_TICKS, LABEL_TICK = 15, 10, 11
FORCED_TICK, REWARD_TICK = LABEL_TICK + 2, LABEL_TICK + 3
THRESHOLD = 8.531  # H
FORCE = 10.0  # weight of BIASGATE -> L
SILENCE = 10  # ticks for which L silences L, and OUT silences BIASGATE
STABILITY_RULES = ("two-factor", "three-factor")
TIES = ("one", "all")


@dataclass(frozen=True)
class Settings:
    """The numbers of one CoLaNET; ticks are 1 ms.

    microcolumns: plastic neurons of a class (M). tau: of the membrane, in ticks. t_dopamine: a reward reaches neurons
    that fired at most so many ticks ago. isi_max: longest interval within a tight spike sequence, in ticks. dopamine:
    what a reward brings (D); anti_hebbian: what a spike takes (d_H, below 0); stability: rate r of the stability's
    change. w_min, w_max: bounds of the weights. n_silent: synapses that take part in the renormalisation and lead
    nowhere. kappa: threshold per sum of positive weights. noise: ss, its range at every tick. saturation: the value of
    an input that fires at every tick. stability_rule: how an unforced reward changes the stability. winners: of the
    neurons of a column that reach their threshold in the same tick, "all" fire, or "one", that farthest above it.
    foreign: what of the anti-Hebbian rule stays in columns other than the label's; 1 as published. turns: 0, and inputs
    are as published; else values of either sign, which each copy turns so many times (`rules.turned`) in pairs of its
    own, before each makes two inputs: from low to high above 0 one of 0 to the saturation, as far below 0 the other.
    ValueError names the number that cannot be.
    """

    microcolumns: int = 7
    tau: float = 5.0
    t_dopamine: int = 15
    isi_max: int = 10
    dopamine: float = 0.2265
    anti_hebbian: float = -0.1143
    stability: float = 0.1588
    w_min: float = -1.634
    w_max: float = 1.714
    n_silent: int = 9
    kappa: float = 0.00107
    noise: float = 0.626
    saturation: float = 1.977
    stability_rule: str = "two-factor"
    winners: str = "one"
    foreign: float = 1.0
    turns: int = 0
    low: float = 0.15
    high: float = 1.8

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "float" and not (isinstance(value, int | float) and math.isfinite(value)):
                raise ValueError(f"{field.name} {value!r}: expected a finite number")
            if field.type == "int" and (not isinstance(value, int) or isinstance(value, bool)):
                raise ValueError(f"{field.name} {value!r}: expected a whole number")
        for name, low, high in (
            ("microcolumns", 1, 256), ("tau", 1.0, 1e3), ("t_dopamine", 0, 1000), ("isi_max", 1, 1000),
            ("dopamine", 0.0, 100.0), ("anti_hebbian", -100.0, 0.0), ("stability", 0.0, 100.0),
            ("w_min", -100.0, -1e-6), ("w_max", 1e-6, 100.0), ("n_silent", 0, 10**6), ("kappa", 0.0, 100.0),
            ("noise", 0.0, 100.0), ("saturation", 1e-12, 1e12), ("foreign", 0.0, 1.0),
            ("turns", 0, 16), ("low", 0.0, 100.0), ("high", 1e-3, 100.0),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} {getattr(self, name)}: expected {low:g} to {high:g}")
        if not self.low < self.high:
            raise ValueError(f"low {self.low}: expected less than high, {self.high}")
        for name, allowed in (("stability_rule", STABILITY_RULES), ("winners", TIES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r}: expected {' or '.join(allowed)}")


#: For the pixels of MNIST, after KasperskyLab/knp.
MNIST = Settings(
    microcolumns=20, tau=3.0, t_dopamine=10, isi_max=10, dopamine=0.18, anti_hebbian=-0.177, stability=0.05,
    w_min=-0.253, w_max=0.0924, n_silent=27, kappa=0.218, noise=2.212, saturation=255.0,
)  # fmt: skip
#: For the activations of a frozen encoder, in an ensemble of 15.
ACTIVATIONS = Settings()
#: For few features that `scale.Scale` has whitened, such as those of a map's cells, in an ensemble of 15.
CELLS = Settings(
    microcolumns=2, tau=2.0, dopamine=0.1164, anti_hebbian=-0.0719, stability=0.0074, w_min=-0.6306, w_max=0.7239,
    n_silent=4, kappa=0.0111, noise=0.3553, saturation=1.0,
)  # fmt: skip
#: For pictures' features that `scale.Scale` has whitened, in an ensemble of 15; found on inner folds of training parts.
PICTURES = Settings(
    microcolumns=3, tau=2.47, dopamine=0.09295, anti_hebbian=-0.04784, stability=0.0498, w_min=-0.3352, w_max=0.815,
    n_silent=114, kappa=0.00243, noise=1.1, saturation=1.0, turns=6, low=0.0639, high=2.64,
)  # fmt: skip
#: The same where classes come one after another and none of the earlier ones is shown again; as good in mixed order.
ONE_BY_ONE = replace(PICTURES, foreign=0.15)
