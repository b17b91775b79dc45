"""A replica finds out that it is to end: the questions for its health stay out, and the controller says so."""

from __future__ import annotations

import threading
import time

from hp_trt.apps.scale.drain_watch import DrainWatch

EVERY_S = 0.1


def test_while_it_is_asked_and_before_the_first_time_the_controller_is_left_alone():
    asked, ended = [], threading.Event()
    watch = DrainWatch(lambda: not asked.append(1), ended.set, every_s=EVERY_S)
    time.sleep(5 * EVERY_S)
    for _ in range(10):
        watch.asked()
        time.sleep(EVERY_S)
    watch.close()
    assert not asked and not ended.is_set()


def test_when_questions_stay_out_the_end_is_told_once_and_only_if_the_controller_says_so():
    answers, ended = iter([False, RuntimeError("away"), True, True]), []

    def is_ending() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch = DrainWatch(is_ending, lambda: ended.append(time.monotonic()), every_s=EVERY_S)
    watch.asked()
    begin_s = time.monotonic()
    watch._thread.join(5)
    watch.close()
    assert len(ended) == 1 and ended[0] - begin_s > 2.5 * EVERY_S
