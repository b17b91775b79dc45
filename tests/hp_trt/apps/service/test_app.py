"""What every request passes, and the shape of every problem."""

from __future__ import annotations

import json

import pytest

from hp_trt.apps.service.app import create_app
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.problems import KINDS
from hp_trt.apps.service.tokens import add_token
from tests.hp_trt.apps.service.fake_engine import Hand
from tests.hp_trt.apps.service.test_ours import HOSTILE


def slug(answer) -> str:
    """Of a problem, whose shape is held on the way."""
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert set(said) == {"type", "title", "status", "detail"} and said["status"] == answer.status_code
    name = said["type"].removeprefix("urn:hp-trt:")
    assert KINDS[name].status == answer.status_code and KINDS[name].title == said["title"]
    assert "/tmp" not in answer.text and "Traceback" not in answer.text
    return name


def test_a_service_says_what_it_is_and_whose_weights_it_has(running):
    said = running.ask("GET", "/v1/info").json()
    assert said["preset"] == "pocket" and said["kind"] == "clip" and said["licence"].startswith("Apache-2.0")
    assert said["limits"]["video_bytes"] == 500_000_000 and said["profiles"] == ["exact"]
    assert said["notes"] == ["a fake, whose bundle is in a file of the service"], "no path of this machine"


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/v1/jobs/", 404, "not-found"),
        ("GET", "/v1/jobs/..%2f..%2flock", 404, "not-found"),
        ("GET", "/v1/jobs/j_" + "0" * 32, 404, "not-found"),
        ("GET", "/v1/portraits/m_" + "0" * 32, 404, "not-found"),
        ("PUT", "/v1/jobs", 405, "method"),
        ("GET", "/v1/jobs?most=0", 400, "bad-request"),
        ("GET", "/v1/jobs?most=x", 400, "bad-request"),
        ("GET", "/v1/jobs?state=lost", 400, "bad-request"),
        ("GET", "/v1/jobs?before=-1", 400, "bad-request"),
    ],
)
def test_what_is_not_there_is_one_problem(running, method, path, status, name):
    answer = running.ask(method, path)
    assert (answer.status_code, slug(answer)) == (status, name)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "", "127.0.0.1.evil.example", "[::2]:7860"])
def test_a_host_that_is_not_ours_is_refused(running, host):
    answer = running.ask("GET", "/v1/info", headers={"host": host})
    assert (answer.status_code, slug(answer)) == (400, "foreign-host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:7860", "LOCALHOST:7860"])
def test_this_machine_may_be_called_by_all_its_names(running, host):
    assert running.ask("GET", "/v1/info", headers={"host": host}).status_code == 200


def test_a_host_that_was_allowed_is_ours(serving):
    running = serving(hosts=("box.lan",))
    assert running.ask("GET", "/livez", headers={"host": "box.lan:80"}).status_code == 200
    assert running.ask("GET", "/livez", headers={"host": "other.lan"}).status_code == 400


def test_a_page_elsewhere_cannot_drive_a_local_service(serving):
    running = serving(origins=("https://mine.example",))
    foreign = running.ask("POST", "/v1/portraits", content=b"x", headers={"origin": "https://evil.example"})
    assert (foreign.status_code, slug(foreign)) == (403, "foreign-origin")
    for hostile in HOSTILE:
        for path in ("/v1/portraits", "/v1/live"):
            answer = running.ask("POST", path, content=b"x", headers={"origin": hostile})
            assert (answer.status_code, slug(answer)) == (403, "foreign-origin"), hostile
    for own in ("http://127.0.0.1:7860", "https://mine.example"):
        answer = running.ask("POST", "/v1/portraits", content=b"x", headers={"origin": own})
        assert answer.status_code == 415, "it is looked at"
    assert running.ask("GET", "/livez", headers={"origin": "https://mine.example"}).headers[
        "access-control-allow-origin"
    ] == ("https://mine.example")
    assert (
        "access-control-allow-origin"
        not in running.ask("GET", "/livez", headers={"origin": "https://evil.example"}).headers
    )


def test_without_a_token_there_is_nothing_but_health(serving, tmp_path):
    file = tmp_path / "tokens"
    token = add_token(file, "alice")
    running = serving(tokens=file, token=token)
    assert running.ask("GET", "/v1/info").status_code == 200
    for wrong in ("", "Bearer", f"Bearer {token}x", f"Basic {token}", f"Bearer {token[:-1]}", "Bearer \xff"):
        answer = running.ask("GET", "/v1/info", headers={"authorization": wrong.encode("latin-1")})
        assert (answer.status_code, slug(answer)) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    for open_to_all in ("/livez", "/readyz", "/metrics"):
        assert running.ask("GET", open_to_all, headers={"authorization": ""}).status_code == 200


def test_what_another_token_has_is_not_there(serving, tmp_path, video):
    file = tmp_path / "tokens"
    alice, bob = add_token(file, "alice"), add_token(file, "bob")
    running = serving(tokens=file, token=alice)
    portrait, motion = running.portrait(), running.motion(video)
    job = running.job(portrait, motion).json()["id"]
    running.ended(job)
    theirs = {"authorization": f"Bearer {bob}"}
    for path in (f"/v1/portraits/{portrait}", f"/v1/motions/{motion}", f"/v1/jobs/{job}", f"/v1/jobs/{job}/result"):
        assert running.ask("GET", path).status_code == 200
        answer = running.ask("GET", path, headers=theirs)
        assert (answer.status_code, slug(answer)) == (404, "not-found")
    for path in (f"/v1/portraits/{portrait}", f"/v1/motions/{motion}", f"/v1/jobs/{job}"):
        assert running.ask("DELETE", path, headers=theirs).status_code == 404
    assert running.ask("GET", "/v1/jobs", headers=theirs).json() == {"jobs": [], "before": None}
    body = {"kind": "clip", "portrait": portrait, "motion": motion}
    assert running.ask("POST", "/v1/jobs", json=body, headers=theirs).status_code == 404


def test_a_mistake_of_ours_is_told_without_a_word_of_it(running, monkeypatch, caplog):
    def broken(*_args, **_named):
        raise RuntimeError("secret of /etc/passwd")

    monkeypatch.setattr(running.service.jobs, "listed", broken)
    answer = running.ask("GET", "/v1/jobs")
    assert (answer.status_code, slug(answer)) == (500, "internal")
    assert "secret" not in answer.text


def test_nobody_is_told_where_files_are_or_who_asks_in_the_logs(running, video, capfd):
    import io

    from hp_trt.apps.service.logs import log_as_json

    lines = io.StringIO()
    log_as_json(lines)
    running.ask("POST", "/v1/portraits", files={"file": ("secret-name.png", b"no picture")})
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert found[-1]["event"] == "request" and found[-1]["status"] == 415
    assert found[-1]["route"] == "/v1/portraits" and len(found[-1]["request"]) == 16
    assert "secret-name" not in lines.getvalue()


def test_an_application_opens_and_closes_a_service_of_its_own(tmp_path, monkeypatch):
    import asyncio

    from hp_trt.apps.service import app as module

    hand, plain = Hand(), module.Service
    monkeypatch.setattr(module, "Service", lambda config: plain(config, hand.open))
    made = create_app(ServiceConfig(bundle="shipped:pocket", state=tmp_path / "s"))
    assert "/v1/live" in made.openapi()["paths"], "its live sessions too"

    async def once() -> None:
        async with made.router.lifespan_context(made):
            assert hand.opened == 1 and not hand.closed

    asyncio.run(once())
    assert hand.closed == 1
