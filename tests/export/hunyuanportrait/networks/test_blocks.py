"""The rewritten blocks against torch's own operators, each said as plainly as the release says it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from export.blocks import Downsample, Upsample, attend, sinusoids
from export.hunyuanportrait.networks.blocks import SpatioTemporalResBlock, TemporalConv
from export.weights.random import load_random

ROUNDING = 1e-5  # float32, two orders of summation over at most some hundred terms of size one


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("rows", "frames"), [(1, 1), (1, 2), (3, 7)])
@torch.no_grad()
def test_a_convolution_along_frames_is_torchs_conv3d(rows, frames):
    conv = load_random(TemporalConv(6, 5))
    plain = torch.nn.Conv3d(6, 5, (3, 1, 1), padding=(1, 0, 0))
    plain.load_state_dict(conv.state_dict(), strict=True)
    x = random(rows, 6, frames, 4, 3)
    made = conv(x.flatten(3)).reshape(rows, 5, frames, 4, 3)
    torch.testing.assert_close(made, plain(x), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("switched", [False, True])
@pytest.mark.parametrize("by_row", [False, True])
@torch.no_grad()
def test_a_residual_block_blends_as_diffusers_does(switched, by_row):
    """alpha * spatial + (1 - alpha) * temporal, both computed whole; the VAE's alpha is the other one."""
    from diffusers.models.resnet import SpatioTemporalResBlock as Released

    rows, frames, embedding = 2, 5, 16
    block = load_random(SpatioTemporalResBlock(32, 64, embedding=embedding, eps=1e-6, switched=switched))
    released = Released(
        in_channels=32,
        out_channels=64,
        temb_channels=embedding,
        eps=1e-6,
        merge_strategy="learned",
        switch_spatial_to_temporal_mix=switched,
    )
    released.load_state_dict(block.state_dict(), strict=True)
    x, emb = random(rows * frames, 32, 6, 4), random(rows if by_row else 1, embedding, seed=1)
    for_every_frame = emb.expand(rows, -1)[:, None].expand(-1, frames, -1).flatten(0, 1)
    spatial_only = torch.zeros(rows, frames)
    expected = released.eval()(x, for_every_frame, spatial_only)
    # The block takes an embedding that went through SiLU already: it is the same for all blocks.
    torch.testing.assert_close(block(x, frames, F.silu(emb)), expected, rtol=0, atol=ROUNDING)


@torch.no_grad()
def test_the_blend_needs_only_the_temporal_residual():
    """a s + (1 - a) (s + r) = s + (1 - a) r."""
    block = load_random(SpatioTemporalResBlock(32, 32, eps=1e-6))
    x, frames = random(4, 32, 3, 3), 4
    spatial = block.spatial_res_block(x)
    residual = block.temporal_res_block(spatial.reshape(1, 4, 32, 9).transpose(1, 2)).transpose(1, 2).reshape(x.shape)
    alpha = block.time_mixer.weight()
    blended = alpha * spatial + (1 - alpha) * (spatial + residual)
    torch.testing.assert_close(block(x, frames), blended, rtol=0, atol=ROUNDING)


@torch.no_grad()
def test_attention_is_softmax_over_keys_head_by_head():
    q, k, v, heads = random(2, 5, 12), random(2, 7, 12, seed=1), random(2, 7, 12, seed=2), 3
    parts = []
    for h in range(heads):
        own = slice(4 * h, 4 * h + 4)
        weights = (q[..., own] @ k[..., own].transpose(1, 2) / 2).softmax(dim=-1)  # sqrt(4) = 2
        parts.append(weights @ v[..., own])
    torch.testing.assert_close(attend(q, k, v, heads), torch.cat(parts, dim=-1), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("width", [8, 320])
def test_sinusoids_are_the_released_ones(width):
    from diffusers.models.embeddings import get_timestep_embedding

    positions = torch.tensor([0.0, 1.0, 24.0, -1.55, 1.6378])
    released = get_timestep_embedding(positions, width, flip_sin_to_cos=True, downscale_freq_shift=0)
    # Angles up to 24 rad in float32, whose spacing there is 2e-6
    torch.testing.assert_close(sinusoids(positions, width), released, rtol=0, atol=1e-5)


@torch.no_grad()
def test_samplers_halve_and_double_the_sides():
    x = random(2, 4, 6, 10)
    assert load_random(Downsample(4))(x).shape == (2, 4, 3, 5)
    assert load_random(Downsample(4, asymmetric=True))(x).shape == (2, 4, 3, 5)
    assert load_random(Upsample(4))(x).shape == (2, 4, 12, 20)


@torch.no_grad()
def test_the_encoders_downsampling_pads_right_and_below_only():
    down, x = load_random(Downsample(4, asymmetric=True)), random(1, 4, 6, 6)
    moved = x.clone()
    moved[..., -1, :] += 1  # the last row is seen by the last output row alone
    changed = (down(moved) - down(x)).abs().amax(dim=(0, 1, 3))
    assert (changed > 0).tolist() == [False, False, True]
