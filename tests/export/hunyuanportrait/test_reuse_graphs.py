"""The denoiser in two parts: with fresh deep features it is the denoiser."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from export.graphs.flops import graph_flops
from export.hunyuanportrait.graphs import bundle_graphs
from export.hunyuanportrait.presets import HUNYUANPORTRAIT
from export.hunyuanportrait.reuse_graphs import reuse_graphs
from export.plans.engine_parity import graph_of
from tests.export.hunyuanportrait.case_networks import CaseNetworks
from tests.export.tiny import TINY, make_known


def graphs(**changes):
    return reuse_graphs(TINY.architecture, **{"size": 16, "frames": 3, **changes})


def parts():
    networks = CaseNetworks(TINY.architecture, "")
    return [graphs()[name].make(networks).double() for name in ("denoiser_inner", "denoiser_outer")]


@pytest.mark.parametrize("rows", [1, 3])
def test_with_fresh_features_the_parts_are_the_denoiser(rows):
    whole = bundle_graphs(TINY.architecture, size=16, frames=3, motion_px=32)["denoiser"]
    inputs = {name: t.double() for name, t in whole.example({"rows": rows}).items()}
    inner, outer = parts()
    with torch.no_grad():
        expected = whole.make(CaseNetworks(TINY.architecture, "")).double()(**inputs)
        weights = inputs.pop("row_weights")
        made = outer(**inputs, row_weights=weights, deep_features=inner(**inputs))
    # The same operations in the same order, in float64.
    torch.testing.assert_close(made, expected, rtol=1e-12, atol=1e-12)


def test_the_outer_part_sees_its_own_step_and_the_deep_features_frame_by_frame():
    """It must not be a copy of what it was given: new latents change it, and each frame's features are its own."""
    _, outer = parts()
    inputs = {name: t.double() for name, t in graphs()["denoiser_outer"].example({"rows": 1, "frames": 3}).items()}
    other_latents = {**inputs, "latents": inputs["latents"] + 1}
    swapped = {**inputs, "deep_features": inputs["deep_features"].flip(0)}
    with torch.no_grad():
        before, moved, mixed = outer(**inputs), outer(**other_latents), outer(**swapped)
    assert (before - moved).abs().max() > 1e-3
    assert (before - mixed).abs().amax((1, 2, 3)).min() < (before - mixed).abs().amax((1, 2, 3)).max()


def test_at_full_size_the_outer_part_is_a_fourteenth_of_the_work():
    architecture = HUNYUANPORTRAIT.architecture
    whole = bundle_graphs(architecture, size=512, frames=25, motion_px=256)["denoiser"]
    made = reuse_graphs(architecture, size=512, frames=25)
    flops = {name: graph_flops(graph, architecture.build)["call"] for name, graph in made.items()}
    once = graph_flops(whole, architecture.build)["call"] / 25
    # The parts are the whole, but for the first convolution, which both do: 0.04 %.
    assert sum(flops.values()) == pytest.approx(once, rel=1e-3)
    assert flops["denoiser_outer"] < 0.08 * once


@pytest.mark.parametrize("half", [False, True])
def test_features_live_in_the_precision_of_the_tokens(half):
    made = graphs(half=half)
    expected = "float16" if half else "float32"
    assert made["denoiser_inner"].spec.output("deep_features") == made["denoiser_outer"].spec.input("deep_features")
    assert made["denoiser_inner"].spec.output("deep_features").dtype == expected
    assert all(graph.half == half for graph in made.values())


def test_an_engine_of_a_part_finds_its_graph(monkeypatch):
    make_known(monkeypatch, TINY)
    manifest = SimpleNamespace(preset="tiny", size=(16, 16), frames=3, precision="fp16")
    for name, graph in graphs(half=True).items():
        assert graph_of(manifest, SimpleNamespace(name=name, spec=graph.spec)).spec == graph.spec
