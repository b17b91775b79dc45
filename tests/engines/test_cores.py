from __future__ import annotations

import os

from engines import cores


def test_the_cores_are_those_that_this_process_may_run_on(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert cores.available_cores() == 3


def test_where_the_system_knows_no_affinity_all_cores_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert cores.available_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.available_cores() == 1
