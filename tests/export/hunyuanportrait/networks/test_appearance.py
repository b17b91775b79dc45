"""The folded appearance network equals the published one; what the fold drops has no effect."""

from __future__ import annotations

import pytest
import torch

from export.hunyuanportrait.networks.appearance import (
    Appearance,
    FoldedAppearance,
    ImageProjection,
    compose_linears,
    resize_positions,
)
from export.weights.random import load_random

CONFIG = {
    "image_hw": [56, 70],
    "img_size": 126,
    "patch_size": 14,
    "embed_dim": 48,
    "depth": 4,
    "num_heads": 3,
    "mlp_ratio": 4,
    "init_values": 1.0,
    "register_tokens": 2,
    "adapter_layers": [1, 3],
    "adapter_dim": 32,
    "id_dim": 24,
    "adapter_attention_dim": 16,
    "adapter_attention_heads": 4,
    "adapter_scale": 0.2,
}
TOKENS = 1 + 2 + 4 * 5


@pytest.fixture(scope="module")
def networks():
    projection = ImageProjection(num_tokens=TOKENS, num_queries=6)
    return load_random(Appearance(**CONFIG)), load_random(projection)


@pytest.fixture(scope="module")
def inputs():
    random = torch.Generator().manual_seed(1)
    identity = torch.nn.functional.normalize(torch.randn(2, 24, generator=random), dim=1)
    return torch.randn(2, 3, 56, 70, generator=random), identity


@torch.no_grad()
def test_the_folded_network_equals_the_published_one(networks, inputs):
    appearance, projection = networks
    folded = FoldedAppearance(*networks)
    tokens = appearance(*inputs)
    # Tokens are of size one after the final norm; the fold only changes the order of sums, in float64 at build time.
    torch.testing.assert_close(folded.tokens(*inputs), tokens, rtol=0, atol=2e-5)
    torch.testing.assert_close(folded(*inputs), projection(tokens), rtol=0, atol=2e-5)


@torch.no_grad()
def test_the_folded_network_equals_the_published_one_without_an_identity(networks, inputs):
    nobody = torch.zeros(2, 24)  # upstream's embedding when ArcFace is off
    folded = FoldedAppearance(*networks)
    torch.testing.assert_close(folded.tokens(inputs[0], nobody), networks[0](inputs[0], nobody), rtol=0, atol=2e-5)


@torch.no_grad()
def test_the_convolutions_of_an_adapter_have_no_effect(networks, inputs):
    adapter = load_random(Appearance(**CONFIG)).blocks[1].adapter
    tokens = torch.randn(2, TOKENS, 48, generator=torch.Generator().manual_seed(2))
    before = adapter(tokens, inputs[1])
    for name, parameter in adapter.named_parameters():
        if name.startswith("branch") or ".image_proj." in name:
            parameter.mul_(-3).add_(1)
    assert torch.equal(adapter(tokens, inputs[1]), before)


def test_the_folded_network_leaves_its_source_alone(networks):
    before = {key: value.clone() for key, value in networks[0].state_dict().items()}
    FoldedAppearance(*networks).half()
    after = networks[0].state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


@torch.no_grad()
def test_half_precision_takes_fp32_inputs_and_returns_half(networks, inputs):
    half = FoldedAppearance(*networks).half()
    tokens = half(*inputs)
    assert tokens.dtype == torch.float16
    # fp16 has 11 bits; four blocks of a network of size-one activations were seen to lose about 5e-3.
    torch.testing.assert_close(tokens.float(), FoldedAppearance(*networks)(*inputs), rtol=0, atol=3e-2)


def test_nothing_dead_is_left_in_the_folded_network(networks):
    keys = FoldedAppearance(*networks).state_dict().keys()
    assert not [key for key in keys if "branch" in key or "multihead" in key or "mask_token" in key]


def test_a_position_table_of_the_right_size_is_not_resampled():
    table = torch.randn(1, 1 + 9 * 9, 8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(resize_positions(table, (9, 9)), table)


def test_linears_multiply_out():
    chain = [load_random(torch.nn.Linear(a, b)) for a, b in [(5, 7), (7, 3), (3, 9)]]
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(4))
    # float32 rounding of three small products
    torch.testing.assert_close(compose_linears(*chain)(x), torch.nn.Sequential(*chain)(x), rtol=0, atol=1e-5)


def test_an_image_that_does_not_divide_into_patches_says_what_is_needed():
    with pytest.raises(ValueError, match="is 50x56, its sides must be multiples of 14"):
        Appearance(**{**CONFIG, "image_hw": [50, 56]})
