"""Training of `talk_pocket` on a quarter of its pixels: the networks, the stages and the files are the real ones."""

from __future__ import annotations

from dataclasses import replace

import torch

from export.hallo2.presets import TALK_POCKET
from export.hallo2.training.training import Amounts, Training
from export.training.phase import Settings

SMALL_TALK = replace(TALK_POCKET, size=64)


def quiet(*_):
    """Tells nobody."""


def small_training(folder, *, lips_steps=1, autoencoder_steps=0, **settings):
    ones = ("speech_steps", "steady_steps", "unet_steps", "decoder_steps")
    steps = {**dict.fromkeys(ones, 1), "lips_steps": lips_steps, "autoencoder_steps": autoencoder_steps}
    amounts = Amounts(sentences=3, clips=3, frames=10, spoken=2, **steps)  # the second one in a mood
    return Training(SMALL_TALK, amounts, Settings(folder=folder, device=torch.device("cpu"), **settings))


def prepared(folder):
    """A run whose clips are seen and heard."""
    training = small_training(folder)
    for name, act in training.stages().items():
        if name == "lips":
            break
        act(quiet)
    return folder
