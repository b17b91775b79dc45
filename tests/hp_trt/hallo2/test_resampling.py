"""Lengths, places and seams: against whole numbers, and against the same sound in one go."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hp_trt.hallo2.resampling import Resampler, Timeline, pieces
from tests.hp_trt.hallo2.sounds import tone


def resampled(wave: np.ndarray, *, source_rate: int, rate: int, block: int) -> np.ndarray:
    down = Resampler(source_rate=source_rate, rate=rate, channels=len(wave))
    parts = [down.take(wave[:, start : start + block]) for start in range(0, wave.shape[1], block)]
    return np.concatenate([*parts, down.end()], axis=1)


@pytest.mark.parametrize("source_rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("block", [100, 1024, 40_000, 10**6])
def test_blocks_of_any_size_give_the_same_sound_and_its_length_rounded_up(source_rate, block):
    wave = np.stack([tone(1.7, rate=source_rate), tone(1.7, hz=300, rate=source_rate)]).astype(np.float32)
    found = resampled(wave, source_rate=source_rate, rate=16_000, block=block)
    assert found.shape == (2, -(-wave.shape[1] * 16_000 // source_rate))
    whole = resampled(wave, source_rate=source_rate, rate=16_000, block=wave.shape[1])
    np.testing.assert_allclose(found, whole, atol=1e-6)  # sums of float32 in another order


def test_up_and_down_again_is_the_sound():
    wave = tone(1, rate=16_000)[None].astype(np.float32)
    up = resampled(wave, source_rate=16_000, rate=44_100, block=5000)
    assert up.shape == (1, 44_100)
    down = resampled(up, source_rate=44_100, rate=16_000, block=5000)
    np.testing.assert_allclose(down[:, 400:-400], wave[:, 400:-400], atol=1e-4)


@pytest.mark.parametrize("source_rate", [8000, 16_000, 44_100, 48_000])
def test_what_is_fed_comes_out_at_once_but_for_some_milliseconds(source_rate):
    """Somebody may be waiting for it."""
    down = Resampler(source_rate=source_rate, rate=16_000, channels=1)
    block, given = tone(0.02, rate=source_rate)[None].astype(np.float32), 0
    for turn in range(1, 20):
        given += down.take(block).shape[1]
        assert given >= 320 * turn - 100


def placed(*blocks: tuple[float, np.ndarray, int]) -> np.ndarray:
    """(time in seconds, samples, rate) at 1000 samples a second, channels averaged."""
    timeline, parts = Timeline(1000), []
    for time_s, samples, rate in blocks:
        parts += timeline.take(np.atleast_2d(samples), source_rate=rate, time_s=Fraction(time_s))
    parts += timeline.end()
    return np.concatenate([part.mean(0) for part in parts])


def ramp(first: int, count: int) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.float32)


def test_blocks_that_follow_each_other_are_one_sound_though_their_times_are_sloppy():
    found = placed((0, ramp(0, 100), 1000), (0.11, ramp(100, 100), 1000), (0.19, ramp(200, 100), 1000))
    np.testing.assert_array_equal(found, ramp(0, 300))


def test_a_beginning_that_is_late_is_silence_to_the_sample_and_one_that_is_early_is_cut():
    np.testing.assert_array_equal(placed((0.003, ramp(1, 5), 1000)), [0, 0, 0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(placed((-0.003, ramp(1, 5), 1000)), [4, 5])
    assert not np.concatenate([[0], placed((-1, ramp(1, 5), 1000), (0, ramp(7, 0), 1000))]).any()


def test_a_hole_is_silence_and_what_comes_twice_is_heard_once():
    hole = placed((0, ramp(1, 100), 1000), (0.25, ramp(1, 100), 1000))
    np.testing.assert_array_equal(hole, np.concatenate([ramp(1, 100), np.zeros(150), ramp(1, 100)]))
    twice = placed((0, ramp(0, 100), 1000), (0.05, ramp(50, 100), 1000), (0.06, ramp(60, 30), 1000))
    np.testing.assert_array_equal(twice, ramp(0, 150))


def test_rates_and_channels_may_change_on_the_way():
    found = placed(
        (0, np.full(500, 0.5, np.float32), 1000),
        (0.5, np.full((2, 4000), 0.5, np.float32), 8000),
        (1.0, np.full(500, 0.5, np.float32), 1000),
    )
    assert len(found) == 1500
    inner = np.r_[0:500, 550:950, 1000:1500]  # but for the resampler's own ends
    np.testing.assert_allclose(found[inner], 0.5, atol=1e-3)


def test_drift_does_not_add_up():
    """A clock that runs 1 % slow, for 100 s: the sound is moved whenever it is half a frame off."""
    blocks = [(number * 0.101, np.ones(100, np.float32), 1000) for number in range(1000)]
    assert len(placed(*blocks)) == pytest.approx(101_000, abs=120)


@pytest.mark.parametrize("lengths", [[], [0], [5], [10], [3, 3, 3, 3], [25, 1], [10, 10], [0, 31, 0]])
def test_pieces_are_the_parts_cut_anew(lengths):
    total = sum(lengths)
    whole = np.stack([np.arange(total), -np.arange(total)])
    parts = np.split(whole, np.cumsum(lengths)[:-1], axis=1) if lengths else []
    found = list(pieces(iter(parts), 10))
    assert [piece.shape[1] for piece in found] == [10] * (total // 10) + [total % 10] * (total % 10 > 0)
    assert not total or np.array_equal(np.concatenate(found, axis=1), whole)
