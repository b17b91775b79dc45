"""Samples of any cut, rate and kind become the same frames."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.hallo2.pushed_samples import PushedSamples

RATE, FRAME = 16_000, 640
ROUNDING = 1 / 32768  # samples have the values of 16 bits


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(samples)).clip(-1, 1).astype(np.float32)


def pushed(parts, **first) -> tuple[np.ndarray, list[Fraction]]:
    """All the frames of some pushes, and their times."""
    samples, frames = PushedSamples(), []
    for number, part in enumerate(parts):
        frames += samples.frames(part, first.get("pts_s") if number == 0 else None, what="push")
    frames += samples.rest()
    return np.concatenate([frame for frame, _ in frames]), [time_s for _, time_s in frames]


@pytest.mark.parametrize("cut", [1, 7, 160, 640, 1000, 5000])
def test_however_samples_are_cut_they_make_the_same_frames(cut):
    wave = noise(5000)
    found, times_s = pushed([wave[start : start + cut] for start in range(0, len(wave), cut)])
    assert np.abs(found[:5000] - wave).max() <= ROUNDING / 2 and not found[5000:].any()
    assert len(found) == 8 * FRAME and times_s == [Fraction(n, 25) for n in range(8)]


def test_times_go_on_from_the_first_and_what_is_left_keeps_its_place():
    samples = PushedSamples()
    assert samples.frames(noise(600), Fraction(5), what="push") == []
    (first,) = samples.frames(noise(50), Fraction(100), what="push")
    assert first[1] == 5
    assert [time_s for _, time_s in samples.rest()] == [Fraction(126, 25)]


def test_a_pause_of_the_drivers_clock_is_kept_between_whole_frames():
    samples = PushedSamples()
    samples.frames(noise(FRAME), Fraction(0), what="push")
    assert [time_s for _, time_s in samples.frames(noise(FRAME), Fraction(3), what="push")] == [3]


def test_channels_are_averaged_and_16_bits_are_what_they_say():
    left, right = noise(FRAME), noise(FRAME, seed=1)
    found, _ = pushed([np.stack([left, right], axis=1)])
    assert np.abs(found - (left + right) / 2).max() <= ROUNDING
    whole, _ = pushed([(left * 32767).astype(np.int16)])
    assert np.abs(whole - left).max() <= 2 * ROUNDING


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_another_rate_keeps_the_time_and_the_tone(rate):
    """A tone of 440 Hz has its peak where it should; a resampler's ends may be a millisecond off."""
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32) * np.float32(0.5)
    found, times_s = pushed([(part, rate) for part in np.array_split(tone, 13)])
    assert len(times_s) == 25 and len(found) == RATE
    assert np.abs(np.fft.rfft(found)).argmax() == 440
    assert np.std(found[1000:-1000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_another_rate_in_the_middle_goes_on_without_a_gap():
    found, times_s = pushed([noise(FRAME), (noise(48_00), 48_000), noise(FRAME)])
    assert len(found) == FRAME * 5  # 640, 1600 and 640 samples
    assert times_s == [Fraction(n, 25) for n in range(5)]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("sound", "push 3: the samples are 'sound', needed are"),
        (np.zeros((2, 3, 4), np.float32), "push 3: the samples have the shape"),
        (np.array([0.0, np.nan]), "push 3: the samples hold NaN or infinity"),
        (np.zeros(4, np.int32), "push 3: the samples are int32 numbers"),
        ((np.zeros(4, np.float32), 10), "push 3: the rate must be a whole number of at least 1000, got 10"),
        ((np.zeros(4, np.float32), None), "push 3: the rate must be a whole number"),
    ],
)
def test_what_is_no_sound_is_refused_by_the_number_of_its_push(item, says):
    with pytest.raises(InputError, match=says):
        PushedSamples().frames(item, None, what="push 3")
