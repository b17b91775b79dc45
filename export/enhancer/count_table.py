"""The arithmetic and the memory of every graph as polynomials of its size, for `hp_trt/enhancer/counts.py`.

`python -m export.enhancer.count_table` prints that module's table: a plan is made where there is no PyTorch.
`tests/hp_trt/enhancer/test_counts.py` counts at other sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from export.enhancer.graphs import bundle_graphs
from export.enhancer.presets import PRESETS, Preset
from export.graphs.counting import CallCounts, count_graph, fit, print_table
from export.graphs.graph import Graph
from hp_trt.enhancer.counts import TERMS
from hp_trt.enhancer.networks import GRAPHS
from hp_trt.measure.planning.counts import CELL_PX

_SIDES, _FRAMES = (480, 64, 256), (16, 1, 4)  # the first is the usual one, of which what is held is taken


def counted_graphs(preset: Preset) -> dict[str, Graph]:
    """By role."""
    graphs = bundle_graphs(preset.architecture, preset.networks)
    return {role: graphs[name] for role, name in GRAPHS.items() if name in graphs}


def count_call(graph: Graph, preset: Preset, sizes: Mapping[str, int]) -> CallCounts:
    """A call at `sizes`, of frames, or of height and width."""
    return count_graph(graph, preset.architecture.build, sizes)


def polynomials(preset: Preset) -> dict[str, dict[str, Any]]:
    """By role: FLOPs, moved and held elements of a unit, and the weights."""
    table = {}
    for role, graph in counted_graphs(preset).items():
        of_pictures = "height" in graph.spec.ranges
        points = {}  # (cells, frames) -> a call, and how many units it has
        for number in _SIDES if of_pictures else _FRAMES:
            sizes = {"height": number, "width": number} if of_pictures else {"frames": number}
            at = ((number // CELL_PX) ** 2, 1) if of_pictures else (1, number)
            points[at] = count_call(graph, preset, sizes), 1 if of_pictures else number
        row: dict[str, Any] = {
            what: fit(
                TERMS[role], [(*at, Fraction(getattr(made, what), units)) for at, (made, units) in points.items()]
            )
            for what in ("flops", "moved")
        }
        (cells, _), (usual, units) = next(iter(points.items()))
        term = TERMS[role][0]
        held = round(usual.held / units / cells ** term[1])
        table[role] = row | {"held": {term: held}, "weights": usual.weights}
    return table


def main() -> None:
    """Print the table."""
    print_table({preset.name: polynomials(preset) for preset in PRESETS.values()})


if __name__ == "__main__":
    main()
