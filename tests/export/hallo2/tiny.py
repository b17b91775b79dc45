"""A preset so small that all its graphs are exported in seconds; every part of the published model is in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from export import models
from export.blocks import VAEConfig
from export.hallo2 import presets
from export.hallo2.architecture import Architecture
from export.hallo2.networks.config import (
    AudioTokensConfig,
    FaceLocatorConfig,
    FaceTokensConfig,
    SpeechConfig,
    UNetConfig,
)
from export.hallo2.presets import Preset
from runtime.hallo2.presets import MOODS

_UNET = UNetConfig(
    channels=(32, 64),
    heads=2,
    layers_per_block=1,
    image_token_dim=16,
    audio_token_dim=24,
    groups=8,
    motion_heads=2,
    motion_positions=8,
)
TINY_TALK = Preset(
    name="tiny_talk",
    architecture=Architecture(
        reference_unet=_UNET,
        denoising_unet=_UNET,
        face_locator=FaceLocatorConfig(out_channels=32, block_out_channels=(4, 4, 8, 8)),
        imageproj=FaceTokensConfig(tokens=2, width=16),
        audioproj=AudioTokensConfig(layers=2, channels=32, hidden=16, width=24, tokens=3),
        # Latents an eighth of the picture, as the runtime knows them.
        vae=VAEConfig(block_out_channels=(32, 32, 32, 32), layers_per_block=1, norm_groups=8),
        speech_encoder=SpeechConfig(hidden=32, layers=2, heads=2, mlp=32, conv_dim=16, pos_kernel=8, pos_groups=2),
    ),
    size=32,
    frames=3,
    motion_frames=1,
    sampling={"steps": 2},
)

# The same, and it knows moods, as talk_pocket does.
TINY_MOODS = replace(
    TINY_TALK,
    name="tiny_moods",
    architecture=replace(TINY_TALK.architecture, denoising_unet=replace(_UNET, moods=len(MOODS))),
)


def make_known(patch: pytest.MonkeyPatch, *more: Preset) -> None:
    """Until `patch` is undone, builds take these presets by name."""
    for preset in more:
        patch.setitem(presets.PRESETS, preset.name, preset)
        patch.setitem(models.MODELS, preset.name, models.MODELS["talk_pocket"])
