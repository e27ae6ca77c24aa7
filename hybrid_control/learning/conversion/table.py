"""What became of each layer, and how near the result is, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_control.learning.conversion.compare import Comparison
from hybrid_control.learning.conversion.convert import Conversion
from hybrid_control.learning.conversion.layers import (
    Average,
    Conv,
    Dense,
    Given,
    Layer,
    Spikes,
    Sum,
    Synapses,
)


def _became(layer: Layer) -> str:
    if isinstance(layer, Given):
        return "input, a current that stands"
    if isinstance(layer, Conv):
        kernel = "x".join(map(str, layer.weight.shape[2:]))
        kind = "depthwise convolution" if layer.groups > 1 and layer.weight.shape[1] == 1 else "convolution"
        return f"{kind} {kernel}" + (f", stride {max(layer.stride)}" if max(layer.stride) > 1 else "")
    if isinstance(layer, Dense):
        return "all to all"
    if isinstance(layer, Average):
        return f"means over {'x'.join(map(str, layer.kernel))}"
    if isinstance(layer, Synapses):
        return f"{layer.pre.size} synapses, one by one"
    if isinstance(layer, Sum):
        return f"sum of {len(layer.terms)}"
    return "integrate and fire" + (
        f", at most {layer.cap:g}" if isinstance(layer, Spikes) and layer.cap < 1e30 else ""
    )


def layer_lines(conversion: Conversion) -> list[str]:
    """A line for each layer: its name, what it was, what it became, its shape, and what a spike of it is worth."""
    rows = [("node", "was", "became", "gives", "a spike")]
    for layer in conversion.reader.layers:
        worth = ""
        if isinstance(layer, Spikes):
            scale = conversion.scales[layer.name]
            low, high = float(scale.min()), float(scale.max())
            worth = f"{low:.3g}" if low == high else f"{low:.3g} .. {high:.3g}"
        rows.append((layer.name, layer.from_node, _became(layer), "x".join(map(str, layer.shape)), worth))
    return _aligned(rows)


def comparison_lines(comparison: Comparison, ticks: int) -> list[str]:
    """A line for each number of ticks, and what it costs at `ticks`, the ANN beside it; late: by their second half."""
    names = ("error", "late", "same class", "late", "right", "spikes", "events", "by values")
    rows = [("ticks", *(name for name in names if comparison.right or name != "right"))]
    for i, mark in enumerate(comparison.marks):
        errors = [f"{100 * v[i]:.2f} %" for v in (comparison.error, comparison.late_error)]
        lists = (comparison.agreement, comparison.late_agreement, comparison.right)
        shares = [f"{100 * v[i]:.1f} %" for v in lists if v]
        counts = (comparison.spikes, comparison.events, comparison.value_macs)
        rows.append((str(mark), *errors, *shares, *(f"{v[i]:,.0f}" for v in counts)))
    ann, snn = comparison.joules(ticks)
    at = comparison.marks.index(ticks)
    lines = _aligned(rows)
    if comparison.right:
        lines.append(f"the ANN: {100 * comparison.ann_right:.1f} % right")
    lines.append(
        f"the ANN: {comparison.macs:,} multiply-accumulates, {1e6 * ann:.3g} uJ; in {ticks} ticks: "
        f"{comparison.events[at]:,.0f} events and {comparison.value_macs[at]:,.0f} multiply-accumulates by values, "
        f"{1e6 * snn:.3g} uJ (4.6 and 0.9 pJ); {comparison.neurons:,} neurons"
    )
    lines.append(
        f"means over {comparison.examples} examples; {1e3 * comparison.seconds:.3g} ms for one and "
        f"{comparison.marks[-1]} ticks on this machine"
    )
    return lines


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
