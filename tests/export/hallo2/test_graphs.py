"""What the graphs of a bundle promise, and the smallest and the shortest that they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.graphs.flops import graph_flops
from export.hallo2.graphs import ORDER, bundle_graphs
from export.hallo2.networks.speech_encoder import positions
from export.hallo2.presets import HALLO2, TALK_POCKET
from runtime.hallo2.presets import HALF
from tests.export.hallo2.case_networks import CaseNetworks
from tests.export.hallo2.tiny import TINY_TALK
from tests.export.onnx_cache import OnnxCache


def graphs(preset=TINY_TALK, **changes):
    usual = {"size": preset.size, "frames": preset.frames, "motion_frames": preset.motion_frames}
    return bundle_graphs(preset.architecture, **{**usual, **changes})


@pytest.fixture(scope="module")
def networks() -> CaseNetworks:
    return CaseNetworks(TINY_TALK.architecture, "")


def test_the_full_size_promises_are_those_of_the_design():
    specs = {name: graph.spec for name, graph in graphs(HALLO2).items()}
    assert tuple(specs) == ORDER
    dims = {name: {t.name: t.dims for t in (*spec.inputs, *spec.outputs)} for name, spec in specs.items()}
    assert dims["speech_encoder"] == {
        "wave": ("samples",),
        "left": ("frames",),
        "fraction": ("frames",),
        "features": ("frames", 12, 768),
    }
    assert dims["audio_tokens"] == {"windows": ("frames", 5, 12, 768), "tokens": ("frames", 32, 768)}
    assert dims["talk_identity"] == {
        "embedding": (1, 512),
        "face_region": (1, 3, 512, 512),
        "image_tokens": (2, 4, 768),
        "face_features": (320, 64, 64),
    }
    assert dims["talk_vae_encoder"] == {"pictures": ("pictures", 3, 512, 512), "mean": ("pictures", 4, 64, 64)}
    assert dims["stitch"]["velocities"] == ("total", 4, 64, 64)
    assert dims["talk_vae_decoder"] == {
        "latents": ("chunk", 4, 64, 64),
        "frames": ("chunk", 3, 512, 512),
        "pixels": ("chunk", 512, 512, 3),
        "sums": ("chunk",),
    }
    ranges = {name: {d: (r.min, r.opt, r.max) for d, r in spec.ranges.items()} for name, spec in specs.items()}
    assert ranges["speech_encoder"] == {"samples": (400, 960_000, 1_100_000), "frames": (1, 1500, 1600)}
    assert ranges["audio_tokens"] == {"frames": (1, 16, 64)}
    assert ranges["talk_vae_encoder"] == {"pictures": (1, 2, 3)}
    assert ranges["talk_vae_decoder"] == {"chunk": (1, 8, 8)}


def test_what_shares_weights_comes_behind_whose_they_are():
    made = graphs()
    for name, graph in made.items():
        assert not graph.shares or ORDER.index(graph.shares) < ORDER.index(name)


def test_half_precision_shows_in_tokens_and_banks_and_what_computes_in_it_is_what_is_named():
    for name, graph in graphs(half=True).items():
        halves = {t.name for t in (*graph.spec.inputs, *graph.spec.outputs) if t.dtype == "float16"}
        assert {n.partition("_")[0] for n in halves} <= {
            "tokens",
            "image",
            "audio",
            "bank",
            "key",
            "value",
            "motion",
        }, name
        assert graph.half == (name in HALF)


@pytest.mark.parametrize("size", [0, -64, 100, 96])
def test_a_size_that_does_not_halve_often_enough_says_which_does(size):
    with pytest.raises(ValueError, match="the UNets halve them 3 times: choose a multiple of 64"):
        graphs(TALK_POCKET, size=size)


def test_a_picture_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="size 128x64 is not square"):
        graphs(TALK_POCKET, size=(64, 128))
    assert graphs(TALK_POCKET, size=(64, 64)).keys() == set(ORDER)


@pytest.mark.parametrize("frames", [-1, 0, 31])
def test_a_clip_that_the_motion_modules_have_no_positions_for_is_refused(frames):
    with pytest.raises(ValueError, match=rf"a clip of {frames} frames cannot be built; .* choose 1 to 30 frames"):
        graphs(TALK_POCKET, frames=frames)
    for possible in (1, 30):
        assert graphs(TALK_POCKET, frames=possible)["talk_denoiser"].spec.input("latents").dims[0] == possible


@torch.no_grad()
def test_a_decoded_frame_does_not_depend_on_the_others(networks):
    """So that the last ones can be decoded first."""
    decoder = graphs()["talk_vae_decoder"].make(networks)
    latents = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    frames, alone = decoder(latents)[0], decoder(latents[1:2])[0]
    torch.testing.assert_close(frames[1:2], alone, rtol=0, atol=1e-5)  # another batch


@pytest.mark.parametrize("samples", [400, 719, 720, 16_000])
def test_the_shortest_wave_that_has_a_position_is_heard_too(networks, backend, cache, samples):
    graph = graphs()["speech_encoder"]
    wave = torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    last = positions(samples) - 1
    given = (wave, torch.tensor([0, last]), torch.tensor([0.0, 0.0]))
    with torch.no_grad():
        expected = graph.make(networks)(*given).numpy()
    session = networks.session(graph, OnnxCache(cache, "hallo2"), backend)
    named = zip(graph.spec.inputs, given, strict=True)
    made = session.run({t.name: backend.upload(value.numpy()) for t, value in named})["features"]
    np.testing.assert_allclose(backend.download(made), expected, rtol=0, atol=1e-4)


def test_the_full_size_arithmetic_is_the_published_one():
    """SPEC 11, whose last digit is 5 of a thousand of the smallest number here."""
    made, build = graphs(HALLO2), HALLO2.architecture.build
    flops = {name: graph_flops(made[name], build)["call"] for name in ("talk_vae_encoder", "talk_vae_decoder")}
    assert flops["talk_vae_encoder"] == pytest.approx(1.12e12, rel=5e-3)
    assert flops["talk_vae_decoder"] == pytest.approx(2.51e12, rel=5e-3)
    piece = 1500 * graph_flops(made["speech_encoder"], build)["call"]
    assert piece == pytest.approx(0.65e12, rel=0.02)
