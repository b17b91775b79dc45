"""Frames that come in bursts are shown evenly; one that is late is shown at once."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from hp_trt.live.playout import Playout


def shown(arrivals: list[tuple[int, float]]) -> list[float]:
    """When each frame (its number at 25 a second, and when it came) is shown."""
    playout, at, now_s = Playout(), [], 0.0
    for number, arrived_s in arrivals:
        # Who holds a frame takes the next one later.
        now_s = max(now_s, arrived_s, playout.due_s(Fraction(number, 25), arrived_s))
        at.append(now_s)
    return at


def test_bursts_of_a_window_are_shown_at_the_drivers_pace():
    # Seven frames come together, 0.1 s after the last of them was taken.
    arrivals = [(n, (n // 7 * 7 + 6) / 25 + 0.1) for n in range(35)]
    gaps = [b - a for a, b in pairwise(shown(arrivals))]
    assert gaps == pytest.approx([0.04] * 34)


def test_a_late_frame_is_shown_at_once_and_those_after_it_keep_their_distance():
    arrivals = [(n, n / 25 + (0.5 if n >= 10 else 0.1)) for n in range(20)]
    at = shown(arrivals)
    assert at[10] == pytest.approx(10 / 25 + 0.5)
    assert [b - a for a, b in pairwise(at[10:])] == pytest.approx([0.04] * 9)


def test_a_moments_delay_is_forgotten():
    arrivals = [(n, n / 25 + (2.0 if n == 3 else 0.1)) for n in range(400)]
    at = shown(arrivals)
    assert at[399] == pytest.approx(399 / 25 + 0.1)


def test_a_clock_that_jumps_ahead_freezes_no_picture():
    playout = Playout()
    assert playout.due_s(Fraction(0), 0.1) == pytest.approx(0.1)
    assert playout.due_s(Fraction(10_000), 0.2) == pytest.approx(0.2)
    assert playout.due_s(Fraction(10_001), 0.3) == pytest.approx(1.2)
