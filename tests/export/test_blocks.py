"""The blocks of several models against torch's own operators, each said as plainly as the release says it; and how a
network is made and filled."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from export.blocks import Downsample, HalvingConvolutions, Upsample, attend, made_on, sinusoids, with_parameters
from export.weights.random import load_random

ROUNDING = 1e-5  # float32, two orders of summation over at most some hundred terms of size one


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


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


@torch.no_grad()
def test_halving_convolutions_take_pictures_one_by_one_whatever_stands_before_their_channels():
    network = load_random(HalvingConvolutions(out_channels=5, block_out_channels=(4, 6, 8)))
    pictures = random(2, 3, 3, 16, 24)
    features = network(pictures)
    assert features.shape == (2, 3, 5, 4, 6)  # every width but the first halves the sides
    torch.testing.assert_close(network(pictures[1, 2]), features[1, 2], rtol=0, atol=ROUNDING)


def test_a_network_is_made_where_it_is_asked_for_and_without_content_draws_no_numbers():
    empty, whole = made_on("meta", lambda: nn.Linear(3, 2)), made_on("cpu", lambda: nn.Linear(3, 2))
    assert empty.weight.is_meta and not empty.training
    assert not whole.weight.is_meta and whole.weight.std() > 0


def test_parameters_in_half_precision_are_widened_and_counters_stay_whole():
    state = {k: v.half() if v.is_floating_point() else v for k, v in nn.BatchNorm1d(4).state_dict().items()}
    filled = with_parameters(made_on("meta", lambda: nn.BatchNorm1d(4)), state)
    assert filled.weight.dtype == torch.float32 and filled.num_batches_tracked.dtype == torch.int64
    assert not any(parameter.requires_grad for parameter in filled.parameters())
    with pytest.raises(RuntimeError, match="Missing key"):
        with_parameters(made_on("meta", lambda: nn.Linear(3, 2)), {})
