"""The card of a bundle, read as a hub reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from engines.bundle import Bundle
from engines.errors import BundleError
from hp_trt.interface import model_card
from hp_trt.interface.model_card import card_text
from hp_trt.shipped import bundle_folder
from tests.test_documented_commands import commands, refusal

PUBLISHED = {"kind": "published", "source": "/home/somebody/pretrained_weights", "fingerprint": {"unet": "a" * 64}}


def bundle_of(preset: str = "pocket", **changes) -> Bundle:
    """A bundle that came with the package, as if it were of others."""
    found = Bundle.open(bundle_folder(f"shipped:{preset}"), family="")
    return replace(found, path=Path("my bundle"), manifest=replace(found.manifest, **changes))


@pytest.fixture
def elsewhere(monkeypatch):
    """No bundle is one that came with the package."""
    monkeypatch.setattr(model_card, "came_with_us", lambda manifest: False)


@pytest.mark.parametrize(
    ("preset", "driver"), [("pocket", "--driving talk.mp4"), ("talk_pocket", "--audio speech.wav")]
)
def test_a_hub_reads_the_licence_and_what_it_sorts_by(preset, driver):
    bundle = Bundle.open(bundle_folder(f"shipped:{preset}"), family="")
    text = card_text(bundle)
    card = ModelCard(text)
    said = card.data.to_dict()
    assert text.startswith("---\nlicense: ") and said["license"] == "apache-2.0"
    assert (said["library_name"], said["pipeline_tag"]) == ("hp-trt", "image-to-video")
    assert {"portrait-animation", "onnx", bundle.manifest.model} <= set(said["tags"])
    assert card.text.strip().startswith("**Licence: Apache-2.0**")
    manifest = bundle.manifest
    for value in (driver, manifest.to_json()["sha256"], *manifest.weights["fingerprint"].values(), *manifest.graphs):
        assert value in card.text
    assert "128 x 128 pixels" in card.text and f"--bundle shipped:{preset} " in card.text
    assert "photographs become a smear" in card.text


@pytest.mark.parametrize(("preset", "whose"), [("pocket", "Tencent"), ("talk_pocket", "InsightFace")])
def test_weights_for_research_only_say_so_in_the_first_line_and_tell_no_path(preset, whose):
    card = ModelCard(card_text(bundle_of(preset, weights=PUBLISHED)))
    assert (card.data.license, card.data.license_name) == ("other", "academic-research-only")
    first = card.text.strip().splitlines()[0]
    assert first.startswith("**For academic research only: no commercial or production use.**")
    assert whose in card.text and "/home" not in card.text and "published: pretrained_weights" in card.text


@pytest.mark.parametrize(
    ("kind", "source", "name", "first"),
    [
        ("trained", "mine.safetensors", "of-whoever-trained-it", "**Licence: that of whoever trained these weights.**"),
        ("random", "seed 0", "random-numbers", "**Licence: none, these are random numbers.**"),
    ],
)
def test_other_weights_claim_no_licence_of_ours(kind, source, name, first):
    card = ModelCard(card_text(bundle_of(weights={"kind": kind, "source": source, "fingerprint": {}})))
    assert (card.data.license, card.data.license_name) == ("other", name)
    assert card.text.strip().startswith(first) and "smear" not in card.text


@pytest.mark.parametrize("preset", ["pocket", "talk_pocket"])
def test_its_commands_can_be_typed(preset, elsewhere):
    shown = list(commands(card_text(bundle_of(preset))))
    assert len(shown) >= 3 and any("--bundle 'my bundle'" in command for command in shown)
    assert not {command: said for command in shown if (said := refusal(command))}


def test_a_bundles_own_words_are_text_and_no_markup():
    weights = {"kind": "trained", "source": "x | y\n# Title <b>`", "fingerprint": {}}
    text = card_text(bundle_of(weights=weights))
    assert "| weights | trained: x / y # Title (b)' |" in text and "\n# Title" not in text


def test_a_model_of_another_version_has_no_card_here():
    with pytest.raises(BundleError, match="is for the model other"):
        card_text(bundle_of(model="other"))
