from __future__ import annotations

import itertools
import threading
import time
from fractions import Fraction

import numpy as np

from engines.errors import InputError
from hp_trt.live.feeder import Feeder
from hp_trt.streams.sources import Picture


class Listed:
    """A source of pictures at given times."""

    name, rate, recorded, sound = "the list", Fraction(25), True, None

    def __init__(self, times, error=None):
        self.times, self.error = times, error
        self.notes = []

    def read(self):
        for time_s in self.times:
            yield Picture(image=np.zeros((4, 6, 3), np.uint8), time_s=Fraction(str(time_s)))
        if self.error:
            raise self.error

    def close(self):
        return


def fed(times, *, error=None, **options):
    pushed, ended, stop = [], threading.Event(), threading.Event()
    given = {"sound": None, "paced": False, "seconds": None, "stop": stop} | options
    feeder = Feeder(
        Listed(times, error), push=lambda image, time_s: pushed.append(time_s) or True, ended=ended.set, **given
    )
    feeder.start()
    assert feeder.join(10) and ended.is_set()
    return feeder, pushed


def test_a_clock_that_stumbles_or_jumps_back_is_helped():
    feeder, pushed = fed([0, "0.04", "0.04", "0.03", "0.08"])
    assert feeder.error is None and len(pushed) == 5
    assert all(a < b for a, b in itertools.pairwise(pushed))
    assert pushed[2] - pushed[1] == Fraction(1, 90_000)
    feeder, pushed = fed([10, "10.04", "5", "5.04", "5.08", "20"])
    assert feeder.error is None
    period = Fraction(1, 25)
    assert pushed[2:] == [pushed[1] + period + Fraction(str(since)) for since in (0, "0.04", "0.08", 15)]
    assert feeder.notes == ["the times of the list jump 5 s back: frames go on without a gap"]
    feeder, pushed = fed([10, "10.5", "10.2", "10.54"])  # one stray time is no other clock
    assert feeder.error is None and feeder.notes == []
    assert pushed[3] == Fraction("10.54") and pushed[1] < pushed[2] < pushed[3]


def test_a_clock_that_jumps_ahead_is_not_waited_for():
    start_s = time.monotonic()
    feeder, pushed = fed([0, "0.04", 3600, "3600.04"], paced=True)
    assert time.monotonic() - start_s < 3
    assert len(pushed) == 4 and feeder.notes == ["the times of the list jump 3600.0 s ahead"]


def test_seconds_are_as_they_were_written():
    feeder, pushed = fed([Fraction(n, 10) for n in range(10)], seconds=0.3)
    assert len(pushed) == 3 and feeder.reached_end


def test_a_wait_for_the_clock_ends_when_the_run_does():
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    start_s = time.monotonic()
    feeder, pushed = fed([0, "4.9"], paced=True, stop=stop)
    assert time.monotonic() - start_s < 3 and len(pushed) == 1 and feeder.error is None


def test_what_breaks_is_kept_for_who_waits():
    feeder, pushed = fed([0, 1], error=InputError("broke off"))
    assert str(feeder.error) == "broke off" and len(pushed) == 2


def test_days_that_no_source_can_pause_are_closed_and_told():
    feeder, pushed = fed([0, "0.04", 10**6, 10**6 + 1], paced=True)
    assert feeder.error is None
    assert pushed == [0, Fraction(1, 25), Fraction(2, 25), Fraction(27, 25)]
    assert feeder.notes == ["the times of the list jump 1000000 s ahead: frames go on without a gap"]
