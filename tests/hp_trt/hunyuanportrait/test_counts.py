"""The table against the published numbers, and against the real graphs counted anew."""

from __future__ import annotations

import ast
import inspect

import pytest

from hp_trt.hunyuanportrait import counts
from hp_trt.hunyuanportrait.counts import COUNTS, TERMS, TOKENS
from hp_trt.measure.planning.counts import CELL_PX
from hp_trt.measure.planning.planned_model import model_of_preset
from runtime.hunyuanportrait.presets import CONTEXT, PRESETS

# SPEC 14 and flops.json, GFLOP at full size: counted by torch on the released modules.
ROW_WITHOUT_CONTEXTS = {(512, 25): 31954.29, (512, 16): 20444.1, (256, 25): 7420.04, (512, 1): 1277.07}
CONTEXT_BY_FRAME = 81.79 / 25  # K and V of all layers of one kind, of one context; it grows with frames alone
TIME_EMBEDDING = 7.55 / 25
DECODED_FRAME, ENCODER = 3042.814, 1116.658
PARAMS = {"denoiser": 1575741162, "vae_encoder": 34163664, "vae_decoder": 63579183, "appearance": 313680992}


@pytest.mark.parametrize(("size", "frames"), ROW_WITHOUT_CONTEXTS)
def test_a_full_row_is_the_published_arithmetic_at_every_size_that_is_published(size, frames):
    model = model_of_preset("hunyuanportrait", size=size)
    counted = model.cost("denoiser", frames).flops / 1e9
    # Added: the motion of each frame for spatial attention; once a row its mean, and the image for both kinds.
    expected = ROW_WITHOUT_CONTEXTS[size, frames] + (frames + 3) * CONTEXT_BY_FRAME
    assert counted == pytest.approx(expected, abs=frames * TIME_EMBEDDING)


def test_the_autoencoder_is_the_published_arithmetic():
    model = model_of_preset("hunyuanportrait")
    assert model.cost("vae_decoder").flops / 1e9 == pytest.approx(DECODED_FRAME, abs=1e-3)
    assert model.cost("vae_encoder").flops / 1e9 == pytest.approx(ENCODER, abs=1e-3)


@pytest.mark.parametrize("graph", PARAMS)
def test_weights_are_those_of_the_published_networks(graph):
    # Norms' are not of products, folded branches are gone: a few in a thousand, 1.6 % of the appearance network's.
    assert COUNTS["hunyuanportrait"][graph].weights == pytest.approx(PARAMS[graph], rel=0.017)


@pytest.mark.parametrize(
    ("preset", "graph", "size", "frames"),
    [
        # At sizes that the table was not made from
        ("pocket", "denoiser", 64, 3),
        ("pocket", "live_denoiser", 64, 3),
        pytest.param("hunyuanportrait", "denoiser", 128, 2, marks=pytest.mark.full_size),
        ("pocket", "vae_decoder", 64, 1),
        ("pocket", "vae_encoder", 448, 1),
        ("hunyuanportrait", "tiny_decoder", 448, 1),
        pytest.param("hunyuanportrait", "motion", 512, 1, marks=pytest.mark.full_size),
    ],
)
def test_the_table_is_what_the_real_graphs_count(preset, graph, size, frames):
    from export.graphs.counting import count_graph
    from export.hunyuanportrait.count_table import counted_graphs
    from export.hunyuanportrait.presets import PRESETS as REAL

    real = REAL[preset]
    graphs = counted_graphs(real, size=size, frames=frames)
    counted, table = count_graph(graphs[graph], real.architecture.build, {}), COUNTS[preset][graph]
    cells = (size // 8) ** 2
    assert (counted.flops, counted.moved) == (table.at("flops", frames, cells), table.at("moved", frames, cells)), (
        "the networks have changed: put what `python -m export.hunyuanportrait.count_table` prints "
        "into hp_trt/hunyuanportrait/counts.py"
    )
    # `held` is the maximum over moments, so no polynomial: 3 % at the sizes that matter, more where all is small.
    assert counted.held == pytest.approx(table.at("held", frames, cells), rel=0.1)
    assert counted.weights == table.weights


def test_what_is_counted_is_what_export_makes():
    from export.hunyuanportrait.presets import PRESETS as REAL

    assert set(COUNTS) == set(TOKENS) == set(PRESETS) == set(REAL) - {"tiny"}  # of the tests that build bundles
    for name, graphs in COUNTS.items():
        architecture = REAL[name].architecture
        assert architecture.vae.downscale == CELL_PX
        assert TOKENS[name] == (
            architecture.motion_refiner["num_queries"],
            architecture.unet.cross_attention_dim,
        )
        assert set(TERMS) - set(graphs) == ({"live_denoiser"} if architecture.live_layers is None else set())


def test_decoders_look_back_as_far_as_their_promises_say():
    from export.hunyuanportrait.graphs import bundle_graphs
    from export.hunyuanportrait.live_graphs import live_graphs
    from export.hunyuanportrait.presets import POCKET

    made = bundle_graphs(POCKET.architecture, size=128, frames=25, motion_px=96)
    made |= live_graphs(POCKET.architecture, size=128, frames=25)
    found = {name: graph.spec.context for name, graph in made.items() if graph.spec.lane == "decode"}
    assert found == CONTEXT


def test_no_prediction_needs_pytorch():
    tree = ast.parse(inspect.getsource(counts))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name and name.split(".")[0] in ("torch", "export")}
