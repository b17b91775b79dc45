"""The presets' networks are of the published sizes, and of those that are written of the narrow ones."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from export.hallo2 import presets
from export.hallo2.architecture import NETWORKS, PREFIXES
from export.hallo2.presets import HALLO2, PRESETS, TALK_POCKET
from export.weights.checkpoints import module_shapes
from runtime.hallo2.presets import AUDIO_WINDOW, MOODS
from tests.golden_cases import HALLO2_MANIFESTS

PUBLISHED = json.loads((HALLO2_MANIFESTS / "_summary.json").read_text())
CALLED = {"speech_encoder": "wav2vec2_base"}  # where the manifests have another name
# The newer library's spelling of the position convolution, which the manifest has; ours is the older one.
SPELT = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}


def size(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("network", NETWORKS)
def test_the_full_size_networks_are_the_published_ones_key_by_key(network):
    module, facts = HALLO2.architecture.build(network), PUBLISHED[CALLED.get(network, network)]
    assert all(parameter.is_meta for parameter in module.parameters())
    assert size(module) == facts["params"]
    assert PREFIXES[network] == facts["prefix"]
    manifest = json.loads((HALLO2_MANIFESTS / f"{CALLED.get(network, network)}.json").read_text())["shapes"]
    for old, new in SPELT.items():
        manifest = {key.replace(old, new): shape for key, shape in manifest.items()}
    assert {key: list(shape) for key, shape in module_shapes(module).items()} == manifest


def test_the_narrow_preset_is_as_deep_as_the_published_one():
    """The same keys, but for the shortcuts of blocks that do not change their width, the layers of speech, and the
    tokens of moods, which are not published."""
    for network in set(NETWORKS) - {"speech_encoder"}:
        full, narrow = (set(module_shapes(p.architecture.build(network))) for p in (HALLO2, TALK_POCKET))
        assert all("conv_shortcut" in key or key == "mood_tokens" for key in full ^ narrow), network


def test_the_narrow_networks_have_as_many_parameters_as_is_written():
    text = presets.__doc__ or ""
    written = {name: int(number.replace(" ", "")) for name, number in re.findall(r"\| `(\w+)` \| ([\d ]+\d)", text)}
    assert written == {network: size(TALK_POCKET.architecture.build(network)) for network in NETWORKS}
    total = re.search(r"\n([\d ]+\d) in all", text)
    assert total and int(total[1].replace(" ", "")) == sum(written.values())


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_the_networks_of_a_preset_fit_each_other(preset):
    a = preset.architecture
    assert a.reference_unet == replace(a.denoising_unet, moods=0)
    assert a.denoising_unet.moods in (0, len(MOODS))
    unet, speech = a.denoising_unet, a.speech_encoder
    assert unet.image_token_dim == a.imageproj.width and unet.audio_token_dim == a.audioproj.width
    assert (a.audioproj.layers, a.audioproj.channels) == (speech.layers, speech.hidden)
    assert a.audioproj.window == AUDIO_WINDOW
    assert a.face_locator.out_channels == unet.channels[0] and unet.latent_channels == a.vae.latent_channels
    assert 2 ** (len(a.face_locator.block_out_channels) - 1) == a.vae.downscale
    assert preset.frames + preset.motion_frames <= unet.motion_positions
