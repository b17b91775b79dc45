"""Processes that share a step's batches learn what one process learns that sees them all."""

from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from export.training.data_parallel import Share, data_parallel
from export.training.phase import Settings, train


class Plane:
    """Learns y = x . (1, 2, 3) from points that each batch draws anew; a weight learns in some batches alone."""

    name, learning_rate, curves, batches, steps = "plane", 0.05, ("loss",), 2, 30
    faster: ClassVar = {}

    def __init__(self):
        torch.manual_seed(1)
        self.modules = {"plane": nn.Linear(3, 1), "shift": nn.Linear(1, 1)}

    def loss(self, step, rng):
        x = torch.from_numpy(rng.normal(size=(16, 3)).astype(np.float32))
        y = x @ torch.tensor([[1.0], [2.0], [3.0]]) + 0.1 * torch.randn(16, 1)
        made = self.modules["plane"](x)
        if rng.uniform() < 0.5:
            made = self.modules["shift"](made)
        return {"loss": (made - y).square().mean()}


def quiet(*_):
    pass


def learn(settings: Settings, share: Share) -> None:
    train(Plane(), replace(settings, share=share), quiet)


def break_down(share: Share) -> None:
    raise SystemExit(3)


def test_two_processes_learn_what_one_learns(tmp_path):
    alone, led = Plane(), Plane()
    train(alone, Settings(folder=tmp_path / "alone", device=torch.device("cpu")), quiet)
    settings = Settings(folder=tmp_path / "led", device=torch.device("cpu"))
    with data_parallel(2, partial(learn, settings)) as share:
        assert train(led, replace(settings, share=share), quiet)
    for name, module in alone.modules.items():
        for key, value in module.state_dict().items():
            # Sums of two gradients in another order.
            assert torch.allclose(value, led.modules[name].state_dict()[key], atol=1e-5), (name, key)


def test_a_share_alone_changes_nothing():
    with data_parallel(1, break_down) as share:
        assert share == Share() and share.leads
        assert share.any(True) and not share.any(False)


def test_a_helper_that_ends_early_ends_the_training_and_not_silently(tmp_path):
    settings = Settings(folder=tmp_path, device=torch.device("cpu"))
    with data_parallel(2, break_down) as share, pytest.raises(RuntimeError):
        train(Plane(), replace(settings, share=share), quiet)
    assert not (tmp_path / "plane.pt").exists()
