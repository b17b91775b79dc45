"""Speech of any length needs the memory of a little of it, and a render that is killed goes on."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from hp_trt.media.video import VideoReader
from hp_trt.sample import write_sample

SECONDS = 60, 300  # a piece of sound as the speech encoder is given it, and five
TALK = """
import json, sys
from hp_trt import Provenance, Runtime
from hp_trt.measure.bench.machine import peak_bytes
known = Provenance(mark_id=0x0A1B2C3D, credentials=False)  # two runs of one id are marked alike
bundle, portrait, landmarks, sound, out = sys.argv[1:]
with Runtime(bundle) as runtime:
    who = runtime.portrait(portrait, landmarks=landmarks)
    frames = runtime.animate(who, out=out, audio=sound, steps=1, resume="resume", provenance=known).frames
print(json.dumps({"frames": frames, "peak_bytes": peak_bytes(), "torch": "torch" in sys.modules}))
"""


def speech(path: Path, seconds: float) -> Path:
    """Noise that is louder and softer, as 16-bit wav at 16 kHz."""
    count = round(seconds * 16_000)
    level = 0.2 + 0.15 * np.sin(np.arange(count) / 2000)
    samples = (level * np.random.default_rng(0).standard_normal(count) * 8000).clip(-32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture(scope="module")
def talk(bundle_of, tmp_path_factory):
    """The words of a process that makes `out` of `sound` with a very small bundle."""
    folder = tmp_path_factory.mktemp("talk")
    portrait, _ = write_sample(folder, frames=1)
    bundle, landmarks = bundle_of(preset="tiny_talk", parity=False), folder / "portrait.landmarks.json"

    def words(sound: Path, out: Path) -> list[str]:
        return [sys.executable, "-c", TALK, *map(str, (bundle, portrait, landmarks, sound, out))]

    return words


@pytest.mark.heavy  # for its frames; the speech, the chain and the store have small tests of theirs
def test_five_minutes_of_speech_need_at_most_1_1_times_the_memory_of_one(talk, tmp_path):
    peaks = {}
    for seconds in SECONDS:
        sound = speech(tmp_path / f"{seconds}.wav", seconds)
        # A process of its own each, because a peak only rises.
        ran = subprocess.run(talk(sound, tmp_path / "out.mp4"), capture_output=True, text=True, check=True)
        found = json.loads(ran.stdout)
        assert (found["frames"], found["torch"]) == (25 * seconds, False)
        peaks[seconds] = found["peak_bytes"]
    short, long = (peaks[seconds] for seconds in SECONDS)
    assert long <= 1.1 * short, f"{long / 2**20:.0f} MiB for {SECONDS[1]} s, {short / 2**20:.0f} for {SECONDS[0]}"


def pixels(path: Path) -> list[np.ndarray]:
    return list(VideoReader(path))


def test_a_render_that_is_killed_again_and_again_loses_a_clip_at_most_and_ends_as_if_it_had_not_been(talk, tmp_path):
    sound = speech(tmp_path / "s.wav", 3)
    whole, killed = tmp_path / "whole.mp4", tmp_path / "killed.mp4"
    subprocess.run(talk(sound, whole), check=True, capture_output=True)
    chances, done = random.Random(0), 0
    store = tmp_path / "killed.mp4.resume"
    for _ in range(3):
        process = subprocess.Popen(talk(sound, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        more = done + chances.randint(2, 6)  # clips
        while len(list(store.glob("*.json"))) <= more and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not killed.exists() and store.is_dir()
        kept = len(list(store.glob("*.json")))
        assert kept >= done  # nothing that was whole is made again
        done = kept
    ended = subprocess.run(talk(sound, killed), check=True, capture_output=True, text=True)
    assert json.loads(ended.stdout)["frames"] == 75 and not store.exists()
    for one, other in zip(pixels(whole), pixels(killed), strict=True):
        np.testing.assert_array_equal(one, other)
