"""The sound that is handed in, and the facts by which two renders are one."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.config import RuntimeConfig
from hp_trt.interface.speech import run_facts, speech_of
from hp_trt.profiles import Profile
from tests.engines.bundles import manifest_of
from tests.hp_trt.hallo2.sounds import tone, write_sound
from tests.hp_trt.live.fake_stream import portrait

SOUND = np.zeros(100, np.float32), 16_000


def facts(audio=SOUND, *, config=None, who=None, released_plan=False, **sampling):
    profile = Profile(name="mine", sampling={"steps": 3, **sampling})
    bundle = SimpleNamespace(manifest=replace(manifest_of(), sampling={"seed": 1}))
    speech = speech_of(audio, released_plan)
    return run_facts(bundle, config or RuntimeConfig(), profile, who or portrait(3), speech)


def test_facts_are_json_and_those_of_the_same_frames_are_the_same():
    assert facts() == facts((SOUND[0].copy(), np.int64(16_000)), config=RuntimeConfig(threads=3), steps=np.int8(3))
    weights = facts(motion_weights=(np.float32(1), 1, 1.5))["sampling"]["motion_weights"]
    assert json.loads(json.dumps(facts())) == facts() and weights == [1, 1, 1.5]


@pytest.mark.parametrize(
    "other",
    [
        {"audio": (SOUND[0], 8000)},
        {"audio": (SOUND[0].astype(np.float64), 16_000)},
        {"audio": (SOUND[0][:, None], 16_000)},
        {"steps": 4},
        {"seed": 2},
        {"mood": "happy"},
        {"released_plan": True},
        {"who": replace(portrait(3), key="another")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_whatever_makes_other_frames_is_another_fact(other):
    assert facts(**other) != facts()


def test_a_file_is_known_by_its_content(tmp_path):
    one, same, other = (
        write_sound(tmp_path / f"{name}.wav", tone(0.01, hz=hz, rate=16_000), 16_000)
        for name, hz in (("one", 440), ("same", 440), ("other", 441))
    )
    assert facts(one) == facts(same) != facts(other)


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        ((SOUND[0], 0), "the rate of audio in Hz must be a whole number of at least 1000, got 0"),
        ((SOUND[0], 10**6), "the rate of audio in Hz can be at most 768000"),
        ((16_000, SOUND[0]), r"got a pair of 16000 and an array \(100,\) of float32; give one of these"),
        ((SOUND[0],), "got a tuple of 1; give one of these"),
        (SOUND[0], "audio, where it is no samples, must be the path of a file"),
        ("/no/such.wav", "/no/such.wav: no such file; give a wav, mp3, m4a or flac"),
    ],
)
def test_what_is_no_sound_is_told_at_once(audio, says):
    with pytest.raises(InputError, match=says):
        speech_of(audio, False)


def test_parts_by_nvenc_are_refused():
    with pytest.raises(InputError, match=r"is encoded in parts that libx264 makes .*; leave the encoder nvenc"):
        facts(config=RuntimeConfig(encoder="nvenc"))
