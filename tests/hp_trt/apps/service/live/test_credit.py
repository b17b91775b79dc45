from __future__ import annotations

import pytest

from hp_trt.apps.service.live.credit import Credits
from hp_trt.apps.service.live.protocol import ProtocolError


def test_as_many_may_be_sent_as_there_is_room_for():
    credits = Credits(most_ignored=10)
    assert not credits.admits(0)
    assert credits.grant(3) and credits.until == 4
    assert [credits.admits(number) for number in range(1, 5)] == [True, True, True, False]
    assert credits.ignored == 2


def test_what_was_granted_is_not_taken_back():
    credits = Credits(most_ignored=10)
    assert credits.grant(5) and not credits.grant(2) and not credits.grant(-3)
    assert credits.until == 5


def test_whoever_ignores_it_is_refused_in_the_end():
    credits = Credits(most_ignored=3)
    for number in range(3):
        assert not credits.admits(number)
    with pytest.raises(ProtocolError, match="4 pictures came without credit; wait for the message credit"):
        credits.admits(3)


@pytest.mark.parametrize("sequence", [1, 7, 2**32 - 1])
def test_numbers_without_a_gap_are_needed(sequence):
    with pytest.raises(ProtocolError, match=f"picture {sequence} came where 0 was due"):
        Credits(most_ignored=3).admits(sequence)
