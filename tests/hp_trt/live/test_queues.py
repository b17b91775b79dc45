"""Queues that never grow: what each policy does when one is full, and that nobody waits on one that has ended."""

from __future__ import annotations

import threading
import time

import pytest

from engines.errors import InputError
from hp_trt.live.queues import BoundedQueue, Ended


def drained(queue: BoundedQueue) -> list:
    queue.close()
    found = []
    while True:
        try:
            found.append(queue.get())
        except Ended:
            return found


@pytest.mark.parametrize(("policy", "kept", "dropped"), [("drop-oldest", [3, 4, 5], 3), ("latest", [5], 5)])
def test_a_full_queue_lets_go_of_what_is_old_and_counts_it(policy, kept, dropped):
    queue = BoundedQueue(3, policy)
    for number in range(6):
        queue.put(number)
    assert queue.dropped == dropped
    assert drained(queue) == kept


def test_under_block_whoever_puts_waits_for_room_and_nothing_is_lost():
    queue, done = BoundedQueue(2), []

    def put():
        for number in range(20):
            queue.put(number)
            done.append(number)
        queue.close()

    thread = threading.Thread(target=put)
    thread.start()
    deadline = time.monotonic() + 5
    while len(done) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(done) == 2
    found = [queue.get() for _ in range(20)]
    thread.join(5)
    assert found == list(range(20)) and queue.dropped == 0


@pytest.mark.parametrize("end", ["close", "abort"])
@pytest.mark.parametrize("waits", ["put", "get", "wait_for_room"])
def test_whoever_waits_is_told_when_the_queue_ends(end, waits):
    queue, told = BoundedQueue(1), []
    if waits != "get":
        queue.put(0)

    def wait():
        try:
            queue.put(1) if waits == "put" else getattr(queue, waits)()
        except Ended:
            told.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.02)
    getattr(queue, end)()
    thread.join(5)
    assert told == [True]


def test_closed_it_gives_what_it_holds_and_aborted_nothing():
    closed, aborted = BoundedQueue(2), BoundedQueue(2)
    for queue in (closed, aborted):
        queue.put(1)
    aborted.abort()
    assert (drained(closed), drained(aborted), aborted.dropped) == ([1], [], 0)
    with pytest.raises(Ended):
        closed.put(2)


def test_waiting_has_a_limit():
    with pytest.raises(TimeoutError, match=r"nothing came within 0\.01 s"):
        BoundedQueue(1).get(0.01)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((1, "newest"), "there is no policy 'newest'; there are: block, drop-oldest, latest"), ((0,), "at least 1 item")],
)
def test_a_queue_that_cannot_be_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        BoundedQueue(*arguments)
