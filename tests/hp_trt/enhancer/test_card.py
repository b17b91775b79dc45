"""The card of a bundle of the enhancer, read as a hub reads it."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from engines.bundle import Bundle
from engines.errors import BundleError
from hp_trt.enhancer.card import card_text
from hp_trt.shipped import ENHANCER_POCKET_BUNDLE, bundle_folder
from tests.hp_trt.enhancer.stand_in import ALL, make_bundle
from tests.test_documented_commands import commands, refusal


@pytest.mark.parametrize(
    ("kind", "graphs", "name", "first"),
    [
        ("published", ALL, "s-lab-license-1.0-non-commercial", "**For non-commercial use only.**"),
        ("published", ALL[:1], "terms-of-its-own", "**Licence: that of the published weights.**"),
        ("random", ALL, "random-numbers", "**Licence: none, these are random numbers.**"),
        ("trained", ALL[:1], "of-whoever-trained-it", "**Licence: that of whoever trained these weights.**"),
    ],
)
def test_the_licence_comes_first_and_faces_are_told_where_they_are_restored(tmp_path, kind, graphs, name, first):
    text = card_text(make_bundle(tmp_path / "my E", graphs, kind=kind))
    card = ModelCard(text)
    assert (card.data.license, card.data.license_name) == ("other", name)
    assert card.text.strip().startswith(first)
    assert (card.data.library_name, card.data.pipeline_tag) == ("hp-trt", "video-to-video")
    assert ("face-restoration" in card.data.tags) == ("CodeFormer" in text or kind == "random") == (graphs == ALL)
    assert "--bundle 'my E'" in text and "animate" not in text
    shown = list(commands(text))
    assert len(shown) >= 3 and not {command: said for command in shown if (said := refusal(command))}


def test_the_shipped_one_is_apache_and_says_what_it_has_seen():
    text = card_text(Bundle.open(bundle_folder(ENHANCER_POCKET_BUNDLE), family=""))
    assert ModelCard(text).data.license == "apache-2.0"
    assert "1 graph, " in text and f"--bundle {ENHANCER_POCKET_BUNDLE} " in text and "drawn people alone" in text


def test_a_bundle_that_animates_has_another_card(tmp_path):
    with pytest.raises(BundleError, match="which animates"):
        card_text(make_bundle(tmp_path / "b", model="hunyuanportrait"))
