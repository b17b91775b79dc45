"""The ring of a job's events: bounded, in order, and nobody waits in vain."""

from __future__ import annotations

import asyncio
import threading

from hp_trt.apps.service.events import JobEvents


def test_a_listener_that_is_slow_loses_the_oldest_and_costs_nothing():
    events = JobEvents("life")
    for number in range(1000):
        events.add("progress", done=number)
    found, ended = events.after(0)
    assert [event.number for event in found] == list(range(745, 1001)) and not ended
    assert events.after(1000) == ([], False)
    assert found[-1].to_sse() == b'id: life.1000\nevent: progress\ndata: {"done":999}\n\n'


def test_text_in_an_event_cannot_make_another_one():
    events = JobEvents("l")
    events.add("note", text="a\n\nevent: error\r\rdata: x\u2028")
    sse = events.after(0)[0][0].to_sse()
    assert sse.count(b"\n") == 4 and sse.endswith(b"\n\n") and b"\r" not in sse


def test_ids_of_this_life_alone_are_gone_on_from():
    events = JobEvents("abc")
    known = {"abc.7": 7, "abc.": 0, "abd.7": 0, None: 0, "": 0, "abc.x": 0, "abc.-1": 0, "abc." + "9" * 11: 0, "7": 0}
    assert {given: events.number_of(given) for given in known} == known


def test_who_waits_is_woken_from_any_thread_and_leaves_nothing():
    async def wait_for_two() -> list[bool]:
        events = JobEvents("l")
        threading.Timer(0.01, lambda: events.add("state")).start()
        first = await events.wait(0, 20)
        late = await events.wait(1, 0.01)
        threading.Timer(0.01, events.end).start()
        last = await events.wait(1, 20)
        assert events.listeners == 0
        return [first, late, last]

    assert asyncio.run(wait_for_two()) == [True, False, True]


def test_a_loop_that_is_closed_is_no_reason_to_fail():
    events = JobEvents("l")

    async def given_up() -> None:
        waiting = asyncio.create_task(events.wait(0, 20))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(given_up())
    events.add("state")
    assert events.listeners == 0
