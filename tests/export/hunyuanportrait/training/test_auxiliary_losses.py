"""What the denoiser is asked while it learns, against the same said in loops."""

import copy
from functools import cache

import numpy as np
import pytest
import torch

from export.hunyuanportrait.networks.unet import Context
from export.hunyuanportrait.presets import POCKET
from export.hunyuanportrait.training.auxiliary_losses import AuxiliaryLosses, way_to_portrait
from export.hunyuanportrait.training.initial_weights import with_initial_weights


@pytest.mark.parametrize("side", [8, 4, 2])
def test_the_way_to_the_portrait_is_the_landmarks_ways_by_their_nearness(side):
    rng = np.random.default_rng(0)
    portrait, points = rng.uniform(0, 7, (2, 1, 5, 2))
    way, weight = way_to_portrait(torch.tensor(portrait), torch.tensor(points), side, 8)
    size = 8 / side
    for y in range(side):
        for x in range(side):
            middle = (np.array([x, y]) + 0.5) * size - 0.5
            near = np.exp(-0.5 * ((middle - points[0]) ** 2).sum(axis=1) / max(1, size / 1.5) ** 2)
            truth = (near[:, None] * (portrait - points)[0]).sum(axis=0) / (near.sum() + 1e-3)
            assert np.allclose(way[0, :, y, x], truth, atol=1e-5)  # float32 cells
            assert float(weight[0, 0, y, x]) == pytest.approx(min(1, near.sum()), abs=1e-5)


@cache
def fresh_unet():
    torch.manual_seed(0)
    return with_initial_weights(POCKET.architecture.build("unet", device="cpu"))


def asked(states, which):
    """The loss of a UNet's two frames; `which` of them are asked."""
    unet = copy.deepcopy(fresh_unet())  # who asks listens to it
    torch.manual_seed(0)
    asking = AuxiliaryLosses(unet, states.shape[1])
    with torch.no_grad():
        unet(torch.randn(2, 8, 8, 8), torch.randn(1, 256), Context(torch.randn(1, 8, 64), torch.randn(1, 2, 8, 64)), 2)
    return asking(torch.zeros(2, 3, 2), torch.zeros(2, 3, 2), states, torch.tensor(which))


def test_only_frames_that_see_their_motion_are_asked():
    states = torch.zeros(2, 4)
    other = states.clone()
    other[1] = 9.0
    assert torch.equal(asked(states, [1.0, 0.0]), asked(other, [1.0, 0.0]))
    assert asked(other, [1.0, 1.0]) > asked(states, [1.0, 1.0]) + 1


def test_every_level_on_the_way_up_is_asked():
    asking = AuxiliaryLosses(copy.deepcopy(fresh_unet()), 4)
    assert [question[1].in_channels for question in asking.questions.values()] == [32, 32, 32, 32, 64]
    assert {question[1].out_channels for question in asking.questions.values()} == {2 + 4}
