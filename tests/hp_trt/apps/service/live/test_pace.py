from __future__ import annotations

from itertools import pairwise

import pytest

from hp_trt.apps.service.live.pace import Pace


def run(pace: Pace, begin_s: float, seconds: float, *, late, per_s: float) -> list[float]:
    """Look 20 times a second; the rates that were asked for. `late` is told the rate."""
    asked = []
    for tick in range(round(seconds * 20)):
        if pace.look(begin_s + tick / 20, late=late(pace.rate), animated_per_s=per_s):
            asked.append(pace.rate)
    return asked


def test_nobody_who_is_in_time_is_asked_for_less():
    assert run(Pace(most=30, least=4), 0, 60, late=lambda rate: False, per_s=30) == []


def test_an_engine_that_is_late_for_good_is_asked_for_what_it_can_do():
    pace = Pace(most=30, least=4)
    assert run(pace, 0, 1.9, late=lambda rate: True, per_s=15) == []
    asked = run(pace, 1.9, 8, late=lambda rate: rate > 14, per_s=15)
    assert asked == [pytest.approx(12.75, abs=0.1)]


def test_a_moments_delay_changes_nothing():
    pace = Pace(most=30, least=4)
    for second in range(20):
        run(pace, second, 1, late=lambda rate, odd=second % 2: bool(odd), per_s=20)
    assert pace.rate == 30


def test_the_rate_rises_again_and_more_rarely_each_time_that_it_was_too_much():
    pace, changes = Pace(most=30, least=4), []
    for tick in range(20 * 300):
        before = pace.rate
        if pace.look(tick / 20, late=pace.rate > 20, animated_per_s=20):
            changes.append((tick / 20, before, pace.rate))
    rises = [at for at, before, after in changes if after > before]
    waits = [later - sooner for sooner, later in pairwise(rises)]
    assert len(rises) >= 3 and max(waits) > 2 * min(waits), changes
    assert all(after <= 30 for _, _, after in changes)


def test_it_never_asks_for_less_than_the_least():
    pace = Pace(most=30, least=4)
    run(pace, 0, 120, late=lambda rate: True, per_s=0.0)
    assert pace.rate == 4


@pytest.mark.parametrize(("rate", "fps", "kept"), [(10, 25, 100), (12.5, 25, 125), (20, 25, 200), (25, 20, 200)])
def test_frames_beyond_the_rate_are_left_out_evenly(rate, fps, kept):
    pace = Pace(most=30, least=1)
    pace.rate = rate
    times = [number / fps for number in range(10 * fps)]
    taken = [time_s for time_s in times if pace.admits(time_s)]
    assert abs(len(taken) - kept) <= 2
    gaps = [later - sooner for sooner, later in pairwise(taken)]
    assert max(gaps) <= 2 / fps + 1 / rate


def test_a_clock_that_jumps_starves_nobody():
    pace = Pace(most=30, least=1)
    pace.rate = 10
    assert pace.admits(1e6) and pace.admits(5.0) and pace.admits(5.1) and pace.admits(1e9)
    assert not pace.admits(1e9 + 0.01)
