"""`hp-trt demo`: a first result, of what comes with the package alone."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

import hp_trt.sample as samples
from hp_trt.commands.demo import LARGE_PX, enlarged_faces
from hp_trt.media.images import load_image
from procedural.draw import draw
from procedural.identity import Identity
from procedural.motion import motion
from tests.hp_trt.clips import contents
from tests.hp_trt.enhancer.stand_in import write_video


@pytest.fixture
def short(monkeypatch) -> None:
    """Drawn drivers and speech of three frames."""
    for name in ("write_sample", "write_speech_sample"):
        monkeypatch.setattr(samples, name, partial(getattr(samples, name), frames=3))


def test_it_draws_people_and_animates_them(hp_trt, tmp_path, short):
    ended = hp_trt("demo", "--out", tmp_path / "new", "--seed", 3, "--json")
    assert ended.code == 0, ended.err
    events = [json.loads(line) for line in ended.out.splitlines()]
    following, speaking = (event for event in events if event["event"] == "result")
    assert (following["out"], following["frames"]) == (str(tmp_path / "new" / "demo.mp4"), 3)
    assert (speaking["out"], speaking["frames"]) == (str(tmp_path / "new" / "demo-talk.mp4"), 3)
    for name in ("demo.mp4", "demo-talk.mp4"):
        assert contents(tmp_path / "new" / name).size == (512, 512)
    assert contents(tmp_path / "new" / "demo-crop.mp4").size == (128, 128)
    sheet, spoken = (load_image(tmp_path / "new" / name) for name in ("demo.png", "demo-talk.png"))
    assert sheet.shape[1] > 900 and sheet.shape[0] - spoken.shape[0] > LARGE_PX, "with a line of enlarged faces"
    assert (tmp_path / "new" / "sample" / "driving.mp4").is_file()
    assert (tmp_path / "new" / "sample-speech" / "speech.wav").is_file()
    assert load_image(tmp_path / "new" / "demo-talk.png").shape[1] > 500
    assert not [event["text"] for event in events if event["event"] == "note" and "photograph" in event["text"]]


def test_the_face_is_shown_small_and_enlarged_by_a_filter_and_by_the_upscaler(tmp_path):
    picture = draw(Identity.random(3), motion(3, 1)[0], 128)
    small, bicubic, ours = enlarged_faces(write_video(tmp_path / "crop.mp4", [picture] * 2))
    assert small[0] == "a frame of 128 x 128"
    assert {one.shape for _, one in (small, bicubic, ours)} == {(LARGE_PX, LARGE_PX, 3)}
    assert (small[1][::4, ::4] == small[1][3::4, 3::4]).all(), "pixels as they are"
    assert np.abs(bicubic[1].astype(int) - small[1]).mean() < 12
    assert 0.2 < np.abs(ours[1].astype(int) - bicubic[1]).mean() < 6


def test_with_files_of_ones_own_nothing_is_drawn_and_what_to_expect_is_told(hp_trt, tmp_path, sample):
    own = ("--portrait", sample[0], "--driving", sample[1], "--audio", sample[1])
    ended = hp_trt("demo", "--out", tmp_path, *own)
    assert ended.code == 0, ended.err
    first = "note: pocket and talk_pocket were trained on drawn people, and on synthetic speech: "
    assert ended.err.splitlines()[0] == f"{first}of a photograph they make a smear"
    made = ["demo-crop.mp4", "demo-talk.mp4", "demo-talk.png", "demo.mp4", "demo.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == made


def test_without_onnx_runtime_it_says_what_to_install_and_draws_nothing(hp_trt, tmp_path, monkeypatch):
    monkeypatch.setattr("engines.families.is_installed", lambda family: False)
    ended = hp_trt("demo", "--out", tmp_path)
    assert ended.code == 2
    assert ended.err.startswith("error: onnxruntime is not installed; pip install '.[cpu]'")
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_would_replace_an_input_is_refused(hp_trt, tmp_path, sample):
    (tmp_path / "demo.png").write_bytes(sample[0].read_bytes())
    ended = hp_trt("demo", "--out", tmp_path, "--portrait", tmp_path / "demo.png")
    assert ended.code == 2 and "demo.png" in ended.err
    assert (tmp_path / "demo.png").read_bytes() == sample[0].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["demo.png"]


def test_an_input_that_drawing_would_replace_is_refused(hp_trt, tmp_path, sample):
    mine = tmp_path / "sample" / "portrait.png"
    mine.parent.mkdir()
    mine.write_bytes(sample[0].read_bytes())
    ended = hp_trt("demo", "--out", tmp_path, "--portrait", mine)
    assert ended.code == 2 and str(mine) in ended.err
    assert mine.read_bytes() == sample[0].read_bytes()
