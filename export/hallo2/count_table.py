"""The arithmetic and the memory of every graph as polynomials of its size, for `hp_trt/hallo2/counts.py`.

`python -m export.hallo2.count_table` prints that module's table: a plan is made where there is no PyTorch. What is
counted is the presets' own number of motion frames. `tests/hp_trt/hallo2/test_counts.py` counts at other sizes.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from export.graphs.counting import CallCounts, count_graph, fit, print_table
from export.graphs.graph import Graph
from export.hallo2.graphs import bundle_graphs
from export.hallo2.presets import PRESETS, Preset
from hp_trt.hallo2.counts import TERMS
from hp_trt.measure.planning.counts import CELL_PX
from runtime.hallo2.presets import FPS, PIECE_S, SAMPLES_PER_FRAME

SPEECH = "speech_encoder"  # the one graph that looks over all units of a call
# Besides the preset's own: so many that polynomials are held against points they were not made from.
_SIZES = ((256, 16), (256, 9), (384, 4), (192, 12), (128, 6), (320, 1))
_PIECES = (FPS * PIECE_S, 700, 300, 25)  # frames of a piece of sound


def counted_graphs(preset: Preset, *, size: int, frames: int) -> dict[str, Graph]:
    """The graphs of the table, for clips of `frames`. What makes a step of the latents is a product and no network."""
    graphs = bundle_graphs(preset.architecture, size=size, frames=frames, motion_frames=preset.motion_frames)
    return {name: graph for name, graph in graphs.items() if name in TERMS}


def count_unit(graph: Graph, preset: Preset, *, piece: int = FPS * PIECE_S) -> CallCounts:
    """One unit of a call; of the speech encoder a call of `piece` frames, all of it."""
    sizes = {"frames": piece, "samples": piece * SAMPLES_PER_FRAME} if graph.name == SPEECH else {}
    return count_graph(graph, preset.architecture.build, sizes)


def polynomials(preset: Preset) -> dict[str, dict[str, Any]]:
    """By graph: FLOPs, moved and held elements as {(power of frames, power of cells): coefficient}, and the weights."""
    usual = (preset.size, preset.frames)
    made = {(size, frames): counted_graphs(preset, size=size, frames=frames) for size, frames in (usual, *_SIZES)}
    table = {}
    for name, terms in TERMS.items():
        if name == SPEECH:  # of a call as many units as frames
            points = {(1, piece): count_unit(made[usual][name], preset, piece=piece) for piece in _PIECES}
            own, units = (1, _PIECES[0]), {at: at[1] for at in points}
        else:
            sizes = made if len(terms) > 1 else (usual,)
            points = {(_cells(size), frames): count_unit(made[size, frames][name], preset) for size, frames in sizes}
            own, units = (_cells(preset.size), preset.frames), dict.fromkeys(points, 1)
        row: dict[str, Any] = {
            what: fit(terms, [(*at, Fraction(getattr(counted, what), units[at])) for at, counted in points.items()])
            for what in ("flops", "moved")
        }
        # What is held at most is held at one moment or another, so it is no polynomial; nearly linear it is.
        (cells, frames), (i, j) = own, terms[0]
        held = points[own].held / units[own] / (frames**i * cells**j)
        table[name] = row | {"held": {terms[0]: round(held)}, "weights": points[own].weights}
    return table


def _cells(size: int) -> int:
    return (size // CELL_PX) ** 2


def main() -> None:
    """Print the table."""
    print_table({preset.name: polynomials(preset) for preset in PRESETS.values()})


if __name__ == "__main__":
    main()
