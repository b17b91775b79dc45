"""What the restorer does over time and with fidelity, on one whose faces are small."""

from __future__ import annotations

import pytest
import torch

from export.enhancer.networks.config import RestorerConfig
from export.enhancer.networks.restorer import Restorer, adapted
from export.weights.random import load_random

SMALL = RestorerConfig(
    channels=(8, 8, 16),
    attention_side=8,
    latent=8,
    codebook=16,
    layers=2,
    width=16,
    heads=2,
    mlp=16,
    fusion=(16, 32),
    groups=4,
)


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    network = load_random(Restorer(SMALL))
    assert isinstance(network, Restorer)
    return network


def faces(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(frames, 3, SMALL.side, SMALL.side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def fidelity(w: float) -> torch.Tensor:
    return torch.tensor([w])


@torch.no_grad()
def test_without_fidelity_the_encoders_features_change_not_a_bit(restorer):
    seen = restorer.see(faces(2))
    codes = seen.logits.argmax(-1)
    other = restorer.see(faces(2, seed=1))
    strange = type(seen)(
        feature=seen.feature, levels=other.levels, embedding=seen.embedding, layers=seen.layers, logits=seen.logits
    )
    plain = restorer.draw(seen, codes, fidelity(0))
    assert torch.equal(plain, restorer.draw(strange, codes, fidelity(0)))
    assert not torch.allclose(plain, restorer.draw(seen, codes, fidelity(1)), atol=0.01)


@torch.no_grad()
def test_frames_of_a_window_see_each_other_and_their_order_changes_nothing(restorer):
    window = faces(3)
    logits = restorer.see(window).logits
    turned = restorer.see(window.flip(0)).logits.flip(0)
    torch.testing.assert_close(turned, logits, rtol=1e-4, atol=1e-5)  # there is no position in time
    assert not torch.allclose(restorer.see(window[:1]).logits, logits[:1], atol=1e-3)


@torch.no_grad()
def test_a_window_of_equal_frames_is_as_one_of_them(restorer):
    one = faces(1)
    torch.testing.assert_close(
        restorer.see(one.expand(4, -1, -1, -1)).logits, restorer.see(one).logits.expand(4, -1, -1), rtol=1e-4, atol=1e-5
    )


def test_adapted_codes_have_the_features_mean_and_deviation():
    generator = torch.Generator().manual_seed(0)
    codes, feature = (torch.randn(2, 3, 8, 8, generator=generator) * k + k for k in (1, 4))
    made = adapted(codes, feature)
    torch.testing.assert_close(made.mean((2, 3)), feature.mean((2, 3)))
    torch.testing.assert_close(made.std((2, 3)), feature.std((2, 3)), rtol=1e-4, atol=1e-4)
