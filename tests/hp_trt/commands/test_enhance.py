from __future__ import annotations

import json

import pytest

from hp_trt.enhancer import enhancer
from hp_trt.media.video import VideoReader
from tests.hp_trt.command_line import refused
from tests.hp_trt.enhancer.stand_in import StandIn, frame, make_bundle, write_video


@pytest.fixture
def given(tmp_path, monkeypatch):
    """The words of a command that enhances a video of three frames."""
    monkeypatch.setattr(enhancer, "open_backend", lambda *_: StandIn())
    make_bundle(tmp_path / "E", kind="published")
    video = write_video(tmp_path / "talk.mp4", [frame(number) for number in range(3)])
    return "enhance", video, "--bundle", tmp_path / "E", "--out", tmp_path / "big.mp4"


def test_a_video_is_enhanced_and_the_terms_come_first(hp_trt, given, tmp_path):
    ended = hp_trt(*given, "--scale", 4, "--face-upsample", "--fidelity", 1)
    assert ended.code == 0, ended.err
    assert ended.err.splitlines()[0].startswith("note: licence: the face restorer derives from CodeFormer, S-Lab")
    assert "3 frames of 384 x 320 at 25 fps, 3 with a restored face" in ended.out
    assert (VideoReader(tmp_path / "big.mp4").info.width, len(list(VideoReader(tmp_path / "big.mp4")))) == (384, 3)


def test_as_lines_of_json(hp_trt, given):
    lines = [json.loads(line) for line in hp_trt(*given, "--released", "--json").out.splitlines()]
    assert lines[0]["event"] == "note" and lines[-1]["event"] == "result"
    assert (lines[-1]["frames"], lines[-1]["height"]) == (2, 1024)
    assert any(line["event"] == "progress" and line["stage"] == "upscale" for line in lines)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--scale", 3), "--scale is one of 2, 4, 8, got 3"),
        (("--scale", 0), "--scale is one of 2, 4, 8, got 0"),
        (("--fidelity", 2), "--fidelity is a number from 0 to 1, got 2.0"),
        (("--resume", "--restart"), "give one of them"),
        (("--released", "--repeat"), "leave repeat out, or released"),
        (("--family", "none"), "there is no family"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(hp_trt, given, tmp_path, words, says):
    refused(hp_trt(*given, *words), says)
    assert not (tmp_path / "big.mp4").exists()


def test_the_result_does_not_replace_the_video(hp_trt, given):
    refused(hp_trt(*given[:-1], given[1]), "is the video itself")
