"""What `hp-trt animate` says and leaves behind when it is given nonsense."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.hp_trt.awkward_clips import copied_from
from tests.hp_trt.clips import make_clip, make_sound
from tests.hp_trt.command_line import empty, refused


def test_an_error_is_an_event_too(animate, tmp_path):
    ended = animate("--json", portrait=tmp_path / "none.png")
    last = json.loads(ended.out.splitlines()[-1])
    assert last["event"] == "error" and last["code"] == 2
    assert ended.error == f"error: {last['message']}"


def test_debug_adds_the_traceback_and_nothing_else_changes(animate, tmp_path):
    ended = animate("--debug", portrait=tmp_path / "none.png")
    assert "Traceback (most recent call last)" in ended.err
    assert ended.code == 2 and "no such file" in ended.error


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.write_text("hello"), "is not a picture"),
        (lambda p: p.write_bytes(b""), "is not a picture"),
        (lambda p: p.mkdir(), "is not a file"),
        (lambda p: Image.new("RGB", (256, 256), (90, 120, 90)).save(p), "no face in"),
        (lambda p: Image.new("RGB", (1, 1)).save(p), "(1 x 1 pixels)"),
        (lambda p: Image.new("RGB", (1, 5000)).save(p), "(1 x 5000 pixels)"),
        (lambda p: Image.new("1", (9000, 9000)).save(p), "at most 64 megapixels"),
        (lambda p: Image.new("1", (20000, 20000)).save(p), "at most 64 megapixels"),
    ],
    ids=["text", "empty", "folder", "no-face", "1-pixel", "strip", "bomb", "larger-bomb"],
)
def test_what_is_no_portrait_gets_one_line(animate, tmp_path, make, says):
    make(tmp_path / "p.png")
    refused(animate(portrait=tmp_path / "p.png"), str(tmp_path / "p.png"), says)
    assert empty(animate.folder)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.write_text("hello " * 50), "is no video"),
        (lambda p: p.write_bytes(b""), "is no video"),
        (lambda p: p.write_bytes(np.random.default_rng(0).bytes(20_000)), "is no video"),
        (lambda p: p.mkdir(), "is not a file"),
        (make_sound, "only audio"),
        (lambda p: make_clip(p, 5), "no face in any of the 5 frames"),
        (lambda p: p.write_bytes(make_clip(p, 5).read_bytes()[:-200]), "cut off"),
    ],
    ids=["text", "empty", "noise", "folder", "audio-only", "no-face", "cut-off"],
)
def test_what_is_no_driving_video_gets_one_line(animate, tmp_path, make, says):
    make(tmp_path / "d.mp4")
    refused(animate(driving=tmp_path / "d.mp4"), str(tmp_path / "d.mp4"), says)
    assert empty(animate.folder)


def test_a_clip_that_is_too_long_is_refused_before_any_work(animate, sample, tmp_path):
    says = "frames, at most 3 are taken; cut it shorter, or raise the limit"
    refused(animate("--max-frames=3", portrait=tmp_path / "none.png"), str(sample[1]), says, "--max-frames")
    assert empty(animate.folder)


def test_a_clip_that_does_not_say_its_length_is_refused_when_it_is_known(animate, sample, tmp_path):
    path = copied_from(sample[1], tmp_path / "d.mkv", 0)
    refused(animate("--max-frames=3", driving=path), f"{path} has more than 3 frames; cut it shorter", "--max-frames")
    assert empty(animate.folder)


def test_the_portrait_is_no_driving_video(animate, sample):
    refused(animate(driving=sample[0]), "is a picture")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--steps=0"], "Invalid value for '--steps'"),
        (["--steps=99999999999"], "less than or equal to 1000"),
        (["--steps=nan"], "'--steps'"),
        (["--seed=-1"], "seed"),
        (["--weight-budget=-1"], "Invalid value for '--weight-budget'"),
        (["--weight-budget=1"], "a weight budget is for TensorRT's plans, the family is onnxruntime"),
        (["--threads=0"], "Invalid value for '--threads'"),
        (["--threads=1000000"], "less than or equal to 1024"),
        (["--appearance-scale=nan"], "--appearance-scale"),
        (["--profile=fast"], "there is no profile 'fast'"),
        (["--locator=yolo"], "did you mean yoloface?"),
        (["--locator=yunet"], "needs a file"),
        (["--arcface=/no/such.onnx"], "/no/such.onnx"),
        (["--portrait-landmarks=/no/such.json"], "/no/such.json"),
        (["--sheet=s.mp4"], "s.mp4: the contact sheet is written as .png"),
        (["--sheet=/no/such/s.png"], "/no/such is no folder"),
        (["--decoder=nvdec"], "leave --decoder nvdec out"),  # no library here, or no GPU
        (["--encoder=nvenc"], "leave --encoder nvenc out"),
        (["--encoder=x264"], "no encoder 'x264'"),
        (["--stepz=3"], "--stepz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_that_cannot_be_is_refused(animate, words, says):
    refused(animate(*words), says)
    assert empty(animate.folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no/such/o.mp4", "is no folder"),
        ("o.avi", ".mp4, .mov, .mkv"),
        ("", "is a folder; give a file name in it"),
        ("a" * 252 + ".mp4", "name"),
    ],
    ids=["no-folder", "ending", "folder", "long"],
)
def test_a_name_that_cannot_be_written_is_told(animate, name, says):
    refused(animate(out=animate.folder / name), says)
    assert empty(animate.folder)


def test_a_result_never_replaces_what_it_is_made_of(animate, sample, tmp_path):
    portrait = Path(shutil.copy(sample[0], tmp_path / "p.mp4"))  # pictures are known by content, not by name
    driving = Path(shutil.copy(sample[1], tmp_path / "d.mp4"))
    (tmp_path / "link.mp4").symlink_to(driving)
    whole = portrait.read_bytes(), driving.read_bytes()
    refused(animate(portrait=portrait, out=portrait), "is the portrait itself")
    refused(animate(portrait=portrait, crop_out=portrait), "is the portrait itself")
    refused(animate(driving=driving, out=driving), "is the driving video itself")
    refused(animate(driving=driving, out=tmp_path / "link.mp4"), "is the driving video itself")
    refused(animate(crop_out=animate.folder / ".." / "result" / "o.mp4"), "would be one file")
    (tmp_path / "link.png").symlink_to(driving)
    refused(animate(driving=driving, sheet=tmp_path / "link.png"), "another name")
    refused(animate(portrait=sample[0], sheet=sample[0]), f"{sample[0]} is the portrait itself")
    assert (portrait.read_bytes(), driving.read_bytes()) == whole
    assert empty(animate.folder)
