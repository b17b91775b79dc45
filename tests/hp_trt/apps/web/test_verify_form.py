"""Verifying a file through the page, by something that stands for `hp_trt.provenance.verify`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from engines.errors import InputError
from hp_trt.apps.web import shown_files, verifying
from hp_trt.apps.web.verify_form import verdict_text

SAID = {
    "verdict": "intact",
    "broken": [],
    "credentials": {"state": "valid", "signer": "<Somebody>", "generator": "hp-trt", "source_types": []},
    "credentials_not_looked_at": None,
    "mark": {"id": "0badcafe", "score": 0.98765},
    "mark_not_looked_for": None,
    "sidecar": {"version": "0.1.0", "licence": "Apache-2.0"},
}


def says(**more):
    return lambda path: SimpleNamespace(to_json=lambda: {**SAID, **more})


def verdict(page, verify, name) -> str:
    return asyncio.run(verdict_text(page.service, verify, page.owner, name))


@pytest.fixture
def uploaded(page) -> str:
    return page.ask("POST", "/page/uploads/verified?suffix=MP4", content=b"a video").json()["id"]


def test_a_file_keeps_its_suffix_and_nothing_else_of_its_name(page, uploaded):
    assert uploaded.endswith(".mp4")
    for suffix in ("../../x", "mp4/..", "a" * 6, "é", "", "mp4%00"):
        name = page.ask("POST", "/page/uploads/verified", params={"suffix": suffix}, content=b"x").json()["id"]
        assert name.endswith(".bin"), suffix
        shown_files.place_of(page.service, page.owner, name).unlink()


def test_what_was_found_is_told_line_by_line_and_the_file_goes(page, uploaded):
    place = shown_files.place_of(page.service, page.owner, uploaded)
    text = verdict(page, says(), uploaded)
    assert "nothing found here speaks against it" in text
    assert "valid, signed by &lt;Somebody&gt;, claimed by hp-trt" in text
    assert "Invisible mark: 0badcafe (score 0.988)" in text
    assert "Sidecar: hp-trt 0.1.0" in text
    assert not place.exists()


def test_nothing_and_broken_have_verdicts_too(page, uploaded):
    bare = {"credentials": None, "mark": {"id": None, "score": 0.1}, "sidecar": None}
    text = verdict(page, says(verdict="nothing", **bare), uploaded)
    assert "no proof of anything" in text
    assert "Content Credentials: none" in text
    again = page.ask("POST", "/page/uploads/verified?suffix=png", content=b"y").json()["id"]
    told = {"mark": None, "credentials_not_looked_at": "c2pa-python is not installed", "broken": [f"{again} is wrong"]}
    text = verdict(page, says(verdict="broken", **told), again)
    assert "Broken: the file is wrong" in text
    assert "not looked at, c2pa-python is not installed" in text
    assert "no pictures that can be read" in text


def test_what_cannot_be_verified_says_why_and_goes_too(page, uploaded):
    def refuses(path: Path):
        raise InputError(f"{path} is neither video nor picture; give one")

    place = shown_files.place_of(page.service, page.owner, uploaded)
    text = verdict(page, refuses, uploaded)
    assert "the file is neither video nor picture; give one" in text
    assert str(place.parent) not in text
    assert not place.exists()


@pytest.mark.parametrize("name", ["", None, 7, "../../../state", "v_" + "0" * 32 + ".mp4", {"path": "x"}, "v_\x00"])
def test_what_was_not_uploaded_is_asked_for(page, name):
    assert "there is no file here, or not any more; choose" in verdict(page, says(), name)


def test_another_owner_has_other_files(page, uploaded):
    text = asyncio.run(verdict_text(page.service, says(), "0" * 16, uploaded))
    assert "there is no file here" in text


def test_what_nobody_verified_goes_after_an_hour(page, uploaded):
    place = shown_files.place_of(page.service, page.owner, uploaded)
    os.utime(place, (1, 1))
    page.ask("POST", "/page/uploads/verified?suffix=png", content=b"z")
    assert not place.exists()


def test_what_verifies_is_found_where_it_is(monkeypatch):
    monkeypatch.setattr(verifying, "_MODULE", "hp_trt.no_room.verify")
    assert verifying.find_verify() is None
    monkeypatch.setattr(verifying, "_MODULE", "hp_trt.console_of_nothing")
    assert verifying.find_verify() is None
