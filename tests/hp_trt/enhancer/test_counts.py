"""The table against the real graphs, counted anew at other sizes."""

from __future__ import annotations

import pytest

from hp_trt.enhancer.counts import COUNTS, TERMS
from hp_trt.enhancer.networks import GRAPHS
from runtime.enhancer.presets import PRESETS


def test_every_graph_of_every_preset_is_counted():
    from export.enhancer.presets import PRESETS as REAL

    assert set(TERMS) == set(GRAPHS)
    assert set(COUNTS) == set(PRESETS) == set(REAL)
    for name, counts in COUNTS.items():
        assert set(counts) == set(REAL[name].networks)


@pytest.mark.parametrize(
    ("role", "sizes", "cells", "frames"),
    [
        ("upscaler", {"height": 96, "width": 160}, 240, 1),
        ("restorer", {"frames": 3}, 1, 3),
        ("parser", {"frames": 2}, 1, 2),
        ("detector", {"height": 96, "width": 160}, 240, 1),
    ],
)
def test_the_table_is_what_the_real_graphs_count(role, sizes, cells, frames):
    from export.enhancer.count_table import count_call, counted_graphs
    from export.enhancer.presets import ENHANCER_TINY

    counted = count_call(counted_graphs(ENHANCER_TINY)[role], ENHANCER_TINY, sizes)
    table = COUNTS["enhancer_tiny"][role]
    told = [frames * table.at(what, frames, cells) for what in ("flops", "moved")]
    assert [counted.flops, counted.moved] == pytest.approx(told, rel=1e-12), (
        "the networks have changed: put what `python -m export.enhancer.count_table` prints into "
        "hp_trt/enhancer/counts.py"
    )
    assert counted.weights == table.weights
    assert counted.held == pytest.approx(frames * table.at("held", frames, cells), rel=0.05)


def test_the_published_upscaler_is_its_paper_s_arithmetic():
    """A residual block has five convolutions of 3 x 3; at half the side 69 of them, with growth 32 and 64 features."""
    dense = sum(9 * (64 + 32 * k) * (64 if k == 4 else 32) for k in range(5))
    trunk = 69 * dense + 9 * 12 * 64 + 9 * 64 * 64  # of each pixel of the halved picture
    enlarged = 9 * 64 * 64 * (4 + 16 + 16) + 9 * 64 * 3 * 16  # once at twice its side, twice at four times
    cells = 16 * 2 * (trunk + enlarged)  # a cell of 8 x 8 pixels has 16 of them
    assert COUNTS["enhancer"]["upscaler"].at("flops", 1, 1) == pytest.approx(cells, rel=0.01)
