from __future__ import annotations

import threading
import time

import pytest

from hp_trt.enhancer.beside import ahead


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("test-")]


def test_items_come_in_order_and_so_many_are_made_ahead():
    made = []

    def items():
        for number in range(10):
            made.append(number)
            yield number

    found = ahead(items(), 3, "test-a")
    assert next(found) == 0
    time.sleep(0.3)
    assert len(made) == 5, "three wait, and one is in the hand"
    assert list(found) == list(range(1, 10)) and not threads()


def test_what_fails_in_a_thread_is_raised_behind_what_it_made():
    def items():
        yield 1
        raise OSError("no disk")

    found = ahead(ahead(items(), 1, "test-a"), 1, "test-b")
    assert next(found) == 1
    with pytest.raises(OSError, match="no disk"):
        next(found)
    assert not threads()


def test_closing_ends_all_threads_and_closes_what_they_read():
    closed = []

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread().name)

    found = ahead(ahead(items(), 2, "test-a"), 2, "test-b")
    next(found)
    found.close()
    assert closed == ["test-a"] and not threads()


def test_somebody_must_be_able_to_wait():
    with pytest.raises(ValueError, match="at least one"):
        next(ahead(iter(()), 0))
