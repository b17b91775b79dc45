"""A phase of training: resumes as if it had never been killed, and tells foreign states from its own."""

import csv
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from engines.errors import InputError
from export.training.phase import Settings, train


class Line:
    """Learns y = 2x + 1 from points that each step draws anew."""

    name, learning_rate, curves = "line", 0.05, ("loss",)
    batches = 1
    faster: ClassVar = {}

    def __init__(self, steps=400, width=1):
        self.steps = steps
        torch.manual_seed(1)
        self.modules = {"line": nn.Linear(width, 1)}
        self.seen = []

    def loss(self, step, rng):
        x = torch.from_numpy(rng.normal(size=(16, 1)).astype(np.float32))
        self.seen.append(step)
        y = 2 * x + 1 + 0.1 * torch.randn_like(x)
        return {"loss": (self.modules["line"](x) - y).square().mean()}


@pytest.fixture
def settings(tmp_path):
    return Settings(folder=tmp_path, device=torch.device("cpu"), save_every_s=0.0)


def quiet(*_):
    pass


def test_a_phase_learns_and_leaves_the_averaged_weights(settings):
    phase = Line()
    assert train(phase, settings, quiet)
    line = phase.modules["line"]
    assert line.weight.item() == pytest.approx(2, abs=0.05)  # noise of 0.1 over some hundred points
    assert line.bias.item() == pytest.approx(1, abs=0.05)


def test_a_killed_phase_goes_on_to_the_very_same_weights(settings, tmp_path):
    whole = Line(60)
    train(whole, Settings(folder=tmp_path / "whole", device=settings.device), quiet)

    class Killed(Line):
        def loss(self, step, rng):
            if step == 37 and not self.seen.count(37):
                raise KeyboardInterrupt
            return super().loss(step, rng)

    with pytest.raises(KeyboardInterrupt):
        train(Killed(60), settings, quiet)
    resumed = Line(60)
    assert train(resumed, settings, quiet)
    assert resumed.seen == list(range(37, 60))
    for key, value in whole.modules["line"].state_dict().items():
        assert torch.equal(value, resumed.modules["line"].state_dict()[key])


def test_a_kill_while_saving_leaves_the_state_before(settings, monkeypatch):
    train(Line(20), settings, quiet)
    before = (settings.folder / "line.pt").read_bytes()

    def torn(state, file):
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr("export.training.files.torch.save", torn)
    with pytest.raises(KeyboardInterrupt):
        train(Line(40), settings, quiet)
    assert (settings.folder / "line.pt").read_bytes() == before
    assert sorted(p.name for p in settings.folder.iterdir()) == ["line.csv", "line.pt"]


def test_no_minutes_left_is_not_complete_and_can_go_on(settings):
    short = Settings(folder=settings.folder, device=settings.device, minutes=0.0)
    assert not train(Line(20), short, quiet)
    assert train(Line(20), settings, quiet)


def test_a_state_of_other_networks_is_refused(settings):
    train(Line(20), settings, quiet)
    with pytest.raises(InputError, match="belongs to other networks"):
        train(Line(20, width=3), settings, quiet)


def test_a_damaged_state_is_refused_with_its_name(settings):
    (settings.folder / "line.pt").write_bytes(b"PK not a state")
    with pytest.raises(InputError, match=r"line\.pt is no training state"):
        train(Line(20), settings, quiet)


def test_a_gradient_that_is_not_finite_stops_the_phase(settings):
    class Broken(Line):
        def loss(self, step, rng):
            return {"loss": self.modules["line"](torch.full((1, 1), torch.nan)).sum()}

    with pytest.raises(FloatingPointError, match="line is not finite at step 0"):
        train(Broken(5), settings, quiet)


def test_the_loss_curve_has_a_line_every_hundred_steps(settings):
    train(Line(250), settings, quiet)
    rows = list(csv.DictReader((settings.folder / "line.csv").open()))
    assert [int(row["step"]) for row in rows] == [100, 200, 250]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_a_faster_part_goes_as_far_in_a_step_as_its_factor_says(settings):
    """Adam's first step is the learning rate, whatever the gradient; weights decay by a hundredth of it."""

    class Faster(Line):
        faster: ClassVar = {"bias": 4.0}

    before = Faster(1).modules["line"].state_dict()
    phase = Faster(1)
    before = {name: value.clone() for name, value in before.items()}
    train(phase, settings, quiet)
    state = torch.load(settings.folder / "line.pt", weights_only=True)["weights"]["line"]
    moved = {name: abs(float((state[name] - before[name]).flatten())) for name in before}
    assert moved["bias"] == pytest.approx(4 * moved["weight"], rel=0.02)
