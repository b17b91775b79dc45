"""`python -m export.attention_maps` as it is typed, of networks of seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from export.attention_maps.__main__ import app
from hp_trt.console import run as run_app
from hp_trt.sample import landmarks_beside, write_driving, write_portrait
from tests.export import tiny
from tests.export.hallo2.tiny import TINY_MOODS, TINY_TALK, make_known
from tests.hp_trt.command_line import as_typed, empty, refused
from tests.hp_trt.hallo2.sounds import tone, write_sound

DRIVEN = replace(tiny.SMALL, sampling={"pad_frames": 1, "steps": 2})  # five windows of three frames a step


@pytest.fixture
def maps(monkeypatch, capfd, tmp_path):
    portrait = tmp_path / "p.png"
    write_portrait(portrait, seed=3, px=256)
    folder = tmp_path / "out"
    folder.mkdir()
    good = {
        "preset": "tiny_talk",
        "portrait": portrait,
        "portrait_landmarks": landmarks_beside(portrait),
        "out": folder / "m.png",
        "steps": 1,
    }
    make_known(monkeypatch, TINY_TALK, TINY_MOODS)
    tiny.make_known(monkeypatch, DRIVEN)

    def run(*more, **given):
        words = {key: value for key, value in (good | given).items() if value is not None}
        typed = (f"--{key.replace('_', '-')}={value}" for key, value in words.items())
        return as_typed(
            lambda: run_app(app, json_events=False), "maps", *typed, *more, patch=monkeypatch, capture=capfd
        )

    run.folder, run.out = folder, folder / "m.png"
    return run


def test_speech_of_less_than_two_clips_shows_every_level(maps, tmp_path):
    speech = write_sound(tmp_path / "s.wav", tone(0.2, rate=16_000), 16_000)
    ended = maps("--random-weights", audio=speech)
    assert ended.code == 0, ended.err
    assert "2 levels of tiny_talk" in ended.out and "from the motion frames: mean" in ended.out + ended.err
    with Image.open(maps.out) as picture:
        assert picture.width > 800 and picture.height > 500


def test_what_is_read_from_a_mood_is_shown_of_a_net_that_knows_moods(maps, tmp_path):
    speech = write_sound(tmp_path / "s.wav", tone(0.2, rate=16_000), 16_000)
    ended = maps("--random-weights", "--mood=happy", audio=speech, preset="tiny_moods")
    assert ended.code == 0, ended.err
    assert "from the mood: mean" in ended.out + ended.err
    refused(maps("--random-weights", "--mood=happy", audio=speech), "the weights of tiny_talk know no moods")
    refused(maps("--random-weights", "--mood=odd", audio=speech, preset="tiny_moods"), "the mood 'odd' is none of")


def test_a_driving_video_shows_tokens_and_frames_at_every_level(maps, tmp_path):
    video = tmp_path / "d.mp4"
    write_driving(video, seed=4, frames=5, px=128)
    driven = {"preset": "small", "driving": video, "driving_landmarks": landmarks_beside(video)}
    ended = maps("--random-weights", **driven)
    assert ended.code == 0, ended.err
    assert "2 levels of small" in ended.out
    for said in ("from the motion tokens: mean", "image tokens: token", "a frame reads itself"):
        assert said in ended.err, said
    with Image.open(maps.out) as picture:
        assert picture.width > 3000 and picture.height > 500


def test_what_shows_no_face_or_is_no_video_is_told_in_a_line(maps, tmp_path):
    grey, video = tmp_path / "grey.png", tmp_path / "d.mp4"
    Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save(grey)
    write_driving(video, seed=4, frames=3, px=128)
    driven = {"preset": "small", "driving": video, "driving_landmarks": landmarks_beside(video)}
    refused(maps("--random-weights", **driven, portrait=grey, portrait_landmarks=None), f"no face in {grey}")
    refused(maps("--random-weights", **driven | {"driving": grey}), str(grey))
    refused(maps("--random-weights", **driven | {"driving": "/none/d.mp4"}), "/none/d.mp4: no such file")
    refused(maps("--random-weights", **driven, out=video), "the picture")
    maps.out.unlink(missing_ok=True)
    assert empty(maps.folder)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"preset": "small", "audio": "a.wav"}, "by a driving video: give --driving FILE, and leave --audio out"),
        ({"preset": "small", "audio": "a.wav", "driving": "d.mp4"}, "by a driving video: leave --audio out"),
        ({"preset": "small", "mood": "happy", "driving": "d.mp4"}, "by a driving video: leave --mood out"),
        ({"preset": "small"}, "portraits of small are moved by a driving video: give --driving FILE"),
        ({"driving": "d.mp4"}, "by speech: give --audio FILE, and leave --driving out"),
        ({"audio": "a.wav", "driving_landmarks": "d.json"}, "by speech: leave --driving-landmarks out"),
        ({}, "portraits of tiny_talk are moved by speech: give --audio FILE"),
        ({"preset": "talk_big", "audio": "a.wav"}, "there is no preset 'talk_big'"),
        ({"audio": "a.wav"}, "weights come from --weights DIR or --random-weights"),
        ({"audio": "a.wav", "weights": "w", "random": True}, "--weights and --random-weights given; choose one"),
        ({"audio": "/none/a.wav", "random": True}, "/none/a.wav: no such file"),
        ({"audio": "a.wav", "out": "m.txt", "random": True}, "names no kind of picture"),
        ({"audio": "a.wav", "out": "/none/m.png", "random": True}, "/none is no folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_looked_at_is_told_in_a_line_and_leaves_nothing(maps, given, says):
    random = ("--random-weights",) if given.pop("random", False) else ()
    refused(maps(*random, **given), says)
    assert empty(maps.folder)
