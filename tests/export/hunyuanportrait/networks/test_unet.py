"""Our UNet against the released one on configurations of their own: every rewriting of the forward pass is exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from export.hunyuanportrait.networks.unet import (
    Context,
    CrossAttention,
    SelfAttention,
    StepEmbedding,
    UNet,
    UNetConfig,
)
from export.hunyuanportrait.reference.unet import ReferenceUNet
from export.weights.random import load_random

# In float64, where other orders of summation are no matter: 3e-14 was seen, at an output rms of about 0.6. In float32
# they are up to 3e-5, which depends on the processor.
TOLERANCE = 1e-12

CONFIGS = {
    "two levels": UNetConfig(
        block_out_channels=(32, 64),
        num_attention_heads=(1, 2),
        layers_per_block=(1, 1),
        transformer_layers_per_block=(1, 1),
        cross_attention_dim=24,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        down_attention=(True, False),
        up_attention=(False, True),
    ),
    "three levels, uneven": UNetConfig(
        block_out_channels=(32, 32, 64),
        num_attention_heads=(2, 1, 4),
        layers_per_block=(1, 2, 1),
        transformer_layers_per_block=(2, 1, 1),
        cross_attention_dim=24,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        down_attention=(False, True, True),
        up_attention=(True, True, False),
    ),
}


def make(config: UNetConfig, motion_scale: float = 1.0) -> tuple[UNet, ReferenceUNet]:
    ours = load_random(UNet(config, motion_scale=motion_scale)).double()
    released = ReferenceUNet.build(**config.to_diffusers(), motion_scale=motion_scale)
    released.load_state_dict(ours.state_dict(), strict=True)  # the keys are the published ones
    return ours, released.double().eval()


def inputs(config: UNetConfig, *, rows: int, frames: int, cells: tuple[int, int]) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(rows * frames)
    width, stem = config.cross_attention_dim, config.block_out_channels[0]
    shapes = {
        "sample": (rows, frames, config.in_channels, *cells),
        "image_tokens": (rows, frames, 3, width),
        "motion_tokens": (rows, frames, 4, width),
        "pose_features": (rows, frames, stem, *cells),
    }
    return {name: torch.randn(shape, generator=random, dtype=torch.float64) for name, shape in shapes.items()}


def run_ours(unet, given, timestep, ids, *, one_image: bool = False) -> torch.Tensor:
    rows, frames = given["sample"].shape[:2]
    image = given["image_tokens"][:, 0] if one_image else given["image_tokens"]
    emb = StepEmbedding(unet)(timestep, ids)
    v = unet(given["sample"].flatten(0, 1), emb, Context(image, given["motion_tokens"]), frames, given["pose_features"])
    return v.unflatten(0, (rows, frames))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("rows", "frames"), [(1, 1), (3, 5)])
@torch.no_grad()
def test_any_configuration_equals_the_released_network(name, rows, frames):
    """The release repeats the temporal contexts for every pixel and projects the copies; ours projects one a row."""
    config = CONFIGS[name]
    ours, released = make(config, motion_scale=0.7)
    given = inputs(config, rows=rows, frames=frames, cells=(4, 8))
    ids = torch.tensor([[12.5, 3.0, 0.1]]).repeat(rows, 1) * torch.arange(1, rows + 1)[:, None]
    timestep = torch.tensor([1.1])
    expected = released.velocity(timestep=timestep[0], added_time_ids=ids, **given)
    torch.testing.assert_close(run_ours(ours, given, timestep, ids), expected, rtol=0, atol=TOLERANCE)


@torch.no_grad()
def test_image_tokens_given_once_a_row_equal_copies_for_every_frame():
    config = CONFIGS["two levels"]
    ours, released = make(config)
    given = inputs(config, rows=2, frames=4, cells=(4, 4))
    given["image_tokens"] = given["image_tokens"][:, :1].repeat(1, 4, 1, 1)
    ids, timestep = torch.tensor([12.5, 0.0, 0.0]), torch.tensor([-0.3])
    expected = released.velocity(timestep=timestep[0], added_time_ids=ids.expand(2, -1), **given)
    once = run_ours(ours, given, timestep, ids, one_image=True)
    torch.testing.assert_close(once, expected, rtol=0, atol=TOLERANCE)


@torch.no_grad()
def test_cross_attention_to_nothing_is_exactly_the_output_bias():
    """K and V have no bias, so zero contexts give zero: the unconditional row."""
    attention = load_random(CrossAttention(64, 2, 24))
    x = torch.randn(6, 5, 64, generator=torch.Generator().manual_seed(0))
    nothing = attention(x, torch.zeros(2, 3, 24), torch.zeros(2, 3, 4, 24), frames=3)
    assert torch.equal(nothing, attention.to_out[0].bias.expand(6, 5, -1))


@torch.no_grad()
def test_motion_is_weighed_by_its_scale():
    attention = load_random(CrossAttention(64, 2, 24, motion_scale=0.5))
    random = torch.Generator().manual_seed(0)
    x, image = torch.randn(2, 5, 64, generator=random), torch.zeros(2, 3, 24)
    motion = torch.randn(2, 4, 24, generator=random)
    bias = attention.to_out[0].bias
    half = attention(x, image, motion, frames=1) - bias
    attention.motion_scale = 1.0
    # Half of a sum of 64 float32 products
    torch.testing.assert_close(2 * half, attention(x, image, motion, frames=1) - bias, rtol=0, atol=1e-5)


@torch.no_grad()
def test_attention_over_frames_is_attention_of_each_pixel_by_itself():
    attention, frames = load_random(SelfAttention(64, 2)), 5
    x = torch.randn(2 * frames, 6, 64, generator=torch.Generator().manual_seed(0))
    by_pixel = x.reshape(2, frames, 6, 64).transpose(1, 2).reshape(12, frames, 64)
    expected = attention(by_pixel).reshape(2, 6, frames, 64).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(attention.over_frames(x, frames), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_embeddings_of_a_schedule_come_in_one_call():
    ours, _ = make(CONFIGS["two levels"])
    embed, timesteps, ids = StepEmbedding(ours), torch.tensor([1.6, 0.2, -1.5]), torch.tensor([12.5, 0.0, 0.0])
    together = embed(timesteps, ids)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], embed(timesteps[i : i + 1], ids), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_survives_diffusers_form(name):
    assert UNetConfig.from_diffusers(CONFIGS[name].to_diffusers()) == CONFIGS[name]


def test_one_number_for_all_levels_means_each_of_them():
    config = {**UNetConfig().to_diffusers(), "layers_per_block": 2, "transformer_layers_per_block": 1}
    assert UNetConfig.from_diffusers(config) == UNetConfig()
    assert replace(UNetConfig(), layers_per_block=(1, 2, 2, 2)) != UNetConfig()
