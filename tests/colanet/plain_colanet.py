"""CoLaNET as its equations say, population by population, tick by tick, synapse by synapse; slow, for tests.

A compiled function called from Python gives a Python float; F makes it a float32 again."""

from collections import defaultdict
from fractions import Fraction

import numpy as np

from hybrid_control.colanet import rules, state

F = np.float32
OPEN = rules.OPEN


class Gate:
    """A neuron's activity counter."""

    def __init__(self):
        self.activity = OPEN

    def passes(self):
        """Whether input is heard at this tick; the counter moves on."""
        heard = self.activity > 0
        self.activity = rules.moved(self.activity)
        return heard


class Neuron(Gate):
    """A plastic neuron of one copy, with its synapses."""

    def __init__(self, inputs, settings, numbers, place):
        super().__init__()
        self.settings, self.numbers, self.place = settings, numbers, place
        self.W = [F(rules.start_resource(settings.w_min, settings.w_max))] * inputs
        self.s = self.free = F(0)

    def rest(self):
        self.activity, self.u, self.forced, self.last, self.start = OPEN, F(0), False, None, None
        self.contributed, self.depressed = set(), set()

    def weight(self, i):
        w = F(rules.weight_of(self.W[i], self.numbers.w_min, self.numbers.w_max))
        return int(np.floor(w * F(1 / self.numbers.quantum) + F(0.5)))

    def threshold(self):
        positive = sum(max(self.weight(i), 0) for i in range(len(self.W)))
        return F(8.531 + self.settings.kappa * (positive * self.numbers.quantum))

    def change(self, synapses, by):
        for i in synapses:
            self.W[i] = F(self.W[i] + by)
        self.free = F(self.free - F(by * F(len(synapses))))

    def spiked(self, tick, forced, arrivals):
        """arrivals: ticks at which each synapse brought a spike."""
        window = int(3 * self.settings.tau)

        def within(begin):
            return {i for i, ticks in enumerate(arrivals) if any(begin <= t <= tick for t in ticks)}

        if forced:
            self.forced, self.last, self.contributed = True, tick, within(tick - window)
            return
        if self.last is None or not rules.continues(tick - self.last, self.settings.isi_max, self.forced):
            self.start, self.forced, self.contributed, self.depressed = tick, False, set(), set()
            self.s = F(rules.stability_at_start(self.s, self.numbers.rate, self.numbers.d_h))
        self.last = tick
        self.contributed |= within(self.start - window)
        new = self.contributed - self.depressed
        self.depressed |= new
        self.change(new, F(rules.anti_hebbian(self.numbers.d_h, self.s)))

    def rewarded(self, tick):
        if self.last is None or tick - self.last > self.settings.t_dopamine:
            return
        n = self.numbers
        self.change(self.contributed, F(rules.dopamine(n.dopamine, self.s, self.forced)))
        since = 0 if self.forced else tick - self.start
        change = F(n.rate * n.dopamine)
        self.s = F(rules.stability_at_reward(self.s, change, self.forced, since, n.reward_isi))

    def returned(self):
        n = self.numbers
        if self.settings.foreign < 1 and self.last is not None:
            self.change(self.depressed, F(rules.returned(n.d_h, self.s, n.foreign)))

    def renormalise(self):
        offset = F(rules.renormalisation(self.free, len(self.W), self.settings.n_silent))
        if offset:
            self.W = [F(w + offset) for w in self.W]
            self.free = F(0)


class Plain:
    """The same classifier for columns that are known from the start."""

    def __init__(self, settings, inputs, columns, copies, seed):
        self.settings, self.seed, self.samples = settings, seed, 0
        inputs *= 2 if settings.turns else 1
        self.numbers = state.numbers_of(settings, inputs, seed)
        m = settings.microcolumns
        self.copies = [
            [[Neuron(inputs, settings, self.numbers, c * m + k) for k in range(m)] for c in range(columns)]
            for _ in range(copies)
        ]

    def learn(self, x, label):
        """x: Fractions of the saturation; where they are turned, float32."""
        self.samples += 1
        for number, copy in enumerate(self.copies):
            self.run(copy, self.seen(x, number), label, rules.key_of(self.seed, number, self.samples))

    def decide(self, x):
        keys = [rules.key_of(self.seed, number, 0) for number in range(len(self.copies))]
        return np.sum(
            [
                self.run(c, self.seen(x, k), None, key)
                for k, (c, key) in enumerate(zip(self.copies, keys, strict=True))
            ],
            axis=0,
        )

    def seen(self, x, copy):
        """The inputs, as Fractions of the saturation, that a copy makes of values that it turns."""
        if not self.settings.turns:
            return x
        values, rng, s = [F(v) for v in x], np.random.default_rng((self.seed, copy, 1)), self.settings
        for _ in range(s.turns):
            order = rng.permutation(len(x))
            for i, j in zip(order[::2], order[1::2], strict=False):
                a, b = values[i], values[j]
                values[i], values[j] = F(F(a + b) * F(0.5**0.5)), F(F(a - b) * F(0.5**0.5))
        gain = F(s.saturation / (s.high - s.low))
        inputs = [F(F(v - F(s.low)) * gain) for v in (*values, *(-v for v in values))]
        return [Fraction(round(min(max(float(v) / s.saturation, 0.0), 1.0) * 161280), 161280) for v in inputs]

    def run(self, copy, x, label, key):
        """Messages are (population, column, what) in the tick at which they are heard."""
        heard = defaultdict(list)
        a, arrivals = [Fraction(0)] * len(x), [[] for _ in x]
        for tick in range(10):
            for i, value in enumerate(x):
                a[i] += value
                if a[i] >= 1:
                    a[i] -= 1
                    arrivals[i].append(tick + 1)
        for column in copy:
            for neuron in column:
                neuron.rest()
        outs, gates = [Gate() for _ in copy], [Gate() for _ in copy]
        spikes = np.zeros(len(copy))
        if label is not None:
            heard[12].append(("gate", label, 10.0))
            heard[14].append(("reward", label, None))
        for tick in range(1, 15):
            forced = set()
            for kind, column, what in heard[tick]:
                if kind == "silence L":
                    what.activity = -10
                elif kind == "silence gate":
                    gates[column].activity = -10
                elif kind == "silence OUT":
                    outs[column].activity = -3
            for kind, column, _ in heard[tick]:
                if kind == "gate" and gates[column].activity > 0:
                    heard[tick + 1] += [("force", column, None), ("silence OUT", column, None)]
                elif kind == "force":
                    forced.add(column)
            out = {column for kind, column, _ in heard[tick] if kind == "OUT"}
            for c in range(len(copy)):
                gates[c].passes()
                if outs[c].passes() and c in out:
                    spikes[c] += 1
                    heard[tick + 1].append(("silence gate", c, None))
            for c, column in enumerate(copy):
                self.tick_column(column, tick, key, c in forced, arrivals, label is not None, heard, c)
            for kind, column, _ in heard[tick]:
                if kind == "reward":
                    for c, others in enumerate(copy):
                        for neuron in others:
                            neuron.rewarded(tick) if c == column else neuron.returned()
        if label is not None:
            for column in copy:
                for neuron in column:
                    neuron.renormalise()
        return spikes

    def tick_column(self, column, tick, key, forced, arrivals, learns, heard, c):
        n, above = self.numbers, {}
        for neuron in column:
            total = sum(neuron.weight(i) for i, ticks in enumerate(arrivals) if tick in ticks)
            noise = F(n.noise * rules.uniform(key, np.uint32(tick), np.uint32(neuron.place)))
            push = F(F(F(total) * F(n.quantum)) + noise)
            push = F(push + F(10 if forced else 0))
            if neuron.passes():
                neuron.u = max(F(F(neuron.u * n.decay) + push), F(0))
                margin = F(neuron.u - neuron.threshold())
                if margin >= 0:
                    above[neuron] = margin
            else:
                neuron.u = F(neuron.u * n.decay)
        if self.settings.winners == "one" and above:
            best = max(above.values())
            above = {next(neuron for neuron in column if above.get(neuron) == best): best}
        for winner in above:
            winner.u = F(0)
            if learns:
                winner.spiked(tick, forced, arrivals)
            heard[tick + 1].append(("OUT", c, None))
            heard[tick + 1] += [("silence L", c, other) for other in column if other is not winner]
