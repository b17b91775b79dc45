from __future__ import annotations

import os
import signal
import threading

from hp_trt.live.stopping import Stop, stopping


def test_the_first_asks_the_second_does_not_wait_and_none_interrupts():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stopping(Stop()) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.event.is_set() and not stop.hurry.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.hurry.is_set() and stop.number == signal.SIGINT
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def elsewhere():
        with stopping(Stop()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]
