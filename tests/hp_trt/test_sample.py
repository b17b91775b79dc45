from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import wave

import av
import numpy as np
import pytest

from engines.errors import InputError, OutputError
from hp_trt.__main__ import main
from hp_trt.faces.haar import HaarLocator
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.hallo2.sound import Sound
from hp_trt.media.images import load_image
from hp_trt.media.video import VideoReader
from hp_trt.sample import (
    DRIVING,
    landmarks_beside,
    parameters_beside,
    write_driving,
    write_sample,
    write_speech_sample,
)
from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import POINTS, landmarks, lips_box, outline_box
from procedural.motion import NAMES, State, motion
from procedural.speech import HZ, Phoneme, mouth, sentence
from tests.hp_trt.clips import contents
from tests.hp_trt.command_line import as_typed, refused


def test_the_sample_has_the_frames_the_rate_and_sound_of_its_length(tmp_path):
    portrait, driving = write_sample(tmp_path / "new" / "folder", frames=7, fps=30)
    for video in (driving, driving.with_name(DRIVING[1])):
        found = contents(video)
        assert (len(found.times_s), found.rate, found.size, found.sound_codec) == (7, 30, (384, 384), "aac")
        assert abs(found.sound_s - 7 / 30) < 0.06  # AAC comes in blocks of 23 ms, the first one primes the decoder
    assert load_image(portrait).shape == (512, 512, 3)


def test_portrait_and_videos_are_three_people(tmp_path):
    portrait, driving = write_sample(tmp_path, seed=3, frames=2)
    assert np.array_equal(load_image(portrait), draw(Identity.random(3), State(), 512))
    for video, seed in ((driving, 4), (driving.with_name(DRIVING[1]), 5)):
        first = next(iter(VideoReader(video))).astype(int)
        assert np.abs(first - draw(Identity.random(seed), motion(seed, 1)[0], 384)).mean() < 4  # but for H.264


def test_the_same_seed_draws_the_same_frames_and_writes_the_same_files(tmp_path):
    drawn = [write_sample(tmp_path / name, seed=3, frames=3)[1] for name in "ab"]
    assert all(np.array_equal(a, b) for a, b in zip(*map(VideoReader, drawn), strict=True))
    for beside in (landmarks_beside, parameters_beside):
        assert beside(drawn[0]).read_bytes() == beside(drawn[1]).read_bytes()


def test_landmarks_lie_beside_the_portrait_and_each_video(tmp_path):
    portrait, driving = write_sample(tmp_path, seed=8, frames=3)
    (face,) = LandmarksFile.read(landmarks_beside(portrait)).locate(load_image(portrait))
    assert np.allclose(face.landmarks, landmarks(Identity.random(8), State(), 512)[:5])
    assert np.allclose(face.parts.face, outline_box(Identity.random(8), State(), 512))
    assert np.allclose(face.parts.lips, lips_box(Identity.random(8), State(), 512))
    for seed, name in enumerate(DRIVING, start=9):
        video = driving.with_name(name)
        known = LandmarksFile.read(landmarks_beside(video))
        for number, (image, state) in enumerate(zip(VideoReader(video), motion(seed, 3), strict=True)):
            (face,) = known.locate(image, number)
            assert np.allclose(face.landmarks, landmarks(Identity.random(seed), state, 384)[:5])


def test_parameters_name_every_number_of_every_frame(tmp_path):
    driving = write_sample(tmp_path, seed=8, frames=3, fps=30)[1]
    known = json.loads(parameters_beside(driving).read_text())
    states = motion(9, 3, fps=30)
    assert (known["seed"], known["fps"], known["width"], known["height"]) == (9, 30, 384, 384)
    assert known["names"] == list(NAMES)
    assert np.allclose(known["parameters"], [state.vector() for state in states], atol=1e-6)
    assert known["points"] == list(POINTS)
    points = [landmarks(Identity.random(9), state, 384) for state in states]
    assert np.allclose(known["landmarks"], points, atol=6e-4)


@pytest.mark.parametrize("seed", [0, 10, 20, 30])
def test_haar_finds_the_drawn_faces_in_their_videos(seed, tmp_path):
    portrait, _ = write_sample(tmp_path, seed=seed, frames=40)
    locator = HaarLocator()
    assert len(locator.locate(load_image(portrait))) == 1
    for name in DRIVING:
        found = [len(locator.locate(image)) for image in list(VideoReader(tmp_path / name))[::5]]
        assert sum(count == 1 for count in found) >= 7, found  # of 8


def test_the_sound_is_loud_where_the_mouth_is_open_and_silent_where_it_is_shut(tmp_path):
    write_driving(tmp_path / "d.mp4", seed=2, frames=100, px=64)
    with av.open(str(tmp_path / "d.mp4")) as file:
        samples = np.concatenate([block.to_ndarray()[0] for block in file.decode(audio=0)])
    jaws = np.array([state.jaw for state in motion(2, 100)])
    loud = np.array([np.abs(part).max() for part in np.array_split(samples[: 4 * 44100], 100)])
    assert np.corrcoef(loud, jaws)[0, 1] > 0.9
    assert loud[jaws == 0].min() < 0.02 < 0.15 < loud[jaws > 0.7].min()


def test_a_folder_that_is_a_file_is_told_and_left_alone(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match="taken is a file; a folder is needed"):
        write_sample(tmp_path / "taken", frames=1)
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("most_bytes", [1000, 60_000])  # enough for nothing; for the portrait but no video
def test_a_full_disk_leaves_no_torn_file_and_what_was_there_before(tmp_path, most_bytes):
    (tmp_path / DRIVING[0]).write_text("an earlier one")

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    command = [sys.executable, "-m", "hp_trt", "sample", "--out", str(tmp_path), "--frames=40"]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: the sample in {tmp_path} could not be written: File too large; free some")
    assert (tmp_path / DRIVING[0]).read_text() == "an earlier one"
    pair = {"portrait.png", "portrait.landmarks.json"}
    assert set(os.listdir(tmp_path)) == {DRIVING[0]} | (pair if most_bytes > 1000 else set())


def test_sound_and_truth_are_as_long_as_asked_for(tmp_path):
    portrait, speech = write_speech_sample(tmp_path, seed=7, frames=30)
    with wave.open(str(speech)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, HZ)
        heard = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32767
    assert np.allclose(heard, sentence(7, 1.2).samples, atol=1e-4)
    truth = json.loads(parameters_beside(speech).read_text())
    assert len(truth["parameters"]) == len(truth["landmarks"]) == 30 and truth["names"] == list(NAMES)
    said = [Phoneme(*row) for row in truth["phonemes"]]
    jaw = [row[NAMES.index("jaw")] for row in truth["parameters"]]
    assert np.allclose(jaw, mouth(said, 30)[:, 0], atol=0.02)
    assert portrait.is_file() and landmarks_beside(portrait).is_file()


def test_the_application_reads_the_sound(tmp_path):
    _, speech = write_speech_sample(tmp_path, frames=10)
    assert sum(len(piece) for piece in Sound(speech)) == 10 * HZ // 25


def test_the_command_writes_speech(tmp_path, monkeypatch, capfd):
    words = ("sample", "--speech", "--out", tmp_path, "--frames", "5")
    ended = as_typed(main, "hp-trt", *words, patch=monkeypatch, capture=capfd)
    assert ended.code == 0 and "speech.wav" in ended.out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "portrait.landmarks.json", "portrait.png", "speech.parameters.json", "speech.wav",
    ]  # fmt: skip


def test_speech_into_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="out"):
        write_speech_sample(tmp_path / "out")


def test_espeak_says_what_it_is_given_and_its_phonemes_lie_beside(tmp_path):
    pytest.importorskip("espeakng_loader")
    _, speech = write_speech_sample(tmp_path, seed=7, voice="espeak", language="de", text="Guten Morgen")
    truth = json.loads(parameters_beside(speech).read_text())
    said = [Phoneme(*row) for row in truth["phonemes"]]
    assert "".join(p.symbol for p in said).startswith("_gutən")
    assert (truth["voice"], truth["language"], truth["text"]) == ("espeak", "de", "Guten Morgen")
    with wave.open(str(speech)) as sound:
        assert sound.getframerate() == HZ and sound.getnframes() / HZ == pytest.approx(said[-1].end_s, abs=1e-3)
    assert len(truth["parameters"]) == int(np.ceil(said[-1].end_s * 25))


def test_our_own_voice_says_no_text(tmp_path):
    with pytest.raises(InputError, match="the voice 'own' says syllables, no text; add --voice espeak"):
        write_speech_sample(tmp_path, text="hello")


def test_the_command_speaks_by_espeak(tmp_path, monkeypatch, capfd):
    pytest.importorskip("espeakng_loader")
    words = ("sample", "--speech", "--voice", "espeak", "--out", tmp_path, "--frames", "5")
    ended = as_typed(main, "hp-trt", *words, patch=monkeypatch, capture=capfd)
    assert ended.code == 0 and "speech.wav" in ended.out
    assert json.loads((tmp_path / "speech.parameters.json").read_text())["voice"] == "espeak"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--speech", "--voice", "espk"), "there is no voice 'espk'; did you mean espeak? There are: own, espeak"),
        (("--speech", "--voice", "espeak", "--language", "fr"), "there is no language 'fr'; there are: en, de"),
        (("--speech", "--voice", "espeak", "--text", ""), "there is nothing to say in the text; give words"),
        (("--speech", "--voice", "espeak", "--text", "ab " * 4000), "the text has 12000 letters, at most 10000"),
        (("--speech", "--text", "hello"), "says syllables, no text; add --voice espeak"),
        (("--voice", "espeak"), "--voice is of speech; add --speech, or leave it out"),
        (("--speech", "--voice", "espeak", "--text", "a", "--frames", "5"), "leave one out"),
    ],
)
def test_a_voice_or_a_text_that_cannot_be_used_is_refused_in_one_line(words, message, tmp_path, monkeypatch, capfd):
    ended = as_typed(main, "hp-trt", "sample", "--out", tmp_path / "new", *words, patch=monkeypatch, capture=capfd)
    refused(ended, message)
    assert not (tmp_path / "new").exists()


def test_without_the_extra_the_command_says_what_to_install(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    words = ("sample", "--speech", "--voice", "espeak", "--out", tmp_path / "new")
    ended = as_typed(main, "hp-trt", *words, patch=monkeypatch, capture=capfd)
    refused(ended, "needs espeakng_loader, which is not installed; pip install '.[espeak]'")
    assert not (tmp_path / "new").exists()
