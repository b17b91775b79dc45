from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from hp_trt.console import Reporter
from hp_trt.live import status as status_of
from hp_trt.live.session import LiveStats
from hp_trt.live.status import Status, facts, line
from tests.hp_trt.live.fake_session import fake_stats


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """`clock.now_s` is what time it is for a status."""
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(status_of, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    return clock


def unread() -> LiveStats:
    raise AssertionError("stats are dear, a percentile of 600 frames: they are read when they are told")


def test_the_line_says_speed_latency_queue_and_drops():
    stats = fake_stats(pushed=100, dropped_in=3, dropped_out=1, queued_in=7, queued_out=2, held=5, late=True)
    beginning, end = line(stats).split(" | queue ")
    assert beginning == "12.5 frames/s | latency p50 0.25 s, p99 0.50 s"
    assert end == "7 in, 2 out | dropped 4 of 100 | 5 without a face | late"
    assert "no frame yet" in line(fake_stats(latency_p50_s=None, latency_p99_s=None))


def test_the_facts_are_every_number():
    assert set(facts(fake_stats())) == {*LiveStats.__dataclass_fields__} - {"notes"}


def test_on_a_terminal_one_line_is_replaced_and_gone_before_the_result(monkeypatch, capsys, clock):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    report = Reporter(bars=False)
    status = Status(report)
    status.tick(unread)
    assert terminal.getvalue() == ""  # not even a second
    for _ in range(2):
        clock.now_s += 2
        status.tick(lambda: fake_stats(notes=("7 of 9 frames",)), notes=["the light is poor"])
    report.result("done")
    text = terminal.getvalue()
    assert text.count("the light is poor") == 1 and "7 of 9" not in text
    assert text.count("\r\x1b[2K12.5 frames/s") == 2 and text.endswith("\r\x1b[2K")
    assert capsys.readouterr().out == "done\n"


def test_without_a_terminal_nothing_is_said_but_notes(capsys, clock):
    status = Status(Reporter(bars=False))
    clock.now_s += 2
    status.tick(fake_stats)
    assert capsys.readouterr() == ("", "")


def test_notes_come_to_an_end(capsys):
    status = Status(Reporter(as_json=True, bars=False))
    status.note(f"note {number}" for number in range(100))
    assert len(capsys.readouterr().out.splitlines()) == 20
