"""The rewritten blocks against torch's own operators, each said as plainly as the release says it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

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
