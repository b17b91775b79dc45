"""`hp-trt live --audio`: speech in, a portrait that speaks out, and its sound with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hp_trt.sample import landmarks_beside
from tests.hp_trt.clips import contents, make_clip
from tests.hp_trt.command_line import empty, refused
from tests.hp_trt.hallo2.sounds import write_sound
from tests.hp_trt.sounding import clip_with_click, heard


@pytest.fixture
def live(hp_trt, talk_bundle, sample, tmp_path):
    """`live --audio` with good arguments but those given, None for none; `out` is in a folder of its own."""
    folder = tmp_path / "result"
    folder.mkdir()
    quick = tmp_path / "quick.toml"
    quick.write_text('[quick]\nbase = "live"\nsteps = 1\n')
    good = {
        "bundle": talk_bundle,
        "portrait": sample[0],
        "portrait_landmarks": landmarks_beside(sample[0]),
        "out": folder / "o.mp4",
        "profile": quick,
        "pace": "fast",
        "threads": 1,
    }

    def run(*more, **given):
        words = {key: value for key, value in (good | given).items() if value is not None}
        return hp_trt("live", *(f"--{key.replace('_', '-')}={value}" for key, value in words.items()), *more)

    run.folder, run.out = folder, folder / "o.mp4"
    return run


def click(path: Path, *, seconds: float, at_s: float, **how) -> Path:
    rate = 16_000
    wave = np.zeros(round(seconds * rate))
    wave[round(at_s * rate) : round((at_s + 0.1) * rate)] = 0.8
    return write_sound(path, wave, rate, **how)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_file_of_sound_becomes_a_video_of_25_frames_a_second_with_its_sound_in_step(live, tmp_path, ending):
    out = live.folder / f"o.{ending}"
    ended = live("--json", audio=click(tmp_path / "a.wav", seconds=0.62, at_s=0.4), out=out)
    assert ended.code == 0, ended.err
    result = json.loads(ended.out.splitlines()[-1])
    assert result["event"] == "result" and result["frames"] == 16, "of 15.5, the last one's rest is silence"
    assert result["dropped_in"] == result["dropped_out"] == 0
    times = contents(out).times_s
    assert times == pytest.approx([frame / 25 for frame in range(16)], abs=0.002)
    assert heard(out).clicks_s == pytest.approx([0.4], abs=0.03)


def test_a_videos_own_sound_speaks_and_time_begins_where_it_does(live, tmp_path):
    driving = clip_with_click(tmp_path / "a.mkv", codec="aac", pictures_s=3, sound_s=3, click_s=3.4, seconds=0.8)
    ended = live(audio=driving)
    assert ended.code == 0, ended.err
    after, before = heard(live.out), heard(driving)
    assert after.pictures_s[0] == 0 and len(after.pictures_s) in (20, 21, 22)
    assert after.clicks_s == pytest.approx([before.clicks_s[0] - 3], abs=0.05)


def test_only_so_many_seconds_of_the_source(live, tmp_path):
    ended = live("--seconds=0.32", audio=click(tmp_path / "a.wav", seconds=2, at_s=0.1))
    assert ended.code == 0, ended.err
    assert "0.32 s are over" in ended.out and len(contents(live.out).times_s) < 20


def test_speech_may_come_from_standard_input(live, tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.write(writer, click(tmp_path / "a.wav", seconds=0.3, at_s=0.1).read_bytes())
    os.close(writer)
    kept = os.dup(0)
    os.dup2(reader, 0)
    try:
        ended = live(audio="-")
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reader)
    assert ended.code == 0, ended.err
    assert len(contents(live.out).times_s) == 8


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "neither --driving nor --audio given; a portrait is moved by one of them"),
        ({"audio": "a.wav", "driving": "d.mp4"}, "both --driving and --audio given"),
        ({"driving": "d.mp4"}, "hp-trt live --driving moves them by a video alone; give --audio SOURCE"),
        ({"audio": "/none/a.wav"}, "/none/a.wav: no such file; give a wav, mp3, m4a or flac"),
        ({"audio": "mic:77"}, "the microphone mic:77 is not there"),
        ({"audio": "a.wav", "driving_landmarks": "l.json"}, "--driving-landmarks are of a driving video"),
        ({"audio": "a.wav", "bundle": "shipped:pocket"}, "moves them by speech (audio) alone; give --driving SOURCE"),
        ({"driving": "d.mp4", "mood": "happy"}, "--mood goes with --audio, got --driving; leave it out"),
        ({"audio": "/none/a.wav", "mood": "happy"}, "these weights know no moods"),
        ({"audio": "a.wav", "profile": "exact"}, "the profile exact is for whole clips"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_told_in_a_line_and_leaves_nothing(live, given, says):
    refused(live(**given), says)
    assert empty(live.folder)


def test_a_mood_is_heard_of_before_the_source_is_opened_and_makes_another_video(live, moods_bundle, tmp_path):
    refused(live(audio="/none/a.wav", mood="hungry", bundle=moods_bundle), "the mood 'hungry' is none of neutral")
    audio = click(tmp_path / "a.wav", seconds=0.3, at_s=0.1)
    for name, mood in (("a", "neutral"), ("b", "sleepy"), ("c", "tired")):
        ended = live(audio=audio, mood=mood, bundle=moods_bundle, out=live.folder / f"{name}.mp4")
        assert ended.code == 0, ended.err
    made = [(live.folder / f"{name}.mp4").read_bytes() for name in "abc"]
    assert made[0] != made[1] == made[2]


def test_a_video_without_sound_and_a_file_without_samples_leave_nothing(live, tmp_path):
    refused(live(audio=make_clip(tmp_path / "v.mp4", 5)), "has no sound")
    damaged = tmp_path / "d.wav"
    damaged.write_bytes(click(tmp_path / "a.wav", seconds=0.5, at_s=0.1).read_bytes()[:44])
    refused(live(audio=damaged), str(damaged))
    assert empty(live.folder)


def test_the_policy_latest_is_refused(live, tmp_path):
    ended = live("--policy=latest", audio=click(tmp_path / "a.wav", seconds=0.3, at_s=0.1), pace="own")
    refused(ended, "the policy latest would leave the last 40 ms of what is said")
