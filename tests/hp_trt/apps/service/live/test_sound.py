from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hp_trt.apps.service.live.sound import SoundBeside, SoundClock

HZ, PIECE = 1000, 40


def ramp(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int16)


def put(sound: SoundBeside, pieces: range, hz: int = HZ) -> None:
    for number in pieces:
        sound.put(ramp(PIECE) + number % 500 * PIECE, hz, Fraction(number, 25))


def test_sound_goes_with_the_picture_that_it_was_heard_with():
    sound = SoundBeside(10)
    put(sound, range(10))
    samples, begins_s = sound.until(Fraction(3, 25))
    assert begins_s == 0 and np.array_equal(samples, ramp(120))
    samples, begins_s = sound.until(Fraction(5, 25))
    assert begins_s == Fraction(3, 25) and np.array_equal(samples, ramp(80) + 120)
    assert sound.until(Fraction(5, 25)) is None


def test_what_was_heard_long_before_the_first_picture_is_left_out():
    sound = SoundBeside(10)
    put(sound, range(50))
    samples, begins_s = sound.until(Fraction(1))
    assert begins_s == Fraction(4, 5) and len(samples) == 200


def test_sound_whose_pictures_never_come_is_bounded():
    sound = SoundBeside(2)
    put(sound, range(1000))
    assert sound.dropped == 950 and sound._samples == 2000


def test_another_rate_begins_anew():
    sound = SoundBeside(10)
    put(sound, range(5))
    put(sound, range(5, 7), hz=2000)
    samples, _ = sound.until(Fraction(2, 5))
    assert sound.hz == 2000 and len(samples) == 80


def placed(times_s: list[float], length_s: float = 0.04) -> list[float]:
    clock = SoundClock()
    return [round(float(clock.at(Fraction(str(time_s)), Fraction(str(length_s)))), 3) for time_s in times_s]


def test_a_browsers_sloppy_times_cut_no_word():
    assert placed([10, 10.055, 10.075, 10.13]) == [10, 10.04, 10.08, 10.12]


@pytest.mark.parametrize(
    ("times_s", "begins_s"),
    [
        ([0, 0.04, 1.0, 1.04], [0, 0.04, 1.0, 1.04]),  # a pause
        ([10, 10.04, 3.0, 3.04], [10, 10.04, 10.08, 10.12]),  # set back
        ([10, 10.04, 1e6, 1e6 + 0.04], [10, 10.04, 10.08, 10.12]),  # a jump
        ([5, 5, 5, 5], [5, 5.04, 5.08, 5.12]),  # stuck
    ],
)
def test_gaps_are_kept_and_jumps_are_closed(times_s, begins_s):
    assert placed(times_s) == begins_s
