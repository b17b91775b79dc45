from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.hp_trt.clips import make_clip
from tests.hp_trt.command_line import refused
from tests.hp_trt.provenance.sealing import seal_for, write_clip


@pytest.fixture(autouse=True)
def own_state(sealed, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_ours_and_intact_is_0_and_each_part_has_a_line(hp_trt, tmp_path):
    out = tmp_path / "o.mp4"
    write_clip(out, seal_for(out, consent="she\u2019s fine with it"))
    ended = hp_trt("verify", out)
    assert ended.code == 0 and ended.err == ""
    first, found, mark, beside = ended.out.splitlines()
    assert first == f"{out}: made by hp-trt, and nothing found here speaks against it"
    claim = "claimed by hp-trt: compositeWithTrainedAlgorithmicMedia"
    assert found == f"  credentials: valid, signed by hp-trt local, unverified, {claim}"
    assert mark.startswith("  mark: ")
    assert beside == "  sidecar: hp-trt 0.1.0, consent as stated: she\u2019s fine with it"
    assert hp_trt("verify", out, "--anchor", tmp_path / "state" / "hp-trt" / "local-anchor.pem").out.count("trusted,")


def test_nothing_found_is_1(hp_trt, tmp_path):
    Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(tmp_path / "cat.png")
    for path in (tmp_path / "cat.png", make_clip(tmp_path / "film.mp4", 2)):
        ended = hp_trt("verify", path)
        assert ended.code == 1 and "no proof of anything" in ended.out and "sidecar: none" in ended.out


def test_found_and_broken_is_3_and_says_what_does_not_fit(hp_trt, tmp_path):
    out = tmp_path / "o.mp4"
    write_clip(out, seal_for(out))
    data = bytearray(out.read_bytes())
    data[data.index(b"mdat") + 50] ^= 4
    out.write_bytes(data)
    ended = hp_trt("verify", out)
    assert ended.code == 3 and ended.out.splitlines()[0] == f"{out}: what it carries does not fit it"
    assert "  broken: the credentials are invalid: " in ended.out and "assertion.bmffHash.mismatch" in ended.out
    report = json.loads(hp_trt("verify", out, "--json").out)
    assert report["format"] == "hp-trt verify" and report["verdict"] == "broken" and len(report["broken"]) == 2


def test_words_of_a_stranger_cannot_talk_to_a_terminal(hp_trt, tmp_path):
    out = tmp_path / "o.mkv"
    write_clip(out, seal_for(out, consent="fine"))
    place = tmp_path / "o.mkv.json"
    place.write_text(place.read_text().replace('"fine"', json.dumps("\x1b[2J\x1b]0;owned\x07\n\nsidecar: all is well")))
    ended = hp_trt("verify", out)
    assert ended.code == 0 and "\x1b" not in ended.out and "\x07" not in ended.out
    assert not [line for line in ended.out.splitlines() if line.startswith("sidecar")]


@pytest.mark.parametrize("name", ["missing.mp4", ".", "empty.mp4", "text.mp4"])
def test_what_cannot_be_looked_at_is_the_users_turn(hp_trt, tmp_path, name):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video, just words")
    refused(hp_trt("verify", tmp_path / name), str(tmp_path / name) if name != "." else "is not a file")


def test_an_anchor_that_is_none_is_refused(hp_trt, tmp_path):
    out = make_clip(tmp_path / "film.mp4", 2)
    refused(hp_trt("verify", out, "--anchor", out), "has no certificates that can be read")
