"""The core of docs/hybrid_format.md in plain Python, written from that page alone: slow, and nothing of the product."""

import hashlib
import math
import struct

UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9}
MASK = 2**64 - 1
S = 65536 * 10**9


def ns(value):
    if isinstance(value, str):
        for unit in ("ns", "us", "µs", "ms", "s"):
            if value.strip().endswith(unit):
                return round(float(value.strip().removesuffix(unit)) * UNITS[unit])
    return round(float(value) * 1e9)


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def splitmix64(key, n):
    z = (key + (n + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def uniform(key, n):
    return ((splitmix64(key, n) >> 11) + 1) * 2.0**-53


def seed_of(seed, name):
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Source:
    def __init__(self, part, name, seed):
        self.rows, self.loop = part["source"], part.get("loop", False)
        self.inputs, self.outputs = {}, {"out": part.get("kind", "values")}

    def run(self, k, t, inputs):
        n = len(self.rows)
        return {"out": [float(x) for x in self.rows[k % n if self.loop else min(k, n - 1)]]}


class Fuse:
    def __init__(self, part, name, seed):
        self.gated, self.size = part["fuse"] == "gated", math.prod(part["shape"])
        self.weights = part.get("weights", [0.5, 0.5])
        names = "abcdefghijklmnopqrstuvwxyz"[: 2 if self.gated else len(self.weights)]
        self.inputs = {n: self.size for n in names} | ({"confidence": 1} if self.gated else {})
        self.outputs = {"out": "values"}

    def run(self, k, t, inputs):
        if self.gated:
            g = min(max(inputs["confidence"][0], 0.0), 1.0)
            return {"out": [g * a + (1.0 - g) * b for a, b in zip(inputs["a"], inputs["b"], strict=True)]}
        rows = [inputs[name] for name in self.inputs]
        return {"out": [sum(w * row[i] for w, row in zip(self.weights, rows, strict=True)) for i in range(self.size)]}


class Encode:
    def __init__(self, part, name, seed):
        self.period, size = ns(part["period"]), part["size"]
        self.poisson = part["encode"] == "poisson"
        self.inputs, self.outputs = {"rates": size}, {"spikes": "spikes"}
        self.keys = [splitmix64(part.get("seed", seed), i) for i in range(size)]
        self.reached, self.drawn = [0] * size, [0] * size
        self.next = [self.threshold(i) for i in range(size)]

    def threshold(self, i):
        if not self.poisson:
            return S
        self.drawn[i] += 1
        return max(1, math.ceil(-math.log(uniform(self.keys[i], self.drawn[i] - 1)) * S))

    def run(self, k, t, inputs):
        counts = []
        for i, rate in enumerate(inputs["rates"]):
            self.reached[i] += math.floor(65536.0 * single(rate) + 0.5) * self.period
            count = 0
            while self.reached[i] >= self.next[i]:
                self.next[i] += self.threshold(i)
                count += 1
            counts.append(float(count))
        return {"spikes": counts}


class Decode:
    def __init__(self, part, name, seed):
        self.part, self.period, self.size = part, ns(part["period"]), part["size"]
        self.inputs, self.outputs = {"spikes": self.size}, {"rates": "rates"}
        self.seen = []

    def run(self, k, t, inputs):
        self.seen.append((t, inputs["spikes"]))
        if self.part["decode"] == "exponential":
            tau = ns(self.part.get("tau", 0.05))
            share = [(math.exp(-(t - s + 1) / tau) / (tau * 1e-9), row) for s, row in self.seen]
        else:
            window, width = ns(self.part.get("window", 0.05)), ns(self.part.get("resolution", 0.001))
            here = (t + self.period - 1) // width
            counts = [here - (s + self.period - 1) // width < window // width for s, _ in self.seen]
            share = [(c / (window * 1e-9), row) for c, (_, row) in zip(counts, self.seen, strict=True)]
        return {"rates": [single(sum(w * row[i] for w, row in share)) for i in range(self.size)]}


KINDS = {"source": Source, "fuse": Fuse, "encode": Encode, "decode": Decode}


class Link:
    def __init__(self, item):
        if isinstance(item, str):
            item = dict(zip(("from", "to"), (end.strip() for end in item.split("->")), strict=True))
        self.source, self.target = item["from"].split("."), item["to"].split(".")
        self.delay, self.gain = ns(item.get("delay", 0)), item.get("gain", 1.0)
        self.initial, self.policy = item.get("initial", 0.0), item.get("when_old", "hold")
        self.max_age = ns(item["max_age"]) if "max_age" in item else None
        self.sent = []  # (arrival, row)

    def whole(self, parts):
        """Where no port is named, the only one."""
        for end, side in ((self.source, "outputs"), (self.target, "inputs")):
            if len(end) == 1:
                (port,) = getattr(parts[end[0]], side)
                end.append(port)
        self.counted = parts[self.source[0]].outputs[self.source[1]] == "spikes"

    def arrived(self, t):
        return [(a, row) for a, row in self.sent if a <= t]

    def waits(self, t):
        came = self.arrived(t)
        limited = self.policy == "wait" and self.max_age is not None and not self.counted
        return limited and (not came or t - came[-1][0] > self.max_age)

    def sees(self, t, before, size):
        came = self.arrived(t)
        if self.counted:
            new = [row for a, row in came if a > before]
            return [sum((row[i] for row in new), 0.0) for i in range(size)]
        if not came:
            return [self.initial] * size
        a1, v1 = came[-1]
        if self.max_age is not None and t - a1 > self.max_age:
            if self.policy == "drop":
                return [self.initial] * size
            if self.policy == "extrapolate" and len(came) > 1 and came[-2][0] != a1:
                a0, v0 = came[-2]
                return [y + (y - x) * (t - a1) / (a1 - a0) for x, y in zip(v0, v1, strict=True)]
        return v1


def order(parts, clocks, links):
    """What feeds at once before what is fed."""
    done = []
    while len(done) < len(parts):
        ready = [
            name for name in parts if name not in done and all(
                link.source[0] in done for link in links
                if link.target[0] == name and clocks[link.source[0]][1] + link.delay == 0
            )
        ]  # fmt: skip
        if not ready:
            raise ValueError("a cycle in which nothing takes time")
        done += ready
    return done


def simulate(hybrid):
    """By "PART.PORT" the times and rows of what is recorded."""
    assert hybrid["hybrid"] == 1
    seed, until = hybrid.get("seed", 0), ns(hybrid.get("until", 1.0))
    parts, clocks, lost = {}, {}, {}
    for name, part in hybrid["parts"].items():
        (kind,) = KINDS.keys() & part.keys()
        parts[name] = KINDS[kind](part, name, seed_of(seed, name))
        clocks[name], lost[name] = (ns(part["period"]), ns(part.get("latency", 0))), part.get("lost", 0.0)
    links = [Link(item) for item in hybrid.get("links", [])]
    for link in links:
        link.whole(parts)
    recorded = {name: ([], []) for name in hybrid["record"]}
    last = dict.fromkeys(parts, -1)
    sequence = order(parts, clocks, links)
    for t in sorted({t for period, _ in clocks.values() for t in range(0, until, period)}):
        for name in sequence:
            part, (period, latency) = parts[name], clocks[name]
            if t % period:
                continue
            into = [link for link in links if link.target[0] == name]
            inputs = {port: [0.0] * size for port, size in part.inputs.items()}
            for link in into:
                port = link.target[1]
                seen = link.sees(t, last[name], part.inputs[port])
                inputs[port] = [x + y for x, y in zip(inputs[port], seen, strict=True)]
            last[name] = t
            takes_place = not any(link.waits(t) for link in into)
            given = part.run(t // period, t, inputs) if takes_place else None
            for port in part.outputs:
                if f"{name}.{port}" in recorded:
                    times, rows = recorded[f"{name}.{port}"]
                    times.append(t)
                    rows.append(given[port] if given else None)
            gone = lost[name] > 0 and uniform(seed_of(seed, f"{name} lost"), t // period) <= lost[name]
            for link in links if given and not gone else []:
                if link.source[0] == name:
                    row = [x * link.gain for x in given[link.source[1]]]
                    link.sent.append((t + latency + link.delay, row))
    return recorded
