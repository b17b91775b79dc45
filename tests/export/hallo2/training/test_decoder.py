"""The decoder learns once more, of clips as both nets make them, and nothing else does."""

from __future__ import annotations

import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch

from export.hallo2.training.decoder import DecoderPhase, spoken
from export.hallo2.training.talk import TalkWindows
from tests.export.hallo2.training.small_training import small_training


@pytest.fixture
def windows(prepared_run, tmp_path) -> TalkWindows:
    return small_training(shutil.copytree(prepared_run, tmp_path / "run")).lips_phase().windows


@pytest.fixture
def phase(windows) -> DecoderPhase:
    made = [np.stack([windows.target(i, 0).numpy() + 0.1]) for i in range(2)]
    return DecoderPhase(windows, made, steps=1)


def test_what_is_spoken_is_a_chain_that_goes_round_twice(windows, monkeypatch):
    begun = []

    def made(_talker, told, noise, *, steps):
        begun.append(told.motion.clone())
        return torch.full_like(noise, float(len(begun)))

    monkeypatch.setattr("export.hallo2.training.decoder.made_latents", made)
    clip = spoken(windows, 0)
    count = len(windows.cut.starts)
    assert clip.shape == (2 * count, windows.cut.window, 4, 8, 8) and clip.dtype == np.float16
    assert [float(part.mean()) for part in clip] == list(range(1, 2 * count + 1))
    portrait = np.repeat(windows.seen(0).dropped_portrait, windows.cut.motion_frames, axis=0)
    assert np.array_equal(begun[0].numpy(), portrait.astype(np.float32))
    assert all(not torch.equal(before, after) for before, after in pairwise(begun))


def test_the_decoder_alone_learns(phase):
    phase.loss(0, np.random.default_rng(0))["loss"].backward()
    learns = {name.split(".")[0] for name, value in phase.vae.named_parameters() if value.grad is not None}
    assert learns == {"decoder", "post_quant_conv"}


def test_a_pixel_at_the_mouth_counts_ten_times_and_one_at_an_eye_five_times(phase, monkeypatch):
    windows = phase.windows
    target = windows.pictures(0, 0)
    assert target.shape == (8, 3, 64, 64) and -1 <= float(target.min()) < float(target.max()) <= 1
    mouth = windows.mouth(0, 0, side=64)
    assert mouth.shape == (8, 1, 64, 64) and float(mouth.max()) > 0.9 and float(mouth.mean()) < 0.3
    eyes = windows.eyes(0, 0, side=64)
    rows = torch.arange(64.0)[:, None]
    height_of_mouth, height_of_eyes = (float((part * rows).sum() / part.sum()) for part in (mouth, eyes))
    assert eyes.shape == mouth.shape and height_of_eyes < height_of_mouth - 8, "above it"
    monkeypatch.setattr(phase.vae, "decode", lambda latents: windows.pictures(0, 0) + 1)
    phase.made = phase.made[:1]
    expected = float((1 + 9 * mouth + 4 * eyes).mean())  # an error of 1 in every pixel
    assert float(phase.loss(0, np.random.default_rng(0))["loss"]) == pytest.approx(expected, rel=1e-4)
