"""The tiny decoder: causal, two frames deep, so that chunks with their context have no seams."""

from __future__ import annotations

import pytest
import torch

from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.networks.tiny_decoder import CONTEXT, TinyDecoder, TinyDecoderConfig
from export.hunyuanportrait.presets import HUNYUANPORTRAIT, POCKET
from export.weights.random import load_random
from tests.export.tiny import TINY

TOLERANCE = 1e-5  # the same convolutions of other batch sizes, rms about 1


@pytest.fixture(scope="module")
def decoder() -> TinyDecoder:
    return load_random(TinyDecoder(TinyDecoderConfig(channels=(8, 16), blocks=1)))


def latents(frames: int) -> torch.Tensor:
    return torch.randn(frames, 4, 4, 6, generator=torch.Generator().manual_seed(0))


def test_a_chunk_that_begins_with_its_context_gives_the_frames_of_the_whole_clip(decoder):
    clip = latents(9)
    whole = decoder(clip)
    for first in (CONTEXT, 5, 8):
        chunk = decoder(clip[first - CONTEXT :])[CONTEXT:]
        torch.testing.assert_close(chunk, whole[first:], rtol=0, atol=TOLERANCE)
    less = decoder(clip[4:])[1:]  # one frame of context is not enough
    assert (less[0] - whole[5]).abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize("changed", [0, 3, 6])
def test_a_frame_depends_on_its_own_latents_and_those_of_the_two_before(decoder, changed):
    clip = latents(7)
    other = clip.clone()
    other[changed] += 1
    moved = (decoder(other) - decoder(clip)).abs().amax(dim=(1, 2, 3)) > TOLERANCE
    assert moved.tolist() == [changed <= t <= changed + CONTEXT for t in range(7)]


def test_frames_are_as_large_as_the_vae_makes_them(decoder):
    assert decoder(latents(1)).shape == (1, 3, 16, 24)
    for preset in (HUNYUANPORTRAIT, POCKET, TINY):
        assert preset.architecture.tiny_decoder.upscale == preset.architecture.vae.downscale


def test_it_is_small(decoder):
    def parameters(architecture: Architecture, network: str) -> int:
        return sum(p.numel() for p in architecture.build(network).parameters())

    assert parameters(POCKET.architecture, "tiny_decoder") < 0.4e6
    assert parameters(HUNYUANPORTRAIT.architecture, "tiny_decoder") < 1.5e6
