"""The autoencoder learns what a face that speaks shows: its features, and latents that say what lips do."""

from __future__ import annotations

import copy
import shutil

import numpy as np
import pytest
import torch

from export.hallo2.training.autoencoder import AutoencoderPhase
from procedural.landmarks import POINTS
from tests.export.hallo2.training.small_training import quiet, small_training

MOUTH = [POINTS.index(name) for name in ("left mouth corner", "right mouth corner", "upper lip", "lower lip")]


@pytest.fixture
def phase(prepared_run, tmp_path) -> AutoencoderPhase:
    training = small_training(shutil.copytree(prepared_run, tmp_path / "run"), autoencoder_steps=1)
    phase = training.autoencoder_phase()
    assert phase.steps == 1 and phase.clips.px == 64
    return phase


def test_encoder_decoder_and_the_question_learn(phase):
    phase.loss(0, np.random.default_rng(0))["loss"].backward()
    learns = {name.split(".")[0] for name, value in phase.vae.named_parameters() if value.grad is not None}
    assert learns == {"encoder", "quant_conv", "decoder", "post_quant_conv"}
    assert phase.question.weight.grad is not None
    assert all(parameter.grad is None for part in phase.before for parameter in part.parameters())


def test_it_begins_as_pockets_and_says_how_far_it_went(phase):
    assert float(phase.loss(0, np.random.default_rng(0))["away"].detach()) < 1e-9
    with torch.no_grad():
        phase.vae.quant_conv.bias[:4] += 1.0
    scale = phase.vae.config.scaling_factor
    assert float(phase.loss(0, np.random.default_rng(0))["away"].detach()) == pytest.approx(scale**2, rel=1e-3)


def test_an_error_at_a_feature_counts_more_than_one_beside_the_face(phase, monkeypatch):
    rng, losses = np.random.default_rng, {}
    pictures, points, _ = phase._drawn(rng(3))
    for name, at in (("feature", points[0, MOUTH[0]]), ("corner", torch.zeros(2))):
        x, y = (int(v) for v in at.round().clamp(0, pictures.shape[-1] - 1))
        made = pictures.clone()
        made[:, :, y, x] += 1.0
        monkeypatch.setattr(phase.vae, "decode", lambda latents, made=made: made)
        losses[name] = float(phase.loss(0, rng(3))["loss"].detach())
    monkeypatch.setattr(phase.vae, "decode", lambda latents: pictures)
    nothing = float(phase.loss(0, rng(3))["loss"].detach())
    assert losses["feature"] - nothing > 2 * (losses["corner"] - nothing) > 0


def test_what_is_asked_are_the_latents_at_the_mouth_wherever_it_is(phase):
    cells, channels = 16, phase.vae.config.latent_channels
    latents = torch.zeros(1, channels, cells, cells)
    latents[0, :, 9, 4] = 1.0  # row 9, column 4
    points = torch.zeros(1, len(POINTS), 2)
    points[0, MOUTH] = torch.tensor([4.5 * 8 - 0.5, 9.5 * 8 - 0.5])  # the middle of that cell, in pixels of 128
    seen = phase._at_mouth(latents, points, 128).reshape(channels, 3, 3)
    assert torch.allclose(seen[:, 1, 1], torch.ones(channels), atol=1e-4)
    assert float(seen.sum()) == pytest.approx(channels, rel=1e-3)


def test_parts_are_cut_where_cells_begin_and_points_go_with_them(phase):
    side = phase.clips.px
    shapes = set()
    for seed in range(12):
        pictures, points, lips = phase._drawn(np.random.default_rng(seed))
        shapes.add(pictures.shape[-1])
        assert pictures.shape[:2] == (6, 3) and lips.shape == (6, 4) and points.shape[0] == 6
        assert float(pictures.min()) >= -1 and float(pictures.max()) <= 1
    assert shapes == {side, 48}


@pytest.mark.heavy
def test_it_is_trained_to_an_end_that_is_not_pockets(prepared_run, tmp_path):
    run = shutil.copytree(prepared_run, tmp_path / "run")
    before = small_training(run).run.end("vae")["vae"]
    (run / "vae.done.pt").unlink()
    training = small_training(run, autoencoder_steps=1)
    assert training.autoencoder(quiet)
    after = training.run.end("vae")
    assert set(after) == {"vae"}, "the question is thrown away"
    assert before.keys() == after["vae"].keys()
    assert not all(torch.equal(value, after["vae"][key]) for key, value in before.items())


def test_what_was_pockets_stays_as_it_was_while_it_learns(phase):
    kept = copy.deepcopy(phase.before[0].state_dict())
    with torch.no_grad():
        for parameter in phase.vae.encoder.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(value, phase.before[0].state_dict()[key]) for key, value in kept.items())
