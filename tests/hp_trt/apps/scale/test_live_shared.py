"""Tickets of one process open sockets of another, once, and places are counted over all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hp_trt.apps.scale.live_shared import SOCKETS, FolderShared
from hp_trt.apps.service.live.engine import Wishes
from hp_trt.apps.service.live.limits import LiveLimits
from hp_trt.apps.service.live.sessions import LiveBusy, LiveSessions, LiveUnknown
from hp_trt.apps.service.live.tickets import TicketRefused
from hp_trt.apps.service.live.watch import LEFT
from hp_trt.apps.service.store import State
from tests.hp_trt.apps.scale.conftest import killed, until
from tests.hp_trt.apps.service.live.fake_engine import FakeEngine

SECRET = bytes(32)


@pytest.fixture
def sessions(presences, tmp_path):
    """Begins processes: a front, or a replica with one place."""
    state = State(tmp_path / "state", shared=True)

    def begin(kind: str, **limits) -> LiveSessions:
        presence = presences(kind)
        shared = FolderShared(state, presence, here=kind == "live")
        own = replace(LiveLimits(sessions=1, sessions_of_a_caller=1), **limits)
        made = LiveSessions(FakeEngine(), limits=own, secret=SECRET, shared=shared)
        made.presence = presence
        return made

    yield begin
    state.close()


def test_a_ticket_of_a_front_opens_one_socket_of_one_replica(sessions):
    front, one, other = sessions("front"), sessions("live"), sessions("live")

    async def talk() -> None:
        until(lambda: front._shared.processes() == 2)
        session, ticket = front.reserve("me", Wishes())
        assert front.socket(session) == f"{SOCKETS}/{session}/socket"
        channel = one.enter(session, ticket)
        with pytest.raises(TicketRefused, match="used already"):
            other.enter(session, ticket)
        with pytest.raises(LiveUnknown, match=f"its socket is below {SOCKETS}"):
            front.enter(*front.reserve("another", Wishes()))
        channel.finish(LEFT)
        await one.close()

    asyncio.run(talk())


def test_places_and_a_callers_sessions_are_counted_over_all_replicas(sessions):
    front, one, other = sessions("front"), sessions("live"), sessions("live")

    async def talk() -> None:
        until(lambda: front._shared.processes() == 2)
        one.enter(*front.reserve("a", Wishes()))
        until(lambda: front._shared.elsewhere() == 1)
        with pytest.raises(LiveBusy, match="1 live session is of yours already, at most 1 may be"):
            front.reserve("a", Wishes())
        ticket_of_c = front.reserve("c", Wishes())
        until(lambda: other._shared.elsewhere("a") == 1)
        with pytest.raises(LiveBusy, match="at most 1 may be; ask again later"):
            one.enter(*front.reserve("b", Wishes()))
        other.enter(*ticket_of_c)
        until(lambda: front._shared.elsewhere() == 2)
        with pytest.raises(LiveBusy, match="all 2 places for live sessions are taken"):
            front.reserve("d", Wishes())
        await one.close()
        until(lambda: front._shared.elsewhere() == 1)
        front.reserve("d", Wishes())
        await other.close()

    asyncio.run(talk())


def test_the_sessions_of_a_replica_that_died_are_not_counted(sessions):
    front, one, _ = sessions("front"), sessions("live"), sessions("live")

    async def talk() -> None:
        until(lambda: front._shared.processes() == 2)
        one.enter(*front.reserve("a", Wishes()))
        until(lambda: front._shared.elsewhere("a") == 1)
        killed(one.presence)
        until(lambda: front._shared.processes() == 1 and front._shared.elsewhere("a") == 0, 3)
        front.reserve("a", Wishes())
        await one.close()

    asyncio.run(talk())


def test_without_a_replica_there_is_no_place(sessions):
    async def talk() -> None:
        with pytest.raises(LiveBusy, match="all 0 places"):
            sessions("front").reserve("a", Wishes())

    asyncio.run(talk())
