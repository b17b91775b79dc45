"""The end of a service, by a clock that a test sets."""

from __future__ import annotations

import asyncio

import pytest

from hp_trt.apps.service.drain import Drain


@pytest.mark.parametrize(("drain_s", "until_s"), [(60, 55), (10, 5), (2, 1)])
def test_clips_stop_a_little_before_the_end(drain_s, until_s):
    now, calls = [0.0], []
    drain = Drain(
        drain_s,
        told=lambda seconds: calls.append(("told", seconds)),
        stopped=lambda: calls.append(("stopped", now[0])),
        busy=lambda: True,
        steady_s=lambda: now[0],
    )

    async def run() -> None:
        task = asyncio.create_task(drain.run())
        while not task.done():
            now[0] += drain_s / 40
            await asyncio.sleep(0)
            for handle in list(asyncio.get_running_loop()._scheduled):  # its naps take no time here
                handle._when = 0

    assert not drain.begun
    drain.begin()
    drain.begin()
    asyncio.run(run())
    assert calls[0] == ("told", until_s) and [name for name, _ in calls] == ["told", "stopped"]
    assert until_s <= calls[1][1] <= drain_s and now[0] <= drain_s, "and it does not wait for what hangs"


def test_it_ends_at_once_where_nothing_is_under_way():
    ended = []
    drain = Drain(60, told=lambda _s: None, stopped=lambda: ended.append(1), busy=lambda: False)
    drain.begin()
    asyncio.run(drain.run())
    assert ended == [1]
