"""Probabilities, how concentrated they are, and means, against what diffusers and pencil and paper say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch import nn

from export.attention_maps.sums import Mean, attention, cells, concentration, hooked


@pytest.fixture
def attend():
    torch.manual_seed(0)
    return Attention(query_dim=12, heads=3, dim_head=4, bias=False).requires_grad_(False)


def test_probabilities_are_those_that_diffusers_uses(attend):
    x, context = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    seen = attention(attend, x, context)
    assert seen.shape == (2, 3, 5, 7) and torch.allclose(seen.sum(-1), torch.ones(2, 3, 5))
    values = attend.to_v(context).unflatten(-1, (3, 4)).transpose(1, 2)
    made = attend.to_out[0]((seen @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(made, attend(x, context), atol=1e-5, rtol=1e-5)


def test_keys_may_be_projected_by_another_matrix(attend):
    x, context, other = torch.randn(1, 5, 12), torch.randn(1, 7, 6), nn.Linear(6, 12, bias=False)
    keys, queries = other(context)[0].detach().numpy(), attend.to_q(x)[0].numpy()
    scores = queries[:, 4:8] @ keys[:, 4:8].T / math.sqrt(4)  # of the second head
    by_hand = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    seen = attention(attend, x, context, other)[0, 1].detach().numpy()
    np.testing.assert_allclose(seen, by_hand, atol=1e-6)


def test_what_reads_all_alike_is_not_concentrated_and_what_reads_one_is_wholly():
    alike, one, half = torch.full((4,), 0.25), torch.tensor([0.0, 1, 0, 0]), torch.tensor([0.5, 0.5, 0, 0])
    found = concentration(torch.stack([alike, one, half]))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0, 0.5]))
    assert concentration(torch.ones(2, 1)).tolist() == [1, 1]


def test_a_mean_is_of_all_that_came():
    mean = Mean()
    for value in (1.0, 2.0, 6.0):
        mean.add(torch.full((2,), value))
    assert mean.count == 3 and mean.value.tolist() == [3, 3]


def test_cells_are_a_square_row_by_row():
    assert cells(torch.arange(4.0)).tolist() == [[0, 1], [2, 3]]
    assert cells(torch.zeros(9, 5)).shape == (3, 3, 5)


def test_a_hook_is_gone_when_the_block_ends_even_by_an_error():
    module, given = nn.Identity(), []

    def broken() -> None:
        with hooked([(module, lambda _, what: given.append(what[0]))]):
            module(1)
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    module(2)
    assert given == [1]
