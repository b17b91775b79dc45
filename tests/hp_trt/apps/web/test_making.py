"""Jobs of the page: they are the API's."""

from __future__ import annotations

import asyncio
import io

import pytest
from PIL import Image

from hp_trt.apps.web import making
from hp_trt.apps.web.making import Asked, AskedLarger, Shown
from tests.hp_trt.apps.service.conftest import write_video


@pytest.fixture(scope="module")
def uploads(page, tmp_path_factory):
    """Ids of a portrait and of a driving video."""
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), (90, 45, 90)).save(picture, "PNG")
    portrait = page.ask("POST", "/page/uploads/portrait?suffix=png", content=picture.getvalue())
    video = write_video(tmp_path_factory.mktemp("v") / "v.mp4", 12).read_bytes()
    motion = page.ask("POST", "/page/uploads/motion?suffix=../x", content=video)
    assert portrait.status_code == motion.status_code == 201
    return portrait.json()["id"], motion.json()["id"]


def asked(uploads, **more) -> Asked:
    return Asked(**{"kind": "clip", "portrait": uploads[0], "motion": uploads[1], "profile": "exact", **more})


def made(page, wanted: Asked | AskedLarger) -> list[Shown]:
    async def all_of():
        return [one async for one in page.making.make(page.owner, wanted)]

    return asyncio.run(all_of())


def test_an_upload_of_the_page_is_one_of_the_api(page, uploads):
    assert page.ask("GET", f"/v1/portraits/{uploads[0]}").json()["facts"] == {"width": 32, "height": 32}
    assert page.ask("GET", f"/v1/motions/{uploads[1]}").json()["facts"]["frames"] == 12


def test_an_upload_of_the_page_has_the_limits_and_the_messages_of_the_api(page):
    for where in ("/page/uploads/portrait", "/v1/portraits"):
        answer = page.ask("POST", where, content=b"GIF89a nothing")
        assert answer.status_code == 415
        assert "give a PNG, JPEG" in answer.json()["detail"]
        large = page.ask("POST", where, headers={"content-length": str(10**9)}, content=b"")
        assert large.status_code == 413


def test_a_job_is_the_apis_job_with_what_the_form_says(page, uploads):
    shown = made(page, asked(uploads, seed=" 7 ", crop=True, label=True))
    assert [one.view.state for one in shown if one.view.state != "running"][-1] == "done"
    told = page.ask("GET", f"/v1/jobs/{shown[-1].job}").json()
    assert told["request"]["seed"] == 7
    assert told["request"]["crop"] is True
    assert told["request"]["label"] is True
    assert shown[-1].view.result["sha256"] == told["result"]["sha256"]
    answer = page.ask("GET", f"/page/jobs/{shown[-1].job}/result", headers={"range": "bytes=0-3"})
    assert answer.status_code == 206
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert page.ask("HEAD", f"/page/jobs/{shown[-1].job}/result").status_code == 200


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"portrait": ""}, "there is no portrait yet; choose a picture"),
        ({"motion": None}, "there is no driving video yet"),
        ({"portrait": "p_" + "0" * 32}, "upload it first"),
        ({"portrait": "../../etc/passwd"}, "the job cannot be read: portrait"),
        ({"portrait": 7}, "the job cannot be read: portrait"),
        ({"profile": "none such"}, "there is no such profile here; there are: exact"),
        ({"profile": None, "crop": "yes"}, "the job cannot be read: crop"),
        ({"seed": "-1"}, "a seed is a whole number from 0, got '-1'"),
        ({"seed": "٣"}, "a seed is a whole number"),
        ({"seed": "1" * 19 + "9"}, "a seed is a whole number"),
        ({"seed": str(2**63)}, "the job cannot be read: seed"),
        ({"kind": "talk"}, "this service makes jobs of kind clip"),
        ({"mood": "happy"}, "a mood is of speech"),
    ],
)
def test_what_cannot_be_made_is_told_in_the_apis_words_and_makes_no_job(page, uploads, more, words):
    before = page.ask("GET", "/v1/jobs").json()["jobs"]
    (shown,) = made(page, asked(uploads, **more))
    assert words in shown.problem
    assert not shown.job
    assert page.ask("GET", "/v1/jobs").json()["jobs"] == before


def test_a_visible_sign_is_asked_for_where_jobs_know_one(uploads, monkeypatch):
    monkeypatch.setattr(making, "labels", lambda: False)
    assert "label" not in asked(uploads, label=True).body()
    monkeypatch.setattr(making, "labels", lambda: True)
    assert asked(uploads, label=True).body()["label"] is True
    assert asked(uploads, label=False).body()["label"] is False


def test_a_job_that_fails_says_why_without_a_path(page, uploads):
    page.hand.fails = OSError(28, "No space left on device", "/secret/place")
    try:
        shown = made(page, asked(uploads, seed="8"))
    finally:
        page.hand.fails = None
    assert shown[-1].view.state == "failed"
    assert "cannot write" in shown[-1].view.problem
    assert "secret" not in shown[-1].view.problem


def test_a_job_is_called_off_once_and_another_owners_never(page, uploads):
    page.hand.go.clear()

    async def drive() -> list[str]:
        states, told = [], []
        async for one in page.making.make(page.owner, asked(uploads, seed="9")):
            states.append(one.view.state)
            if states[-1] == "running" and not told:
                told.append(await page.making.cancel("0" * 16, one.job))
                told.append(await page.making.cancel(page.owner, one.job))
        return [*told, await page.making.cancel(page.owner, one.job), states[-1]]

    try:
        others, own, again, state = asyncio.run(drive())
    finally:
        page.hand.go.set()
    assert "nothing to call off; make something first" in others
    assert own == ""
    assert "it has ended already" in again
    assert state == "cancelled"
    for identity in (None, "", 7, "j_" + "0" * 32):
        assert "make something first" in asyncio.run(page.making.cancel(page.owner, identity))


def test_who_comes_back_sees_the_job_and_of_another_owners_nothing(page, uploads):
    identity = made(page, asked(uploads))[-1].job

    async def seen(owner, name):
        return [one async for one in page.making.watch(owner, name)]

    assert asyncio.run(seen(page.owner, identity))[-1].view.state == "done"
    assert asyncio.run(seen("0" * 16, identity)) == []
    assert asyncio.run(seen(page.owner, {"path": "x"})) == []


def test_a_sidecar_beside_the_result_is_shown(page, uploads):
    identity = made(page, asked(uploads))[-1].job
    job = page.service.jobs.get(page.owner, identity)
    (job.folder / "result.mp4.json").write_text('{"format": "<b>"}')

    async def last():
        return [one async for one in page.making.watch(page.owner, identity)][-1]

    assert asyncio.run(last()).sidecar == '{"format": "<b>"}'


def test_a_service_that_ends_takes_nothing_new(page, uploads, monkeypatch):
    monkeypatch.setattr(type(page.service.drain), "begun", property(lambda _: True))
    (shown,) = made(page, asked(uploads))
    assert "the service is ending" in shown.problem
    assert page.ask("POST", "/page/uploads/portrait", content=b"x").status_code == 503
    assert page.ask("POST", "/page/uploads/verified", content=b"x").status_code == 503


def test_a_larger_video_is_asked_for_in_the_apis_words_without_what_the_form_left_open():
    wanted = AskedLarger(video="v_1", scale=4, repeat=True, label=False)
    assert wanted.body() == {"kind": "enhance", "video": "v_1", "scale": 4, "repeat": True, "label": False}
    assert AskedLarger(video="j_1", scale=2, fidelity=0, face_upsample=True).body()["fidelity"] == 0


def test_what_cannot_be_enlarged_is_told_on_the_page(page):
    for video, words in ((None, "there is no video yet; choose a file"), ("v_1", "starts it with --enhancer")):
        video = video and "v_" + "0" * 32
        (shown,) = made(page, AskedLarger(video=video, scale=2))
        assert words in shown.problem and not shown.job
    assert page.ask("POST", "/page/uploads/video?suffix=mp4", content=b"x").status_code == 422
