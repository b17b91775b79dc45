"""Replicas of a set number of threads have cores of their own."""

from __future__ import annotations

import os
import threading

import pytest

from hp_trt.apps.scale.cores import keep_to, own_cores

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not say")


@pytest.mark.parametrize(
    ("threads", "rank", "cores"),
    [(1, 0, [2]), (1, 3, [7]), (2, 1, [5, 7]), (2, 2, [2, 3, 5, 7]), (5, 0, [2, 3, 5, 7]), (None, 0, [2, 3, 5, 7])],
)
def test_each_has_its_part_and_where_there_are_too_few_all(monkeypatch, threads, rank, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {7, 3, 2, 5})
    assert list(own_cores(threads, rank)) == cores


def test_a_thread_keeps_to_its_cores_and_no_other_does():
    before, found = os.sched_getaffinity(0), []
    one = min(before)

    def work() -> None:
        keep_to([one])
        found.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [{one}] and os.sched_getaffinity(0) == before
    keep_to(())
    assert os.sched_getaffinity(0) == before
