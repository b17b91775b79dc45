from __future__ import annotations

import threading
from fractions import Fraction

import pytest

from hp_trt.live.pushing import pushing
from tests.hp_trt.live.fake_stream import open_session, picture

FRAMES = [(picture(100), Fraction(n, 10)) for n in range(8)]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "a test"]


def test_all_frames_go_in_with_their_times_and_then_the_session_ends():
    with open_session() as session, pushing(session, FRAMES, thread="a test"):
        assert [frame.pts_s for frame in session] == [pts_s for _, pts_s in FRAMES]
    assert not threads()


def test_what_breaks_off_is_told_when_the_frames_before_are_out():
    def frames():
        yield from FRAMES[:4]
        raise OSError("the cable")

    made = []
    with (
        open_session() as session,
        pytest.raises(OSError, match="the cable"),
        pushing(session, frames(), thread="a test"),
    ):
        made.extend(session)
    assert len(made) == 4
    assert not threads()


def test_an_error_of_the_block_comes_before_that_of_a_push_which_it_cut_off():
    endless = ((picture(100), Fraction(n)) for n in range(10**6))
    with (  # noqa: PT012
        open_session() as session,
        pytest.raises(TimeoutError, match="enough"),
        pushing(session, endless, thread="a test"),
    ):
        session.pull(20)
        raise TimeoutError("enough")
    assert not threads()
