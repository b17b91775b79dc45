"""Events in order, times that add up, on a clock of our own."""

from __future__ import annotations

import json
import threading

import pytest

from engines.errors import Cancelled
from runtime.stages import Stages


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_stage_tells_its_beginning_its_units_and_its_end():
    events, clock = [], Clock()
    stages = Stages(events.append, clock=clock)
    stages.begin("decode", total=12)
    for units, seconds in ((8, 2.0), (4, 1.0)):
        with stages.unit("decode", units):
            clock.now_s += seconds
        clock.now_s += 10  # the consumer's time
    stages.end("decode")
    told = [(e.kind, e.done, e.total, e.start_s, e.seconds) for e in events]
    assert told == [
        ("begin", 0, 12, 0.0, 0.0),
        ("unit", 8, 12, 0.0, 2.0),
        ("unit", 12, 12, 12.0, 1.0),
        ("end", 12, 12, 23.0, 3.0),
    ]
    assert stages.spans == events[1:3]
    assert json.loads(json.dumps(events[1].to_json()))["stage"] == "decode"


def test_a_unit_ends_when_its_work_is_settled():
    clock = Clock()

    def settle():
        clock.now_s += 4

    stages = Stages(clock=clock, settle=settle)
    with stages.unit("denoise"):
        clock.now_s += 1
    assert stages.spans[0].seconds == 5


def test_a_unit_that_fails_does_not_count():
    stages = Stages()
    stages.begin("motion")
    with pytest.raises(ZeroDivisionError), stages.unit("motion"):
        raise ZeroDivisionError
    assert stages.spans == []


def test_a_stage_begun_again_counts_from_zero():
    events = []
    stages = Stages(events.append)
    for _ in range(2):
        stages.begin("denoise", total=1)
        with stages.unit("denoise"):
            pass
        stages.end("denoise")
    assert [e.done for e in events] == [0, 1, 1] * 2


def test_what_is_called_off_ends_where_the_next_piece_of_it_would_begin():
    stop = threading.Event()
    stages = Stages(cancel=stop)
    stages.begin("decode", total=3)
    with stages.unit("decode"):
        stop.set()  # by any thread, in the middle of a unit, which still counts
    assert [span.done for span in stages.spans] == [1]
    with pytest.raises(Cancelled, match="cancelled by who asked for it"), stages.unit("decode"):
        raise AssertionError("it was begun")
    with pytest.raises(Cancelled):
        stages.begin("write")
    with pytest.raises(Cancelled):
        stages.timed(lambda: pytest.fail("it was begun"))()
