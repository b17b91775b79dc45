"""Counted arithmetic against the published counts: what the graphs do, and what the released program does."""

from __future__ import annotations

import pytest

from export.graphs.flops import graph_flops
from export.hunyuanportrait.graphs import bundle_graphs
from export.hunyuanportrait.presets import HUNYUANPORTRAIT
from export.hunyuanportrait.released import released_row_flops

# GFLOP at full size, from SPEC 14 and its table of parts: counted by torch on the released modules.
RELEASED_ROW = {(512, 25): 38173.772, (512, 16): 26604.689, (256, 25): 9098}  # SPEC rounds the last one
ROW_WITHOUT_CONTEXTS = 31954.29  # no K, no V of any cross-attention to image or motion
CONTEXT_BY_FRAME = 81.79  # K and V of all layers of one kind, of one context, for each of 25 frames
TIME_EMBEDDING = 7.55  # for each of 25 frames
DECODED_FRAME, ENCODER, APPEARANCE, DEAD_BRANCHES = 3042.814, 1116.658, 168.642, 0.826
MOTION_FRAME = 10.679 + 4.737 + 143.696 / 25


@pytest.fixture(scope="module")
def gflops():
    architecture = HUNYUANPORTRAIT.architecture
    graphs = bundle_graphs(architecture, size=512, frames=25, motion_px=256)
    return {name: graph_flops(graph, architecture.build)["call"] / 1e9 for name, graph in graphs.items()}


@pytest.mark.parametrize(("size", "frames"), RELEASED_ROW)
def test_a_released_row_is_the_published_arithmetic(size, frames):
    counted = released_row_flops(HUNYUANPORTRAIT.architecture, size=size, frames=frames) / 1e9
    assert counted == pytest.approx(RELEASED_ROW[size, frames], rel=5e-5)


def test_a_denoiser_row_projects_no_context_twice(gflops):
    """The motion of each frame for spatial attention; its mean, and the image for both kinds, once a row."""
    expected = ROW_WITHOUT_CONTEXTS + CONTEXT_BY_FRAME + 3 * CONTEXT_BY_FRAME / 25
    # Time embeddings differ too: they came in, and their projections run once for all frames.
    assert gflops["denoiser"] == pytest.approx(expected, abs=TIME_EMBEDDING)


def test_the_other_graphs_are_the_published_arithmetic(gflops):
    # Nothing but the last printed digit lies between these
    assert gflops["vae_decoder"] == pytest.approx(DECODED_FRAME, abs=2e-3)
    assert gflops["vae_encoder"] == pytest.approx(ENCODER, abs=2e-3)
    # One frame alone: the refiner's intensity embeddings, one pair a group of 25, weigh more
    assert gflops["motion"] == pytest.approx(MOTION_FRAME, rel=5e-3)
    # The fold also takes the adapters' chain from id to values, and query and key projections
    saved = APPEARANCE - gflops["appearance"]
    assert DEAD_BRANCHES < saved < 2 * DEAD_BRANCHES
