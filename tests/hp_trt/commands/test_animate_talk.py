"""`hp-trt animate --audio`: what it makes, says, keeps and takes."""

from __future__ import annotations

import json
import os
import shutil
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import hp_trt.hallo2.clip as spoken
from hp_trt.sample import landmarks_beside
from tests.hp_trt.clips import contents, make_clip
from tests.hp_trt.command_line import at_every_frame, empty, refused
from tests.hp_trt.hallo2.sounds import tone, write_sound

RANDOM = "this bundle has random weights: the face will be noise, for trying and for benchmarks only"
UNHEARD = "the sound is taken as it is, and music and noise move the face too"
NOBODY = "no identity network is given: the face's identity vector is zero"


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    """0.3 s at 16 kHz: 8 frames, of which a clip of the bundle has 3. Read only."""
    return write_sound(tmp_path_factory.mktemp("speech") / "speech.wav", tone(0.3, rate=16_000), 16_000)


@pytest.fixture
def talk(hp_trt, talk_bundle, sample, speech, tmp_path):
    """`animate --audio` with good arguments but those given, None for none; `out` is in a folder of its own."""
    folder = tmp_path / "result"
    folder.mkdir()
    good = {
        "bundle": talk_bundle,
        "portrait": sample[0],
        "portrait_landmarks": landmarks_beside(sample[0]),
        "audio": speech,
        "out": folder / "o.mp4",
        "steps": 1,
        "threads": 1,
    }

    def run(*more, **given):
        words = {key: value for key, value in (good | given).items() if value is not None}
        return hp_trt("animate", *(f"--{key.replace('_', '-')}={value}" for key, value in words.items()), *more)

    run.folder, run.out = folder, folder / "o.mp4"
    return run


def sound_s(path: Path) -> float:
    with av.open(str(path)) as file:
        return sum(frame.samples for frame in file.decode(audio=0)) / file.streams.audio[0].rate


def test_a_portrait_speaks_25_frames_a_second_with_its_sound(talk, sample):
    ended = talk(crop_out=talk.folder / "c.mp4", sheet=talk.folder / "s.png")
    assert ended.code == 0, ended.err
    result, crop = contents(talk.out), contents(talk.folder / "c.mp4")
    assert result.times_s == crop.times_s == [Fraction(i, 25) for i in range(8)]
    assert (result.size, crop.size) == (Image.open(sample[0]).size, (32, 32))
    # AAC has frames of 1024 samples: the last one may be filled up with silence.
    assert 0.3 <= sound_s(talk.out) < 0.3 + 2 * 1024 / 16_000
    assert ended.out.startswith(f"{talk.out}: 8 frames at 25 fps in ")
    notes = ended.err.splitlines()
    assert [note.startswith(f"note: {text}") for note, text in zip(notes, (RANDOM, UNHEARD, NOBODY), strict=True)]
    assert sorted(path.name for path in talk.folder.iterdir()) == ["c.mp4", "o.mp4", "s.png"]


@pytest.mark.parametrize(
    ("samples", "rate", "how", "frames"),
    [
        (1, 16_000, {}, 1),
        (641, 16_000, {}, 2),
        (2400, 8000, {}, 8),
        (19_200, 96_000, {"codec": "pcm_s24le", "form": "s32"}, 5),
        (5760, 48_000, {"codec": "pcm_f32le", "form": "flt", "layout": "7.1"}, 3),
    ],
    ids=["1-sample", "a-sample-more", "8-kHz", "24-bit", "8-channels"],
)
def test_every_begun_25th_of_a_second_is_a_frame(talk, tmp_path, samples, rate, how, frames):
    levels = tone(samples / rate, rate=rate)
    path = write_sound(tmp_path / "s.wav", np.stack([levels] * 8) if "layout" in how else levels, rate, **how)
    ended = talk(audio=path)
    assert ended.code == 0, ended.err
    assert len(contents(talk.out).times_s) == frames == -(-25 * samples // rate)


def test_a_videos_own_sound_is_speech(talk, tmp_path):
    ended = talk("--json", audio=make_clip(tmp_path / "v.mkv", 5, audio="pcm_s16le"))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out.splitlines()[-1])["frames"] == len(contents(talk.out).times_s) == 5


def test_the_same_seed_gives_the_same_file_and_guidance_1_another(talk):
    for name, words in {"a": [], "b": ["--seed=42"], "c": ["--seed=43"], "d": ["--guidance=1"]}.items():
        assert talk(*words, out=talk.folder / f"{name}.mp4").code == 0
    files = [(talk.folder / f"{name}.mp4").read_bytes() for name in "abcd"]
    assert files[0] == files[1] and len(set(files)) == 3


def test_a_mood_makes_another_video_and_neutral_is_none(talk, moods_bundle):
    moods = {"a": None, "b": "neutral", "c": "happy", "d": "Cheerful", "e": "happy:.5"}
    for name, mood in moods.items():
        ended = talk(mood=mood, bundle=moods_bundle, out=talk.folder / f"{name}.mp4")
        assert ended.code == 0, ended.err
    files = {name: (talk.folder / f"{name}.mp4").read_bytes() for name in moods}
    assert files["a"] == files["b"] and files["c"] == files["d"] and len(set(files.values())) == 3


@pytest.mark.parametrize(
    ("mood", "says"),
    [
        ("hungry", "is none of neutral, happy, sad, angry, surprised, sleepy: a text is not understood, it is matched"),
        ("", "the mood '' is none of neutral"),
        ("happy:2", "needs behind its colon one number of 0 to 1"),
    ],
)
def test_a_mood_that_is_none_is_refused_with_those_that_there_are(talk, moods_bundle, mood, says):
    refused(talk(f"--mood={mood}", bundle=moods_bundle), says)
    assert empty(talk.folder)


def without_samples(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.mkdir(), "is not a file"),
        (lambda p: os.mkfifo(p), "is not a file"),
        (lambda p: p.write_text("hello " * 50), "is no sound that FFmpeg can open"),
        (lambda p: p.write_bytes(b""), "is no sound that FFmpeg can open"),
        (lambda p: Image.new("RGB", (64, 64)).save(p, "png"), "is a picture or a text, not a sound"),
        (lambda p: make_clip(p, 5), "has no sound"),
        (lambda p: without_samples(p), "not one sample"),
    ],
    ids="nothing folder pipe text empty picture silent-video no-samples".split(),
)
def test_what_is_no_speech_gets_one_line_and_leaves_nothing(talk, tmp_path, make, says):
    make(tmp_path / "a.mp4")
    refused(talk(audio=tmp_path / "a.mp4"), str(tmp_path / "a.mp4"), says, "give a wav, mp3, m4a or flac")
    assert empty(talk.folder)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--mood=happy"], "these weights know no moods"),
        (["--motion-weights=1,1"], "--motion-weights is three numbers"),
        (["--motion-weights=nan,1,1"], "motion_weights needs three numbers"),
        (["--guidance=0.5"], "Invalid value for '--guidance'"),
        (["--seed=4294967296"], "seed can be at most 4294967295"),
        (["--appearance-scale=2", "--motion-scale=2"], "--appearance-scale, --motion-scale go with --driving"),
        (["--driving-landmarks=x.json"], "--driving-landmarks goes with --driving, got --audio; leave it out"),
        (["--resume", "--restart"], "give one of them"),
        (["--profile=quick"], "there is no profile 'quick'; there are: exact, balanced, live"),
        (["--vocals=/no/such.onnx"], "/no/such.onnx: no such file; give Kim_Vocal_2.onnx"),
        (["--arcface=/no/such.onnx"], "/no/such.onnx"),
        (["--portrait-landmarks=/no/such.json"], "/no/such.json"),
        (["--out=/no/such/o.mp4"], "/no/such is no folder"),
        (["--out=o.wav"], "o.wav: the result is written as .mp4, .mov, .mkv"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_option_that_cannot_be_is_refused(talk, words, says):
    refused(talk(*words), says)
    assert empty(talk.folder)


def test_what_moves_a_portrait_is_one_of_two_and_the_bundle_says_which(talk, small_bundle, sample):
    moving = {"audio": None, "driving": sample[1]}
    refused(talk(driving=sample[1]), "moved by one of two, got both: --driving VIDEO")
    refused(talk(audio=None), "moved by one of two, got neither")
    refused(talk(**moving), "is for hallo2", "by speech (audio), not by a driving video")
    refused(talk(bundle=small_bundle), "is for hunyuanportrait", "--preset talk_pocket --bundle BUNDLE")
    of_speech = ("--guidance=2", "--mood=sad", "--vocals=x.onnx", "--released-plan")
    stray = "--guidance, --mood, --vocals, --released-plan go with --audio"
    refused(talk(*of_speech, bundle=small_bundle, **moving), stray)
    assert empty(talk.folder)


def test_commands_that_know_videos_alone_say_so_of_a_bundle_that_speech_drives(hp_trt, talk, talk_bundle, sample):
    words = {"bundle": talk_bundle, "portrait": sample[0], "driving": sample[1], "out": talk.out}
    ended = hp_trt("live", *(f"--{name}={value}" for name, value in words.items()))
    refused(ended, "is for hallo2", "hp-trt live --driving moves them by a video alone", "--audio")
    ended = hp_trt("evaluate", "--protocol=self", "--seeds=0:1", "--frames=3", f"--bundle={talk_bundle}")
    refused(ended, "is for hallo2", "hp-trt evaluate --protocol self moves them by a video alone")
    assert empty(talk.folder)


def test_a_result_never_replaces_the_sound(talk, speech, tmp_path):
    own = Path(shutil.copy(speech, tmp_path / "own.mp4"))
    (tmp_path / "link.mp4").symlink_to(own)
    for out in (own, tmp_path / "link.mp4"):
        refused(talk(audio=own, out=out), "is the sound itself")
    assert own.read_bytes() == speech.read_bytes()


def interrupt(monkeypatch, *, after: int) -> None:
    """Ctrl-C when so many frames have been made."""
    made: list[int] = []

    def now():
        if len(made) == after:
            raise KeyboardInterrupt
        made.append(0)

    at_every_frame(monkeypatch, spoken.SpokenClip, now)


def test_an_interrupted_run_is_kept_and_gone_on_with_to_the_very_same_file(talk, monkeypatch):
    assert talk(out=talk.folder / "whole.mp4").code == 0
    kept = talk.folder / "o.mp4.resume"
    with monkeypatch.context() as patch:
        interrupt(patch, after=7)
        ended = talk()
    refused(ended, "interrupted", code=130)
    assert f"note: 6 frames are kept in {kept}/: go on with --resume" in ended.err.splitlines()
    assert kept.is_dir() and not talk.out.exists()
    refused(talk(), f"{kept}/ holds an unfinished run (2 chunks, 0.24 s)", "--resume", "--restart")
    refused(talk("--resume", steps=2), "a run of something else: sampling.steps was 1, is 2", "--restart")
    made: list[int] = []
    at_every_frame(monkeypatch, spoken.SpokenClip, lambda: made.append(0))
    ended = talk("--resume")
    assert ended.code == 0, ended.err
    assert len(made) == 2  # of the third clip, which has two frames
    assert talk.out.read_bytes() == (talk.folder / "whole.mp4").read_bytes()
    assert not kept.exists()


def test_a_run_in_another_mood_is_not_gone_on_with(talk, moods_bundle, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, after=4)
        refused(talk("--mood=happy", bundle=moods_bundle), "interrupted", code=130)
    refused(talk("--mood=sad", "--resume", bundle=moods_bundle), "sampling.mood was 'happy', is 'sad'")
    refused(talk("--resume", bundle=moods_bundle), "sampling.mood is missing now")
    ended = talk("--mood=happy", "--resume", bundle=moods_bundle)
    assert ended.code == 0, ended.err


def test_who_restarts_begins_anew_and_where_nothing_was_made_nothing_is_kept(talk, monkeypatch):
    for after, kept in ((2, False), (4, True)):
        with monkeypatch.context() as patch:
            interrupt(patch, after=after)
            refused(talk(), "interrupted", code=130)
        assert empty(talk.folder) == (not kept)
    assert talk("--restart", steps=2).code == 0
    assert [path.name for path in talk.folder.iterdir()] == ["o.mp4"]
