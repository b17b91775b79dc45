"""Places for sessions, held against the formula written out and against a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.measure.capacity.sessions import places_for, refused


@pytest.mark.parametrize(("sessions", "places"), [(0.5, 1), (4.0, 6), (10.0, 10), (90.0, 100)])
def test_the_share_that_is_refused_is_erlangs(sessions, places):
    terms = [math.exp(k * math.log(sessions) - math.lgamma(k + 1)) for k in range(places + 1)]
    assert refused(sessions, places) == pytest.approx(terms[-1] / sum(terms), rel=1e-9)


def test_it_is_what_a_simulation_of_sessions_sees():
    rng, sessions, places, count = np.random.default_rng(0), 4.0, 5, 100_000
    now, ends, lost = 0.0, [], 0
    for _ in range(count):
        now += rng.exponential(1 / sessions)
        ends = [end for end in ends if end > now]
        if len(ends) == places:
            lost += 1
        else:
            ends.append(now + rng.gamma(4.0, 0.25))  # mean 1; no exponential one: the formula holds for any
    assert lost / count == pytest.approx(refused(sessions, places), rel=0.05)


def test_the_fewest_places_are_enough_and_one_less_is_not():
    for sessions in (0.1, 7.0, 1000.0):
        places = places_for(sessions, most_refused=0.01)
        assert refused(sessions, places) <= 0.01 < refused(sessions, places - 1)
    assert refused(0.0, 0) == 1.0 and places_for(0.0, most_refused=0.01) == 1


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="at least 0, got -1"):
        refused(-1, 1)
    with pytest.raises(InputError, match="above 0 and at most 1, got 0"):
        places_for(1.0, most_refused=0.0)
