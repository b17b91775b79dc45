from __future__ import annotations

import asyncio

from hp_trt.apps.service.live.outbox import Outbox
from hp_trt.apps.service.live.shown import Shown
from tests.hp_trt.apps.service.live.fake_engine import picture


def shown(number: int) -> Shown:
    return Shown(picture=picture(0), jpeg=None, sequence=number, time_us=0, arrived_s=0.0)


def test_messages_come_before_pictures_and_the_oldest_pictures_go():
    async def run():
        outbox = Outbox(3, jpeg=True)
        dropped = [outbox.show(shown(number)) for number in range(5)]
        outbox.tell("first")
        got = [await outbox.take() for _ in range(4)]
        return dropped, [item.sequence if isinstance(item, Shown) else item for item in got], outbox.dropped

    assert asyncio.run(run()) == ([0, 0, 0, 1, 1], ["first", 2, 3, 4], 2)


def test_whoever_takes_nothing_is_slow_and_whoever_takes_one_is_not():
    async def run():
        outbox = Outbox(3, jpeg=True)
        told = []
        for number in range(9):
            told.append(outbox.slow)
            outbox.show(shown(number))
        told.append(outbox.slow)
        await outbox.take()
        return [*told, outbox.slow]

    assert asyncio.run(run()) == [False] * 9 + [True, False]


def test_messages_are_bounded_too():
    async def run():
        outbox = Outbox(3, jpeg=True)
        for number in range(10_000):
            outbox.tell(number)
        return outbox.slow, len(outbox._messages)

    assert asyncio.run(run()) == (True, 101)


def test_closed_it_gives_its_messages_and_no_picture():
    async def run():
        outbox = Outbox(3, jpeg=True)
        outbox.show(shown(1))
        waits = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        outbox.show(shown(2))
        outbox.tell("bye")
        outbox.close()
        return (await waits).sequence, await outbox.take(), await outbox.take()

    assert asyncio.run(run()) == (1, "bye", None)
