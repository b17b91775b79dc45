from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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


def test_the_restorer_is_left_out_with_its_terms(hp_trt, given):
    ended = hp_trt(*given, "--no-restore")
    assert ended.code == 0, ended.err
    assert "CodeFormer" not in ended.err and "3 frames of 192 x 160 at 25 fps, 0 with a restored face" in ended.out


def test_the_upscaler_is_left_out(hp_trt, given):
    ended = hp_trt(*given, "--no-upscale")
    assert ended.code == 0, ended.err
    assert "CodeFormer" in ended.err and "3 frames of 192 x 160 at 25 fps, 3 with a restored face" in ended.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--no-restore", "--no-upscale"), "there is nothing to do"),
        (("--no-restore", "--fidelity", 1), "fidelity: only where faces are restored"),
        (("--no-upscale", "--repeat"), "repeat: only with the upscaler"),
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


MEASURED = """
import resource, sys
from hp_trt.__main__ import main
sys.argv = ["hp-trt", "enhance", *sys.argv[1:]]
try:
    main()
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def peak_mib(*words) -> int:
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words), "--no-credentials"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout.rsplit("peak", 1)[1])


@pytest.mark.heavy
def test_a_hundred_frames_take_the_memory_of_a_window_and_8_by_8_make_4096(bundle_of, tmp_path):
    bundle = bundle_of(preset="enhancer_tiny", parity=False)
    videos = {}
    for name, count, side in (("window", 16, 384), ("long", 100, 384), ("large", 8, 512)):
        pictures = [frame(number, (side, side)) for number in range(count)]
        videos[name] = write_video(tmp_path / f"{name}.mp4", pictures)
    peaks = {
        name: peak_mib(video, "--bundle", bundle, "--out", tmp_path / f"{name}-out.mp4", "--scale", scale)
        for scale, (name, video) in zip((2, 2, 8), videos.items(), strict=True)
    }
    assert peaks["long"] < 1.2 * peaks["window"], peaks
    info = VideoReader(tmp_path / "large-out.mp4").info
    assert (info.width, info.height, info.frames) == (4096, 4096, 8)
