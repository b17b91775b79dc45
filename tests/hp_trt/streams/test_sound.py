from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hp_trt.streams.sound import WaitingSound


@dataclass
class Packet:
    number: int
    size: int = 100


def filled(waiting, count):
    for number in range(count):
        waiting.put(Fraction(number, 10), Packet(number))
    return waiting


def test_sound_leaves_when_its_picture_does():
    waiting = filled(WaitingSound(), 10)
    assert [p.number for p in waiting.take_until(Fraction(3, 10))] == [0, 1, 2]
    assert waiting.take_until(Fraction(3, 10)) == []
    assert len(waiting.take_until(Fraction(100))) == 7


def test_what_runs_too_far_ahead_is_lost_from_the_front_and_counted():
    by_time = filled(WaitingSound(longest_s=2), 50)
    assert by_time.lost == 29 and by_time.take_until(Fraction(100))[0].number == 29
    by_size = filled(WaitingSound(most_bytes=1000), 50)
    assert by_size.lost == 40 and [p.number for p in by_size.take_until(Fraction(100))] == list(range(40, 50))
