"""The arithmetic and the memory of every graph as polynomials of its size, for `hp_trt/hunyuanportrait/counts.py`.

`python -m export.hunyuanportrait.count_table` prints that module's table: a plan is made where there is no PyTorch. A
graph is counted on tensors without content at a few sizes, and the polynomial through them is exact: convolutions are
linear in latent cells and frames, attention is quadratic in what it looks over.
`tests/hp_trt/hunyuanportrait/test_counts.py` counts at other sizes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from export.graphs.counting import CallCounts, count_graph, fit, print_table
from export.graphs.graph import Graph, Networks
from export.hunyuanportrait.graphs import bundle_graphs
from export.hunyuanportrait.live_graphs import live_graphs
from export.hunyuanportrait.presets import PRESETS, Preset
from hp_trt.hunyuanportrait.counts import TERMS
from hp_trt.measure.planning.counts import CELL_PX


def counted_graphs(preset: Preset, *, size: int, frames: int) -> dict[str, Graph]:
    """The graphs that the table may have, for windows of `frames`.

    Live mode's denoiser counts as one of a fixed window, and is here where it is not as large as the other one.
    """
    architecture = preset.architecture
    graphs = bundle_graphs(architecture, size=size, frames=frames, motion_px=preset.motion_px)
    graphs["tiny_decoder"] = live_graphs(architecture, size=size, frames=frames)["tiny_decoder"]
    if architecture.live_layers is not None:
        denoiser = graphs["denoiser"]

        def make(networks: Networks) -> nn.Module:
            return denoiser.make(lambda network: networks("live_unet" if network == "unet" else network))

        graphs["live_denoiser"] = replace(denoiser, make=make)
    return graphs


def polynomials(preset: Preset) -> dict[str, dict[str, Any]]:
    """By graph: FLOPs, moved and held elements as {(power of frames, power of cells): coefficient}, and the weights."""
    counted: dict[tuple[int, int], dict[str, CallCounts]] = {}
    for size, frames in ((preset.size, preset.frames), (256, 25), (256, 6), (384, 8), (192, 5), (320, 12)):
        graphs = counted_graphs(preset, size=size, frames=frames)
        usual = (size, frames) == (preset.size, preset.frames)
        wanted = [name for name, terms in TERMS.items() if name in graphs and (usual or len(terms) > 1)]
        counted[size // CELL_PX, frames] = {
            name: count_graph(graphs[name], preset.architecture.build, {}) for name in wanted
        }
    table: dict[str, dict[str, Any]] = {}
    for name, terms in TERMS.items():
        points = {at: of[name] for at, of in counted.items() if name in of}
        if not points:
            continue
        table[name] = {
            what: fit(terms, [(side**2, f, getattr(c, what)) for (side, f), c in points.items()])
            for what in ("flops", "moved")
        }
        side, frames = at = preset.size // CELL_PX, preset.frames
        # What is held at most is held at one moment or another, so it is no polynomial; nearly linear it is.
        i, j = terms[0]
        held = points[at].held / (frames**i * side ** (2 * j))
        table[name] |= {"held": {terms[0]: round(held)}, "weights": points[at].weights}
    return table


def main() -> None:
    """Print the table."""
    print_table({preset.name: polynomials(preset) for preset in PRESETS.values()})


if __name__ == "__main__":
    main()
