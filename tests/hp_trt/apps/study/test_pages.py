from __future__ import annotations

import asyncio
import errno
import os
import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from engines.errors import InputError
from hp_trt.apps.study import pages
from hp_trt.apps.study.pages import STATIC, study_router
from hp_trt.apps.study.serve import StudyServer, study_app
from hp_trt.measure.study import raters as module
from hp_trt.measure.study.plan import read_plan
from hp_trt.measure.study.raters import Raters

GRADES = {"movement": 4, "quality": 3, "smoothness": 5}


@pytest.fixture
def client(study):
    with TestClient(study_app(StudyServer(study=study)), base_url="http://localhost:8090") as client:
        yield client


@pytest.fixture
def rater(client):
    """The header of somebody who has agreed."""
    return {"Study-Rater": client.post("/api/raters", json={"consent": True}).json()["token"]}


def answer(client, rater, trial, grades=GRADES, **more):
    return client.post("/api/answers", json={"trial": trial, "grades": grades, **more}, headers=rater)


def test_a_rater_is_led_through_everything_and_thanked(client, rater, study):
    seen, found = [], client.get("/api/next", headers=rater).json()
    while found["trial"]:
        assert (found["done"], found["of"]) == (len(seen), 4)
        trial = found["trial"]
        assert set(trial) == {"id", "result", "source", "driving", "speech"} and trial["id"] == trial["result"]
        assert trial["speech"] == trial["driving"].endswith(".m4a")
        seen.append(trial["id"])
        found = answer(client, rater, trial["id"], seconds=3.5).json()
    assert found == {"done": 4, "of": 4, "trial": None}
    assert sorted(seen) == sorted(trial for trial, _, _ in read_plan(study).trials())


def test_nothing_that_a_browser_gets_says_whose_a_clip_is(client, rater, study):
    plan = read_plan(study)
    places = ["/", "/study.js", "/study.css", "/icon.svg", "/api/study", "/api/next"]
    for place in places + [f"/clips/{name}" for name in plan.files()]:
        found = client.get(place, headers=rater)
        assert found.status_code == 200
        everything = repr(found.headers).encode() + found.content
        assert not re.search(rb"\bexact\b|\blive\b|\banna\b|\bben\b|contender", everything.replace(b'aria-live="', b""))
    headers = [client.get(f"/clips/{name}").headers for name in plan.items[0].results.values()]
    same = [{key: value for key, value in each.items() if key not in ("content-length", "etag")} for each in headers]
    assert same[0] == same[1] and same[0]["last-modified"].endswith("1970 00:00:00 GMT")


def test_a_clip_comes_in_parts_as_players_ask_for_it(client, study):
    name = next(iter(read_plan(study).items[0].results.values()))
    whole = client.get(f"/clips/{name}")
    part = client.get(f"/clips/{name}", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert client.head(f"/clips/{name}").headers["content-length"] == str(len(whole.content))
    assert whole.headers["content-type"] == "video/mp4" and "immutable" in whole.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/plan.json",
            "/clips/plan.json",
            "/clips/..%2Fplan.json",
            "/clips/%2e%2e%2fplan.json",
            "/clips/../plan.json",
        ),
        *("/clips/" + "0" * 16 + ".mp4", "/raters/00001.json", "/clips/", "/api/raters", "/openapi.json", "/docs"),
    ],
)
def test_nothing_else_of_the_folder_can_be_had(client, rater, path):
    found = client.get(path, headers=rater)
    assert found.status_code in (404, 405) and b"contenders" not in found.content
    assert found.headers["content-security-policy"].startswith("default-src 'none'")


def test_every_answer_has_the_pages_headers_and_answers_are_not_kept_by_browsers(client, rater):
    for found in (client.get("/"), client.get("/api/next", headers=rater), client.get("/api/next"), client.get("/no")):
        policy = found.headers["content-security-policy"]
        assert "script-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert (
            found.headers["x-content-type-options"] == "nosniff" and found.headers["referrer-policy"] == "no-referrer"
        )
        assert not [name for name in found.headers if name.startswith("access-control") or name == "set-cookie"]
    assert client.get("/api/next", headers=rater).headers["cache-control"] == "no-store"


def test_the_page_asks_no_other_host():
    text = "".join(path.read_text() for path in STATIC.iterdir() if path.suffix != ".svg")
    assert not re.search(r"https?:|//[a-z]+\.|@import|<script>|<style|\son[a-z]+=", text)


def problem(found, status, says):
    assert found.status_code == status and found.headers["content-type"] == "application/problem+json"
    document = found.json()
    assert document["status"] == status and document["type"].startswith("urn:hp-trt:")
    assert says in document["detail"], document
    assert "/" not in document["detail"].replace("application/json", ""), "no path of this machine"


def test_a_second_answer_changes_nothing(client, rater):
    trial = client.get("/api/next", headers=rater).json()["trial"]["id"]
    first = answer(client, rater, trial)
    assert answer(client, rater, trial).json() == first.json() == client.get("/api/next", headers=rater).json()
    problem(answer(client, rater, trial, GRADES | {"quality": 1}), 409, "the first ones stand")
    problem(answer(client, rater, "0" * 16 + ".mp4"), 409, "is not your next one")


@pytest.mark.parametrize("value", [0, 6, -1, 4.5, "4", True, None, [4], {"a": 1}])
def test_a_grade_that_is_none_is_refused_and_the_clip_stays_the_next(client, rater, value):
    place = client.get("/api/next", headers=rater).json()
    problem(answer(client, rater, place["trial"]["id"], GRADES | {"movement": value}), 422, "grade")
    assert client.get("/api/next", headers=rater).json() == place


def test_strangers_and_those_who_have_not_agreed_do_not_grade(client):
    for headers in ({}, {"Study-Rater": "x"}, {"Study-Rater": "é".encode("latin-1")}):
        problem(client.get("/api/next", headers=headers), 404, "begin anew")
    problem(answer(client, {}, "x"), 404, "begin anew")
    problem(client.post("/api/raters", json={"consent": False}), 422, "nobody grades without having agreed")
    problem(client.post("/api/raters", json={}), 400, "consent is missing")


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (b"{", "application/json", 400, "this is no JSON"),
        (b"\xff", "application/json", 400, "this is no JSON"),
        (b'{"a": NaN}', "application/json", 400, "NaN is not JSON"),
        (b'{"trial": "a", "trial": "b"}', "application/json", 400, "stands twice"),
        (b"[" * 2000, "application/json", 400, "nested"),
        (b"[]", "application/json", 400, "the whole must be an object"),
        (b'{"trial": 1, "grades": {}}', "application/json", 400, "trial must be text"),
        (b'{"trial": "a", "grades": 5}', "application/json", 400, "grades must be an object"),
        (b'{"trial": "' + b"a" * 50 + b'", "grades": {}}', "application/json", 400, "at most 40 letters"),
        (b" " * 5000, "application/json", 413, "at most 4096 bytes"),
        (b"{}", "text/plain", 415, "needed is application/json"),
        (b"trial=a", "application/x-www-form-urlencoded", 415, "needed is application/json"),
    ],
)
def test_a_body_that_is_none_is_refused(client, rater, body, kind, status, says):
    found = client.post("/api/answers", content=body, headers=rater | {"Content-Type": kind})
    problem(found, status, says)


@pytest.mark.parametrize("slow", [False, True])
def test_an_answer_that_breaks_off_or_does_not_come_ends_quietly(client, study, monkeypatch, slow):
    """As a server hands it on: a beginning, then nothing, or the news that the browser is gone."""
    monkeypatch.setattr(pages, "_BODY_S", 0.01)
    heard, sent = [{"type": "http.request", "body": b"{", "more_body": True}], []

    async def receive():
        if heard:
            return heard.pop(0)
        if slow:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/answers", "headers": headers, "query_string": b""}
    asyncio.run(client.app(scope | {"asgi": {"version": "3.0"}, "http_version": "1.1"}, receive, send))
    assert sent[0]["status"] == (408 if slow else 400)


def test_a_page_elsewhere_may_not_answer(client, rater):
    problem(
        client.post("/api/raters", json={"consent": True}, headers={"Origin": "http://evil.example"}),
        403,
        "a page elsewhere",
    )
    hostile = client.post("/api/raters", json={"consent": True}, headers={"Origin": "http://["})
    problem(hostile, 403, "a page elsewhere")
    assert client.post("/api/raters", json={"consent": True}, headers={"Origin": "http://localhost:8090"}).is_success


def test_a_disk_that_is_full_is_told_without_its_name(client, rater, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "write_whole", full)
    trial = client.get("/api/next", headers=rater).json()["trial"]["id"]
    problem(answer(client, rater, trial), 507, "this one is not kept: tell who runs the study")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8090", 200),
        ("127.0.0.1", 200),
        ("[::1]:8090", 200),
        ("LOCALHOST.:1", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("localhost:80:80", 400),
        ("localhost@evil.example", 400),
        ("", 400),
    ],
)
def test_only_the_loopbacks_names_are_answered_to(client, host, status):
    found = client.get("/", headers={"Host": host})
    assert found.status_code == status
    if status == 400:
        problem(found, 400, "does not go by that name")


def test_an_application_has_the_study_below_a_path_of_its_own_and_lets_it_go(study):
    app = FastAPI()
    app.include_router(study_router(study), prefix="/study")
    with TestClient(app) as client:
        assert client.get("/study", follow_redirects=False).headers["location"].endswith("/study/")
        assert "study.js" in client.get("/study/").text and client.get("/study/study.js").is_success
        assert client.get("/study/api/study").json() == {"id": read_plan(study).id, "trials": 4}
        assert client.get("/openapi.json").json()["paths"] == {}
        with pytest.raises(InputError, match="is served by another process already"):
            study_router(study)
    Raters(study).close()
