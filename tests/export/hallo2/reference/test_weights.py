"""The released networks' state dicts, against the published files' lists of keys."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from export.hallo2.networks.config import (
    AudioTokensConfig,
    FaceLocatorConfig,
    FaceTokensConfig,
    SpeechConfig,
    UNetConfig,
)
from export.hallo2.reference.speech import SPELLINGS
from export.hallo2.reference.weights import build_network
from tests.golden_cases import HALLO2_MANIFESTS

# Full size: the constructor facts are the configs' defaults.
NETWORKS = {
    "reference_unet": ("reference_unet", asdict(UNetConfig())),
    "denoising_unet": ("denoising_unet", asdict(UNetConfig())),
    "face_locator": ("face_locator", asdict(FaceLocatorConfig())),
    "imageproj": ("imageproj", asdict(FaceTokensConfig())),
    "audioproj": ("audioproj", asdict(AudioTokensConfig())),
    "vae": (
        "vae",
        {
            "channels": (128, 256, 512, 512),
            "layers_per_block": 2,
            "groups": 32,
            "latent_channels": 4,
            "scaling_factor": 0.18215,
        },
    ),
    "speech_encoder": ("wav2vec2_base", asdict(SpeechConfig())),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_full_size_network_has_exactly_the_published_entries(name):
    file, config = NETWORKS[name]
    listed = json.loads((HALLO2_MANIFESTS / f"{file}.json").read_text())["shapes"]
    expected = {SPELLINGS.get(key, key): shape for key, shape in listed.items()}
    state = build_network(name, config).state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == expected
