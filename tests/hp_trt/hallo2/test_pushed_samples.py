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


def pushed(parts, times_s=()) -> tuple[np.ndarray, list[Fraction]]:
    """All the frames of some pushes, and their times."""
    samples, frames = PushedSamples(), []
    for number, part in enumerate(parts):
        frames += samples.push(part, times_s[number] if number < len(times_s) else None, what="push")
    frames += samples.rest()
    return np.concatenate([frame.samples for frame, _ in frames]), [time_s for _, time_s in frames]


@pytest.mark.parametrize("cut", [1, 7, 160, 640, 1000, 5000])
def test_however_samples_are_cut_they_make_the_same_frames(cut):
    wave = noise(5000)
    found, times_s = pushed([wave[start : start + cut] for start in range(0, len(wave), cut)])
    assert np.abs(found[:5000] - wave).max() <= ROUNDING / 2 and not found[5000:].any()
    assert len(found) == 8 * FRAME and times_s == [Fraction(n, 25) for n in range(8)]


def test_a_frame_leaves_when_the_two_behind_it_are_there_and_hears_them():
    wave, samples = noise(5 * FRAME), PushedSamples()
    assert samples.push(wave[: 3 * FRAME - 1], None, what="push") == []
    ((first, time_s),) = samples.push(wave[3 * FRAME - 1 : 3 * FRAME], None, what="push")
    assert time_s == 0 and np.abs(first.ahead - wave[FRAME : 3 * FRAME]).max() <= ROUNDING / 2
    left = samples.push(wave[3 * FRAME :], None, what="push") + samples.rest()
    assert [len(frame.ahead) // FRAME for frame, _ in left] == [2, 2, 1, 0]


def test_times_that_say_no_more_than_a_clocks_slips_leave_no_gap():
    slips = [Fraction(5), Fraction(5) + Fraction(650, RATE), Fraction(5) + Fraction(1190, RATE)]
    wave = noise(3 * 600)
    found, times_s = pushed(np.split(wave, 3), slips)
    assert np.abs(found[:1800] - wave).max() <= ROUNDING / 2
    assert times_s == [Fraction(5) + Fraction(n, 25) for n in range(3)]


def test_a_pause_of_the_drivers_clock_is_kept_and_silence_fills_the_frame_before_it():
    wave = noise(1600)
    found, times_s = pushed([wave[:1000], wave[1000:]], [Fraction(0), Fraction(3)])
    assert times_s == [0, Fraction(1, 25), 3]
    assert np.abs(found[:1000] - wave[:1000]).max() <= ROUNDING / 2 and not found[1000 : 2 * FRAME].any()
    assert np.abs(found[2 * FRAME : 2 * FRAME + 600] - wave[1000:]).max() <= ROUNDING / 2


def test_a_time_that_goes_back_is_refused_and_nothing_of_it_is_kept():
    samples, wave = PushedSamples(), noise(3 * FRAME)
    samples.push(wave[:FRAME], Fraction(5), what="push 0")
    with pytest.raises(InputError, match=r"push 1 at 1\.000 s begins before the end .* at 5\.040 s; times"):
        samples.push(wave[FRAME:], Fraction(1), what="push 1")
    left = samples.push(wave[FRAME:], None, what="push 2") + samples.rest()
    assert [time_s for _, time_s in left] == [Fraction(5) + Fraction(n, 25) for n in range(3)]


def test_no_samples_are_fine_and_change_nothing():
    samples = PushedSamples()
    for nothing in (np.zeros(0, np.float32), np.zeros((0, 2), np.int16), (np.zeros(0, np.float32), 48_000)):
        assert samples.push(nothing, Fraction(9), what="push") == []
    assert samples.rest() == []


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
        PushedSamples().push(item, None, what="push 3")
