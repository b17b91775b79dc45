"""The routes beside the socket: who may begin how many sessions, and what is said to others."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.hp_trt.apps.service.live.fake_engine import FakeEngine, nothing_runs
from tests.hp_trt.apps.service.live.schema import is_valid


def problem(answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == answer.status_code and said["detail"]
    return answer.status_code, said["type"]


def test_a_session_is_asked_for_with_a_ticket_and_an_address(serve):
    answer = serve().http.post("/v1/live")
    said = answer.json()
    assert answer.status_code == 201 and answer.headers["location"] == f"/v1/live/{said['id']}"
    assert said["socket"] == f"/v1/live/{said['id']}/socket"
    assert (said["expires_s"], said["driver"]) == (30, "video")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 4000, 400),
        (b"[]", 422),
        (b'{"portrait":3}', 422),
        (b'{"seed":-1}', 422),
        (b'{"seed":true}', 422),
        (b'{"model":"x"}', 422),
        (b'{"profile":"' + b"x" * 300 + b'"}', 422),
        (b'{"portrait":"gone"}', 422),
        (b" " * 5000, 413),
    ],
)
def test_wishes_that_cannot_be_are_refused_and_keep_no_place(serve, body, status):
    client = serve(sessions=1, sessions_of_a_caller=1)
    assert problem(client.http.post("/v1/live", content=body))[0] == status
    client.ask()


def test_more_than_there_is_place_for_is_told_when_to_come_again(serve):
    client = serve(sessions=2, sessions_of_a_caller=1)
    client.ask("me")
    mine = client.http.post("/v1/live", headers={"x-caller": "me"})
    assert problem(mine) == (429, "urn:hp-trt:busy") and "1 live session is of yours already" in mine.json()["detail"]
    client.ask("you")
    third = client.http.post("/v1/live", headers={"x-caller": "third"})
    assert problem(third)[0] == 429 and "2 live sessions are here already" in third.json()["detail"]
    assert 1 <= int(third.headers["retry-after"]) <= 30


def test_a_place_that_nobody_came_for_is_free_again(serve):
    client = serve(sessions=1, sessions_of_a_caller=1, ticket_s=0.05)
    client.ask()
    threading.Event().wait(0.06)
    client.ask()


def test_a_place_is_free_when_its_session_has_ended(serve):
    client = serve(sessions=1, sessions_of_a_caller=1)
    asked = client.ask()
    with client.connect(asked) as talk:
        talk.begin()
        assert client.http.delete(f"/v1/live/{asked['id']}").status_code == 204
        assert talk.end()[0]["reason"] == "left"
    for _ in range(1000):
        if not len(client.sessions):
            break
        threading.Event().wait(0.01)
    client.ask()


def test_what_was_only_asked_for_is_given_back(serve):
    client = serve(sessions=1, sessions_of_a_caller=1)
    asked = client.ask()
    assert client.http.delete(f"/v1/live/{asked['id']}").status_code == 204
    client.ask()


def test_anothers_session_is_not_there(serve):
    client = serve()
    asked = client.ask("me")
    you = {"x-caller": "you"}
    with client.connect(asked) as talk:
        talk.begin()
        for answer in (
            client.http.post(f"/v1/live/{asked['id']}/ticket", headers=you),
            client.http.delete(f"/v1/live/{asked['id']}", headers=you),
            client.http.post(f"/v1/live/{asked['id']}/whip", headers=you | {"content-type": "application/sdp"}),
            client.http.post("/v1/live/nobody/ticket", headers=you),
            client.http.delete(f"/v1/live/{asked['id']}/whip/x", headers=you),
        ):
            assert problem(answer) == (404, "urn:hp-trt:not-found")


@pytest.mark.parametrize(
    ("headers", "status"), [({"host": "evil.example"}, 400), ({"origin": "http://evil.example"}, 403)]
)
def test_another_host_or_page_may_do_nothing(serve, headers, status):
    client = serve()
    asked = client.ask()
    for method, path in (
        ("POST", "/v1/live"),
        ("POST", f"/v1/live/{asked['id']}/ticket"),
        ("DELETE", f"/v1/live/{asked['id']}"),
        ("POST", f"/v1/live/{asked['id']}/whep"),
        ("DELETE", f"/v1/live/{asked['id']}/whep/x"),
    ):
        assert problem(client.http.request(method, path, headers=headers))[0] == status


def test_a_server_that_ends_says_so_and_begins_nothing(serve):
    client = serve()
    with client.connect() as talk:
        talk.begin()
        drained = client.http.portal.start_task_soon(client.sessions.drain, 0.2)
        assert talk.hear("draining")["seconds"] == 0.2
        assert problem(client.http.post("/v1/live")) == (503, "urn:hp-trt:draining")
        said, code = talk.end()
        drained.result(10)
    assert (said["reason"], code) == ("draining", 1012) and is_valid("server", said)
    assert len(client.sessions) == 0 and nothing_runs()


def test_the_sessions_that_a_session_has_are_ended_while_they_open():
    from hp_trt.apps.service.live.engine import Wishes
    from hp_trt.apps.service.live.sessions import LiveSessions
    from tests.hp_trt.apps.service.live.talking import limits

    gate = threading.Event()

    async def run() -> int:
        import numpy as np

        engine = FakeEngine(opening=lambda: gate.wait(10))
        sessions = LiveSessions(engine, limits=limits(), portraits=lambda caller, name: np.zeros((8, 8, 3), np.uint8))
        session, ticket = sessions.reserve("me", Wishes(portrait="x"))
        sessions.enter(session, ticket)
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(sessions.close())
        await asyncio.sleep(0.1)
        gate.set()
        await closing
        return len(sessions)

    assert asyncio.run(run()) == 0 and nothing_runs()
