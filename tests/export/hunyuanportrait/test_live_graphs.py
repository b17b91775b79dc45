"""The graphs of live mode: the bundle's own formulas on windows of any length, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.graphs.flops import graph_flops
from export.graphs.parity import check, expectations, sizes_to_try
from export.graphs.stitch import Stitch
from export.hunyuanportrait.architecture import NETWORKS
from export.hunyuanportrait.graphs import HALF, bundle_graphs
from export.hunyuanportrait.live_graphs import LiveStitch, live_graphs
from export.hunyuanportrait.presets import HUNYUANPORTRAIT, POCKET
from export.plans.engine_parity import graph_of
from runtime.decode import to_uint8
from tests.export.hunyuanportrait.case_networks import CaseNetworks
from tests.export.tiny import TINY, make_known


def graphs(**changes):
    return live_graphs(TINY.architecture, **{"size": 16, "frames": 3, **changes})


@pytest.fixture(scope="module")
def networks() -> CaseNetworks:
    return CaseNetworks(TINY.architecture, "")


def test_the_full_size_promises_are_those_of_the_design():
    made = live_graphs(HUNYUANPORTRAIT.architecture, size=512, frames=25)
    clip = bundle_graphs(HUNYUANPORTRAIT.architecture, size=512, frames=25, motion_px=256)
    dims = {name: {t.name: t.dims for t in (*g.spec.inputs, *g.spec.outputs)} for name, g in made.items()}
    # A denoiser as the clip's, in which 25 is any number of frames.
    expected = {t.name: t.dims for t in (*clip["denoiser"].spec.inputs, *clip["denoiser"].spec.outputs)}
    expected = {name: tuple("frames" if d == 25 else d for d in shape) for name, shape in expected.items()}
    assert dims["live_denoiser"] == expected
    assert dims["live_stitch"] == {
        "latents": ("frames", 4, 64, 64),
        "velocities": ("frames", 4, 64, 64),
        "matrix": ("frames", "frames"),
        "a": (1,),
        "b": (1,),
        "next_latents": ("frames", 4, 64, 64),
    }
    full = clip["vae_decoder"].spec
    assert dims["tiny_decoder"] == {t.name: t.dims for t in (*full.inputs, *full.outputs)}
    ranges = made["live_denoiser"].spec.ranges
    assert {n: (r.min, r.opt, r.max) for n, r in ranges.items()} == {"rows": (1, 1, 3), "frames": (1, 8, 25)}
    assert made["tiny_decoder"].spec.ranges["chunk"].max == 25 + 2  # a whole window after its context


def test_every_length_of_a_window_is_compared_at_its_ends():
    tries = sizes_to_try(live_graphs(POCKET.architecture, size=128, frames=25)["live_denoiser"])
    assert [t["frames"] for t in tries if t["rows"] == 1] == [8, 1, 25]
    assert [t["rows"] for t in tries if t["frames"] == 8] == [1, 3]


@pytest.mark.parametrize("frames", [2, 3, 8, 256])
def test_a_bundle_of_any_window_has_live_graphs(frames):
    for graph in graphs(frames=frames).values():
        assert all(r.min == 1 and r.opt <= r.max for r in graph.spec.ranges.values())


@torch.no_grad()
def test_the_live_denoiser_of_the_bundles_own_unet_is_its_denoiser(networks):
    static = bundle_graphs(TINY.architecture, size=16, frames=3, motion_px=32)["denoiser"]
    live = graphs(networks=())["live_denoiser"]
    assert live.networks == static.networks
    inputs = static.example({"rows": 2})
    assert torch.equal(live.make(networks)(*inputs.values()), static.make(networks)(*inputs.values()))


def test_a_distilled_unet_takes_the_place_of_the_bundles_own():
    assert graphs()["live_denoiser"].networks == ("live_unet", "pose_guider")
    assert "tiny_decoder" not in graphs(networks=("live_unet",))
    assert TINY.architecture.facts("live_unet") == TINY.architecture.facts("unet")


def test_the_live_stitch_is_the_clips_of_one_window():
    random = torch.Generator().manual_seed(0)
    latents, velocities = torch.randn(2, 5, 4, 2, 2, generator=random)
    weights = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.5])
    a, b = torch.tensor([0.7]), torch.tensor([-0.3])
    made = LiveStitch()(latents, velocities, torch.diag(weights), a, b)
    torch.testing.assert_close(made, Stitch()(latents, velocities, torch.arange(5)[:, None], weights[:, None], a, b))


# The denoiser's export is the longest: half a minute.
@pytest.mark.parametrize("name", ["live_denoiser", "live_stitch", "tiny_decoder"])
def test_an_exported_live_graph_agrees_with_its_network_at_every_size(name, networks, backend, onnx_cache):
    graph = graphs(networks=("tiny_decoder",))[name]
    session = networks.session(graph, onnx_cache, backend)
    worst = check(graph, session, backend, expectations(graph, graph.make(networks)))
    assert worst["max"] < 5e-5  # float32, two orders of summation


def test_half_precision_is_where_the_clips_graphs_have_it():
    made = graphs(half=True)
    assert {name for name, graph in made.items() if graph.half} == {"live_denoiser", "tiny_decoder"} <= HALF
    halves = {t.name for g in made.values() for t in (*g.spec.inputs, *g.spec.outputs) if t.dtype == "float16"}
    assert halves == {"image_tokens", "motion_tokens"}


@torch.no_grad()
def test_a_tiny_decoder_in_half_precision_takes_and_gives_float32(networks):
    graph = graphs()["tiny_decoder"]
    (latents,) = graph.example({"chunk": 3}).values()
    expected, *_ = graph.make(networks)(latents)
    made, pixels, sums = graph.make(CaseNetworks(TINY.architecture, "")).half()(latents)
    assert (made.dtype, pixels.dtype, sums.dtype) == (torch.float32, torch.uint8, torch.float32)
    # 11 bits through nine layers
    assert (made - expected).square().mean().sqrt() < 0.01 * expected.square().mean().sqrt()
    np.testing.assert_array_equal(pixels.numpy(), [*map(to_uint8, made.numpy())])
    torch.testing.assert_close(sums, made.abs().sum((1, 2, 3)))


def test_the_arithmetic_is_told_by_the_frame_of_a_usual_window():
    """25 frames of one row, one call: what the clip's graph does is what so many frames of the live one do."""
    sizes = {"size": 128, "frames": 25}
    clip = bundle_graphs(POCKET.architecture, motion_px=96, **sizes)["denoiser"]
    live = live_graphs(POCKET.architecture, networks=("tiny_decoder",), **sizes)
    whole = graph_flops(clip, POCKET.architecture.build)["call"]
    frame = graph_flops(live["live_denoiser"], POCKET.architecture.build)["call"]
    # Once a row: the contexts of the window, which weigh more in a shorter one; attention along time less.
    assert 25 * frame == pytest.approx(whole, rel=0.05)
    distilled = live_graphs(POCKET.architecture, **sizes)["live_denoiser"]
    # A layer of two on the way down, two of three on the way up, and the middle.
    assert 0.5 * frame < graph_flops(distilled, POCKET.architecture.build)["call"] < 0.7 * frame
    tiny, full = live["tiny_decoder"], bundle_graphs(POCKET.architecture, motion_px=96, **sizes)["vae_decoder"]
    assert (
        graph_flops(tiny, POCKET.architecture.build)["call"] < graph_flops(full, POCKET.architecture.build)["call"] / 10
    )


def test_an_engine_of_a_live_graph_finds_its_graph(monkeypatch):
    from types import SimpleNamespace

    make_known(monkeypatch, TINY)
    manifest = SimpleNamespace(preset="tiny", size=(16, 16), frames=3, precision="fp16")
    for name, graph in graphs(half=True).items():
        record = SimpleNamespace(name=name, spec=graph.spec)
        assert graph_of(manifest, record).spec == graph.spec


def test_the_networks_of_a_bundle_without_live_mode_are_as_before():
    made = bundle_graphs(TINY.architecture, size=16, frames=3, motion_px=32)
    assert {n for g in made.values() for n in g.networks} == set(NETWORKS)
