"""Calls that run beside one another, and those that do not."""

from __future__ import annotations

import threading

import pytest

from runtime.beside import Beside


def test_so_many_calls_run_at_one_time():
    beside, both = Beside(2), threading.Barrier(2, timeout=30)
    begun = [beside.begin(both.wait) for _ in range(2)]
    assert sorted(one.result() for one in begun) == [0, 1]
    beside.close()
    beside.close()


def test_one_at_a_time_is_done_when_it_has_begun_in_the_thread_that_began_it():
    assert Beside().begin(threading.current_thread).result() is threading.current_thread()


@pytest.mark.parametrize("calls", [1, 2])
def test_what_a_call_raises_reaches_whoever_asks_for_it(calls):
    beside = Beside(calls)
    with pytest.raises(ZeroDivisionError):
        beside.begin(lambda: 1 // 0).result()
    beside.close()


def test_calls_that_wait_for_their_turn_are_left_out_when_it_is_closed():
    beside, go, ran = Beside(2), threading.Event(), []
    for _ in range(2):
        beside.begin(lambda: go.wait(30))
    waits = beside.begin(lambda: ran.append(1))
    closing = threading.Thread(target=beside.close)
    closing.start()
    while not waits.cancelled():
        pass
    go.set()
    closing.join()
    assert ran == []
