"""Verifying a file through the page: by the interface's own process, or by something that stands for it."""

from __future__ import annotations

import asyncio
import os

import pytest

from hp_trt.apps.service import verifier
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.web import shown_files, verify_form
from hp_trt.apps.web.verify_form import verdict_text
from tests.hp_trt.apps.service.conftest import picture

SAID = {
    "verdict": "intact",
    "broken": [],
    "credentials": {"state": "valid", "signer": "<Somebody>", "generator": "hp-trt", "source_types": []},
    "credentials_not_looked_at": None,
    "mark": {"id": "0badcafe", "score": 0.98765},
    "mark_not_looked_for": None,
    "sidecar": None,
}


@pytest.fixture
def says(monkeypatch):
    """Puts a report, with these changes, in place of the process."""

    def say(**more) -> None:
        async def looked(path, limits):
            return {**SAID, **more}

        monkeypatch.setattr(verify_form, "look_at", looked)

    return say


def verdict(page, name) -> str:
    return asyncio.run(verdict_text(page.service, page.owner, name))


@pytest.fixture
def uploaded(page) -> str:
    return page.ask("POST", "/page/uploads/verified?suffix=MP4", content=b"a video").json()["id"]


def test_a_file_keeps_its_suffix_and_nothing_else_of_its_name(page, uploaded):
    assert uploaded.endswith(".mp4")
    for suffix in ("../../x", "mp4/..", "a" * 6, "é", "", "mp4%00"):
        name = page.ask("POST", "/page/uploads/verified", params={"suffix": suffix}, content=b"x").json()["id"]
        assert name.endswith(".bin"), suffix
        shown_files.place_of(page.service, page.owner, name).unlink()


def test_what_was_found_is_told_line_by_line_and_the_file_goes(page, uploaded, says):
    place = shown_files.place_of(page.service, page.owner, uploaded)
    says()
    text = verdict(page, uploaded)
    assert "nothing found here speaks against it" in text
    assert "valid, signed by &lt;Somebody&gt;, claimed by hp-trt" in text
    assert "Invisible mark: 0badcafe (score 0.988)" in text
    assert not place.exists()


def test_nothing_and_broken_have_verdicts_too(page, uploaded, says):
    says(verdict="nothing", credentials=None, mark={"id": None, "score": 0.1})
    text = verdict(page, uploaded)
    assert "no proof of anything" in text
    assert "Content Credentials: none" in text
    again = page.ask("POST", "/page/uploads/verified?suffix=png", content=b"y").json()["id"]
    told = {"mark": None, "credentials_not_looked_at": "c2pa-python is not installed", "broken": [f"{again} is wrong"]}
    says(verdict="broken", **told)
    text = verdict(page, again)
    assert "Broken: the file is wrong" in text
    assert "not looked at, c2pa-python is not installed" in text
    assert "no pictures that can be read" in text


def test_a_picture_is_looked_at_in_a_process_of_its_own(page):
    name = page.ask("POST", "/page/uploads/verified?suffix=png", content=picture()).json()["id"]
    assert "no proof of anything" in verdict(page, name)


def test_what_cannot_be_verified_says_why_and_goes_too(page, uploaded):
    place = shown_files.place_of(page.service, page.owner, uploaded)
    text = verdict(page, uploaded)
    assert "the file is no video that FFmpeg can open" in text
    assert uploaded not in text and str(place.parent) not in text
    assert not place.exists()


def test_a_process_that_dies_of_a_file_ends_nothing_else(page, uploaded, monkeypatch, tmp_path):
    (tmp_path / "dies").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "dies").chmod(0o700)
    monkeypatch.setattr(verifier.sys, "executable", str(tmp_path / "dies"))
    place = shown_files.place_of(page.service, page.owner, uploaded)
    assert "ended before there was a report" in verdict(page, uploaded)
    assert not place.exists() and page.service.verifies.taken == 0


def test_so_many_are_looked_at_at_a_time_as_through_the_interface(page, uploaded, monkeypatch):
    monkeypatch.setattr(page.service.verifies, "taken", page.service.config.limits.verifies)
    assert "too many files are looked at" in verdict(page, uploaded)
    answer = page.ask("POST", "/v1/verify", content=picture())
    assert answer.status_code == 429
    monkeypatch.setattr(page.service.uploads, "taken", page.service.config.limits.uploads)
    assert page.ask("POST", "/page/uploads/verified", content=b"x").status_code == 429


def test_a_file_to_verify_has_the_interfaces_limit(page, monkeypatch):
    monkeypatch.setitem(page.service.config.limits.__dict__, "verify_bytes", 10)
    folder = page.service.state.owners / page.owner / shown_files.FOLDER
    before = set(folder.glob("v_*"))
    assert page.ask("POST", "/page/uploads/verified", content=b"x" * 11).status_code == 413
    assert set(folder.glob("v_*")) == before, "nothing is left of it"


@pytest.mark.parametrize("name", ["", None, 7, "../../../state", "v_" + "0" * 32 + ".mp4", {"path": "x"}, "v_\x00"])
def test_what_was_not_uploaded_is_asked_for(page, name):
    assert "there is no file here, or not any more; choose" in verdict(page, name)


def test_another_owner_has_other_files(page, uploaded):
    text = asyncio.run(verdict_text(page.service, "0" * 16, uploaded))
    assert "there is no file here" in text


def test_a_mistake_of_ours_is_told_without_a_word_of_it(page, uploaded, monkeypatch):
    async def broken(path, limits):
        raise RuntimeError("secret")

    monkeypatch.setattr(verify_form, "look_at", broken)
    assert "secret" not in verdict(page, uploaded)

    async def refuses(path, limits):
        raise Problem("unsupported-media", f"{path.name} is neither")

    again = page.ask("POST", "/page/uploads/verified?suffix=png", content=b"y").json()["id"]
    monkeypatch.setattr(verify_form, "look_at", refuses)
    assert "the file is neither" in verdict(page, again)


def test_what_nobody_verified_goes_after_an_hour(page, uploaded):
    place = shown_files.place_of(page.service, page.owner, uploaded)
    os.utime(place, (1, 1))
    page.ask("POST", "/page/uploads/verified?suffix=png", content=b"z")
    assert not place.exists()
