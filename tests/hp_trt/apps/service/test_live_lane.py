"""Live sessions of the service: its tokens, its portraits, its counters, and its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hp_trt.apps.service.live import answers
from hp_trt.apps.service.live.watch import LEFT
from tests.hp_trt.apps.service.conftest import Running
from tests.hp_trt.apps.service.fake_engine import Hand
from tests.hp_trt.apps.service.live.fake_engine import FakeEngine
from tests.hp_trt.apps.service.test_uploads import Endless


class LiveHand(Hand):
    """Opens engines that have live sessions too."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = FakeEngine()
        self.profiles: list[str] = []

    def open(self, profile: str) -> Any:
        self.profiles.append(profile)
        engine = super().open(profile)
        engine.live = lambda portrait, **how: self.sessions.open(portrait, how)
        return engine


@pytest.fixture
def hand() -> LiveHand:
    return LiveHand()


@pytest.fixture
def running(serving, hand) -> Running:
    return serving(hand=hand, live_lanes=2, limits={"live_per_token": 1})


def begin(running: Running, **wishes: Any):
    return running.ask("POST", "/v1/live", json=wishes)


def test_a_session_is_begun_for_a_ticket_and_no_graph_is_opened_before_its_socket(running, hand):
    begun = begin(running, portrait=running.portrait())
    assert begun.status_code == 201 and begun.json()["socket"] == f"/v1/live/{begun.json()['id']}/socket"
    assert hand.profiles == ["exact"], "of clips alone"


def test_servers_for_webrtc_are_told_to_whoever_begins_and_there_are_none_by_default(serving, hand, tmp_path):
    assert begin(serving(hand=hand)).json()["ice_servers"] == []
    server = {"urls": ["turn:turn.example"], "username": "u", "credential": "c"}
    from hp_trt.apps.service.ice import IceServer

    told = serving(
        hand=hand, state=tmp_path / "other", ice_servers=(IceServer(**server | {"urls": ("turn:turn.example",)}),)
    )
    assert begin(told).json()["ice_servers"] == [server] == list(told.service.live.ice_servers)


def test_a_callers_second_session_waits_and_says_for_how_long(running):
    begin(running)
    second = begin(running)
    assert second.status_code == 429 and int(second.headers["retry-after"]) >= 1
    assert second.json()["type"] == "urn:hp-trt:busy" and "end one first" in second.json()["detail"]
    assert 'hp_trt_errors_total{slug="busy"} 1.0' in running.ask("GET", "/metrics").text


@pytest.mark.parametrize(
    ("bundle", "wishes", "says"),
    [
        ("shipped:pocket", {"mood": "happy"}, "a mood is of speech, and this service follows videos; leave it out"),
        ("shipped:talk_pocket", {"mood": "hungry"}, "is none of neutral, happy"),
        ("shipped:talk_pocket", {"mood": "happy:7"}, "one number of 0 to 1"),
        ("shipped:pocket", {"profile": "none"}, "'none'"),
        ("shipped:pocket", {"profile": "exact"}, "live"),
    ],
)
def test_what_the_bundle_cannot_do_is_told_at_once_and_takes_no_place(serving, hand, bundle, wishes, says):
    running = serving(hand=hand, bundle=bundle, live_lanes=1, limits={"live_per_token": 1})
    refused = begin(running, **wishes)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:hp-trt:impossible"), refused.text
    assert says in refused.json()["detail"]
    assert begin(running).status_code == 201


def test_a_mood_of_speech_is_taken(serving, hand):
    assert begin(serving(hand=hand, bundle="shipped:talk_pocket", live_lanes=1), mood="happy:0.5").status_code == 201


def test_a_portrait_that_is_not_the_callers_is_not_there(running):
    answer = begin(running, portrait="p_" + "0" * 32)
    assert answer.status_code == 404 and answer.json()["type"] == "urn:hp-trt:not-found"


def test_a_session_is_the_services_own_in_its_metrics_and_while_it_ends(running):
    begun = begin(running, portrait=running.portrait()).json()

    async def live() -> tuple[str, bool]:
        sessions = running.service.live
        channel = sessions.enter(begun["id"], begun["ticket"])
        metrics, busy = running.service.meters.text().decode(), running.service._busy()
        running.service.drain.begin()
        channel.finish(LEFT)
        await asyncio.wait_for(channel.closed.wait(), 20)
        return metrics, busy

    metrics, busy = running.run(live())
    assert busy and 'hp_trt_lanes{kind="live",state="busy"} 1.0' in metrics and "hp_trt_live_sessions 1.0" in metrics
    assert begin(running).status_code == 503
    assert 'hp_trt_live_ended_total{reason="left"} 1.0' in running.ask("GET", "/metrics").text


def test_without_live_lanes_there_is_no_such_address(serving):
    none = serving(live_lanes=0)
    assert none.ask("POST", "/v1/live", json={}).status_code == 404
    assert none.ask("GET", "/live").status_code == 404


def test_a_page_elsewhere_may_not_begin_a_session(running):
    answer = running.ask("POST", "/v1/live", json={}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403 and answer.json()["type"] == "urn:hp-trt:foreign-origin"


def test_the_live_page_is_served_beside_it(running):
    page = running.ask("GET", "/live")
    assert page.status_code == 200 and "live.js" in page.text
    assert "connect-src 'self'" in page.headers["content-security-policy"]


def test_a_portrait_that_is_deleted_while_a_session_shows_it_is_shown_to_the_end(running):
    portrait = running.portrait()
    begun = begin(running, portrait=portrait).json()

    async def live() -> bool:
        channel = running.service.live.enter(begun["id"], begun["ticket"])
        while not channel.open:
            await asyncio.sleep(0.005)
        await running.loop.run_in_executor(None, running.service.portraits.delete, running.owner, portrait)
        still = channel.open and channel.chosen and channel.end is None
        channel.finish(LEFT)
        await asyncio.wait_for(channel.closed.wait(), 20)
        return still

    assert running.run(live())
    assert begin(running, portrait=portrait).status_code == 404


def test_a_body_that_comes_a_byte_now_and_then_or_breaks_off_is_not_waited_for(running, monkeypatch):
    monkeypatch.setattr(answers, "_BODY_S", 0.1)
    slow = Endless(running, "/v1/live", parts=[b" "] * 100, waits=[0.02] * 100)
    assert slow.status == 408 and b"the body came for 0.1 s" in slow.body and slow.taken < 20
    gone = Endless(running, "/v1/live", parts=[b" ", None])
    assert gone.status == 400 and b"went away before its body had come" in gone.body
    assert begin(running).status_code == 201, "no place is kept"
