"""The pocket upscaler's training: what it is shown, what it begins with, that it resumes, and the file at its end."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from export.enhancer.networks.upscaler import Upscaler
from export.enhancer.presets import ENHANCER_POCKET
from export.enhancer.training.pairs import pairs, spoilt
from export.enhancer.training.training import PHASE, Amounts, Training, begin
from export.enhancer.weights import open_source
from export.train import main
from export.training.phase import Settings
from export.training.pictures import Pictures
from procedural import motion as motions
from procedural.clip import FIRST_TRAINING_SEED
from tests.hp_trt.command_line import as_typed


def quiet(name, done, total, losses) -> None:
    pass


def settings(folder, **changes) -> Settings:
    return Settings(folder=folder, device=torch.device("cpu"), **changes)


def test_pairs_are_cuts_and_their_halves_and_the_same_for_the_same_numbers():
    small, large = pairs(6, 32, np.random.default_rng([1, 2]), Pictures())
    assert small.shape == (6, 16, 16, 3) and large.shape == (6, 32, 32, 3)
    assert small.dtype == large.dtype == np.uint8
    again = pairs(6, 32, np.random.default_rng([1, 2]), Pictures())
    assert np.array_equal(small, again[0]) and np.array_equal(large, again[1])
    means = large.reshape(6, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.abs(means - small).mean() < 6  # levels: they show the same


def test_nobody_is_shown_who_is_held_out(monkeypatch):
    seen = []

    def motion(seed, frames):
        seen.append(seed)
        return motions.motion(seed, frames)

    monkeypatch.setattr("export.enhancer.training.pairs.motion", motion)
    pairs(12, 32, np.random.default_rng(0), Pictures())
    assert seen and min(seen) >= FIRST_TRAINING_SEED


def test_half_of_the_small_pictures_are_halved_and_no_more():
    flat = np.full((16, 16, 3), 77, np.uint8)
    plain = [np.array_equal(spoilt(flat, np.random.default_rng(i)), np.full((8, 8, 3), 77)) for i in range(200)]
    assert 100 <= sum(plain) < 200  # a blur shows nothing on it, noise does


@torch.no_grad()
def test_it_begins_as_a_linear_enlargement():
    torch.manual_seed(0)
    network = Upscaler(ENHANCER_POCKET.architecture.upscaler)
    begin(network)
    rows, columns = torch.meshgrid(torch.linspace(0.2, 0.8, 24), torch.linspace(0.3, 0.7, 24), indexing="ij")
    picture = torch.stack([rows, columns, (rows + columns) / 2])[None]
    wanted = F.interpolate(picture, scale_factor=2.0, mode="bilinear")
    error = (network(picture) - wanted)[..., 12:-12, 12:-12]  # at the rim stands the zero of its convolutions
    assert error.abs().max() < 0.1 and error.square().mean().sqrt() < 0.05


def test_a_run_that_stops_ends_as_one_that_does_not(tmp_path):
    ends = []
    for name, minutes in (("whole", (float("inf"),)), ("stopped", (0, float("inf")))):
        for most in minutes:
            training = Training(ENHANCER_POCKET, Amounts(upscaler_steps=3), settings(tmp_path / name, minutes=most))
            complete = training.upscaler(quiet)
        assert complete
        ends.append(training.run.end(PHASE)["upscaler"])
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_the_command_writes_a_file_that_builds_take_with_its_card(tmp_path, monkeypatch, capfd):
    run = tmp_path / "run"
    words = ("--preset", "enhancer_pocket", "--run", run, "--threads", "1", "--upscaler-steps", "1")
    ended = as_typed(main, "train", *words, patch=monkeypatch, capture=capfd)
    assert ended.code == 0, ended.err
    path = run / "enhancer_pocket.safetensors"
    source = open_source(ENHANCER_POCKET, path, ENHANCER_POCKET.networks)
    ENHANCER_POCKET.architecture.load("upscaler", source.state("upscaler"))
    card = path.with_suffix(".md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card and "1 steps of 8 cuts of 64 pixels" in card


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--clips", "3"), "--clips is not of enhancer_pocket; leave it out"),
        (("--unet-steps", "3"), "--unet-steps is not of enhancer_pocket"),
        (("--stage", "clips"), "there is no stage 'clips'; there are upscaler, write"),
    ],
)
def test_what_other_trainings_take_is_refused(words, says, tmp_path, monkeypatch, capfd):
    place = ("--preset", "enhancer_pocket", "--run", tmp_path / "run")
    ended = as_typed(main, "train", *place, *words, patch=monkeypatch, capture=capfd)
    assert ended.code == 2 and says in ended.err
