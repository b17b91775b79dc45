"""`hp-trt card`: where the card goes, and what it never replaces."""

from __future__ import annotations

import json

import pytest

from engines.bundle import Bundle
from tests.engines.bundles import make_bundle
from tests.hp_trt.command_line import refused
from tests.hp_trt.enhancer.stand_in import make_bundle as make_enhancer


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setattr("hp_trt.hunyuanportrait.model.HunyuanPortrait.check_bundle", lambda bundle: None)
    make_bundle(tmp_path / "b", any_graph=b"graph")
    return tmp_path / "b"


def test_it_lies_in_the_bundle_which_opens_as_before_and_is_written_again(hp_trt, bundle):
    ended = hp_trt("card", f"--bundle={bundle}", "--json")
    assert ended.code == 0, ended.err
    place = bundle / "README.md"
    assert json.loads(ended.out)["out"] == str(place)
    assert place.read_text().startswith("---\nlicense: ")
    Bundle.open(bundle)
    assert hp_trt("card", f"--bundle={bundle}").code == 0


@pytest.mark.parametrize("name", ["b/README.md", "CARD.md"])
def test_anothers_file_is_never_replaced(hp_trt, bundle, tmp_path, name):
    (tmp_path / name).write_text("# Mine\n")
    refused(
        hp_trt("card", f"--bundle={bundle}", f"--out={tmp_path / name}"), "is there and is no card of ours; move it"
    )
    assert (tmp_path / name).read_text() == "# Mine\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out={bundle}/other.md"], "lies in"),
        (["--out={bundle}/manifest.json"], "the card is written as .md"),
        (["--bundle=shipped:pocket"], "came with hp-trt, and nothing is written there; say where to by --out"),
        (["--out=/none/README.md"], "/none is no folder"),
    ],
)
def test_where_it_cannot_go_is_told(hp_trt, bundle, words, says):
    refused(hp_trt("card", f"--bundle={bundle}", *(word.format(bundle=bundle) for word in words)), says)


def test_an_enhancers_card_is_written_and_says_its_terms_in_the_line(hp_trt, tmp_path):
    enhancer = make_enhancer(tmp_path / "E", kind="published").path
    ended = hp_trt("card", f"--bundle={enhancer}")
    assert ended.code == 0, ended.err
    assert "licence: the face restorer derives from CodeFormer, S-Lab License 1.0: for non-commercial" in ended.out
    assert (enhancer / "README.md").read_text().startswith('---\nlicense: "other"')
    Bundle.open(enhancer)
    assert hp_trt("card", "--bundle=shipped:enhancer_pocket", f"--out={tmp_path / 'CARD.md'}").code == 0
