"""Jobs from their making to their end, across restarts, and who has the next turn."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from engines.errors import FaceNotFound, InputError, InternalError, OutputError
from hp_trt.apps.service.clock import SteadyTime
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.tokens import add_token, owner_of
from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.fake_engine import Hand
from tests.hp_trt.apps.service.test_app import slug

RESULT = b"".join(bytes([number]) * 1000 for number in range(5))


def begun(running) -> None:
    assert running.hand.begun.acquire(timeout=20), "a lane takes the job"


def held() -> Hand:
    """An engine that does not end its clips."""
    hand = Hand()
    hand.go.clear()
    return hand


def sse(running, identity, **headers):
    """All events of a job that has ended, or ends: (id, kind, data) each."""
    answer = running.ask("GET", f"/v1/jobs/{identity}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["id"], lines["event"], json.loads(lines["data"])))
    return found


def test_a_job_becomes_a_result(running, video):
    made = running.job(running.portrait(), running.motion(video), steps=2, seed=3)
    assert made.status_code == 202 and made.headers["location"] == f"/v1/jobs/{made.json()['id']}"
    job = running.ended(made.json()["id"])
    assert job["state"] == "done" and job["attempts"] == 1 and job["error"] is None
    assert job["result"]["frames"] == 5 and job["result"]["bytes"] == len(RESULT)
    assert job["result"]["notes"] == ["the portrait is small"], "no path of this machine"
    answer = running.ask("GET", f"/v1/jobs/{job['id']}/result")
    assert answer.content == RESULT and answer.headers["content-type"] == "video/mp4"
    assert running.hand.asked[0]["steps"] == 2 and running.hand.asked[0]["seed"] == 3
    folder = running.service.jobs.get(running.owner, job["id"]).folder
    assert {path.name for path in folder.iterdir()} == {"job.json", "result.mp4", "result.mp4.json"}, (
        "inputs are let go"
    )


def test_a_crop_is_the_result_where_it_is_asked_for(running, video):
    job = running.ended(running.job(running.portrait(), running.motion(video), crop=True).json()["id"])
    assert running.ask("GET", f"/v1/jobs/{job['id']}/result").content == b"crop"


def test_events_tell_what_happens_and_go_on_behind_the_last_one_heard(running, video):
    job = running.ended(running.job(running.portrait(), running.motion(video)).json()["id"])["id"]
    events = sse(running, job)
    kinds = [kind for _, kind, _ in events]
    assert [data["state"] for _, kind, data in events if kind == "state"] == ["queued", "running", "done"]
    assert kinds[-1] == "result" and "note" in kinds
    last = [data for _, kind, data in events if kind == "progress"][-1]
    assert (last["stage"], last["done"], last["total"]) == ("write", 5, 5)
    assert sse(running, job, **{"last-event-id": events[1][0]}) == events[2:]
    assert sse(running, job, **{"last-event-id": "another.7"}) == events, "of an earlier life: all there is"


def test_who_listens_while_it_runs_is_told_at_once_and_leaves_no_trace(serving, video):
    running = serving(hand=held())
    job = running.job(running.portrait(), running.motion(video)).json()["id"]
    begun(running)
    heard: list = []
    listening = threading.Thread(target=lambda: heard.extend(sse(running, job)))
    listening.start()
    events = running.service.jobs.get(running.owner, job).events
    while not events.listeners:
        time.sleep(0.001)
    running.hand.go.set()
    listening.join(20)
    assert [kind for _, kind, _ in heard][-1] == "result" and events.listeners == 0


def test_a_job_that_waits_is_cancelled_at_once_and_one_that_runs_before_its_next_piece(serving, video):
    running = serving(hand=held())
    portrait, motion = running.portrait(), running.motion(video)
    runs = running.job(portrait, motion).json()["id"]
    begun(running)
    waits = running.job(portrait, motion).json()["id"]
    assert running.ask("DELETE", f"/v1/jobs/{waits}").json()["state"] == "cancelled"
    running.ask("DELETE", f"/v1/jobs/{runs}")
    assert running.ended(runs)["state"] == "cancelled"
    assert running.ask("DELETE", f"/v1/jobs/{runs}").json()["state"] == "cancelled", "twice is fine"
    answer = running.ask("GET", f"/v1/jobs/{runs}/result")
    assert (answer.status_code, slug(answer)) == (409, "no-result")
    folder = running.service.jobs.get(running.owner, runs).folder
    assert [path.name for path in folder.iterdir()] == ["job.json"], "nothing is half written"


@pytest.mark.parametrize(
    ("error", "status", "name", "says"),
    [
        (FaceNotFound("no face in FOLDER/motion; use another"), 422, "no-face", "no face in the driving video"),
        (InputError("FOLDER/motion is cut off; give another"), 422, "impossible", "the driving video is cut off"),
        (OutputError("FOLDER/result.mp4: no space"), 507, "storage", "cannot write"),
        (OSError(28, "No space left on device"), 507, "storage", "cannot write"),
        (InternalError("a graph"), 500, "internal", "InternalError"),
        (MemoryError(), 500, "internal", "out of memory"),
        (RuntimeError("secret"), 500, "internal", "made a mistake"),
    ],
)
def test_a_job_that_fails_says_why(serving, video, error, status, name, says, monkeypatch):
    running = serving()
    running.hand.fails = error
    portrait, motion = running.portrait(), running.motion(video)
    running.hand.go.clear()
    identity = running.job(portrait, motion).json()["id"]
    folder = running.service.jobs.get(running.owner, identity).folder
    error.args = tuple(a.replace("FOLDER", str(folder)) if isinstance(a, str) else a for a in error.args)
    running.hand.go.set()
    job = running.ended(identity)
    assert job["state"] == "failed" and job["error"]["status"] == status
    assert job["error"]["type"] == f"urn:hp-trt:{name}" and says in job["error"]["detail"]
    assert "secret" not in json.dumps(job) and str(folder) not in json.dumps(job)
    assert sse(running, identity)[-1][1] == "error"
    running.hand.fails = None
    again = running.ended(running.job(portrait, motion).json()["id"])
    assert again["state"] == "done", "the lane goes on"


def test_a_portrait_that_is_deleted_while_it_is_used_is_used_to_the_end(serving, video):
    running = serving(hand=held())
    portrait, motion = running.portrait(), running.motion(video)
    jobs = [running.job(portrait, motion).json()["id"] for _ in range(2)]
    begun(running)
    assert running.ask("DELETE", f"/v1/portraits/{portrait}").status_code == 204
    assert running.ask("DELETE", f"/v1/motions/{motion}").status_code == 204
    running.hand.go.set()
    assert [running.ended(job)["state"] for job in jobs] == ["done", "done"]
    answer = running.job(portrait, motion)
    assert (answer.status_code, slug(answer)) == (404, "not-found")


def test_the_same_key_is_the_same_job_and_another_request_with_it_is_refused(running, video):
    portrait, motion = running.portrait(), running.motion(video)
    key = {"idempotency-key": "k1"}
    first = running.job(portrait, motion, headers=key)
    assert running.job(portrait, motion, headers=key).json()["id"] == first.json()["id"]
    answer = running.job(portrait, motion, headers=key, steps=3)
    assert (answer.status_code, slug(answer)) == (422, "key-reused")
    assert running.job(portrait, motion, headers={"idempotency-key": "k2"}).json()["id"] != first.json()["id"]
    running.ask("DELETE", f"/v1/portraits/{portrait}")
    assert running.job(portrait, motion, headers=key).json()["id"] == first.json()["id"], "whatever it was made of"
    for wrong in ("", "x" * 201, "a b", "\xe9"):
        answer = running.job(portrait, motion, headers={"idempotency-key": wrong.encode("latin-1")})
        assert (answer.status_code, slug(answer)) == (400, "bad-request")


def test_a_key_under_way_is_told_and_is_free_again_when_that_fails(running, video, monkeypatch):
    portrait, motion = running.portrait(), running.motion(video)
    inside, go = threading.Event(), threading.Event()
    plain = running.service.jobs._made

    def slowly(*given):
        inside.set()
        go.wait(20)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(running.service.jobs, "_made", slowly)
    answers: list = []
    key = {"idempotency-key": "k"}
    first = threading.Thread(target=lambda: answers.append(running.job(portrait, motion, headers=key)))
    first.start()
    inside.wait(20)
    answer = running.job(portrait, motion, headers=key)
    assert (answer.status_code, slug(answer)) == (409, "key-under-way")
    go.set()
    first.join(20)
    assert answers[0].status_code == 507
    monkeypatch.setattr(running.service.jobs, "_made", plain)
    assert running.job(portrait, motion, headers=key).status_code == 202


def test_a_token_has_so_many_jobs_waiting_and_all_of_them_so_many(serving, video, tmp_path):
    file = tmp_path / "tokens"
    tokens = [add_token(file, name) for name in ("a", "b")]
    limits = {"waiting_per_token": 2, "waiting": 3}
    running = serving(hand=held(), limits=limits, tokens=file, token=tokens[0])
    portrait, motion = running.portrait(), running.motion(video)
    running.job(portrait, motion)
    begun(running)
    assert [running.job(portrait, motion).status_code for _ in range(3)] == [202, 202, 429]
    answer = running.job(portrait, motion)
    assert slug(answer) == "quota" and int(answer.headers["retry-after"]) > 0
    running.headers = {"authorization": f"Bearer {tokens[1]}"}
    portrait, motion = running.portrait(), running.motion(video)
    assert running.job(portrait, motion).status_code == 202
    answer = running.job(portrait, motion)
    assert (answer.status_code, slug(answer)) == (429, "busy")


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"kind": "talk"}, 422, "jobs of kind clip"),
        ({"kind": "fly"}, 400, "kind"),
        ({"kind": "enhance"}, 400, "video"),
        ({"mood": "happy"}, 422, "a mood is of speech"),
        ({"profile": "/etc/passwd"}, 422, "no such profile here; there are: exact"),
        ({"profile": "live"}, 422, "no such profile"),
        ({"steps": 0}, 400, "steps"),
        ({"steps": "3"}, 400, "steps"),
        ({"steps": True}, 400, "steps"),
        ({"seed": -1}, 400, "seed"),
        ({"seed": 2**63}, 400, "seed"),
        ({"crop": "yes"}, 400, "crop"),
        ({"portrait": "../../lock"}, 400, "portrait"),
        ({"motion": "m_" + "0" * 32}, 404, "upload it first"),
        ({"unknown": 1}, 400, "unknown"),
    ],
)
def test_what_cannot_be_is_told_before_it_is_queued(running, video, more, status, says):
    body = {"kind": "clip", "portrait": running.portrait(), "motion": running.motion(video)} | more
    answer = running.ask("POST", "/v1/jobs", json=body)
    assert answer.status_code == status and slug(answer) and says in answer.json()["detail"], answer.text
    assert running.ask("GET", "/v1/jobs").json()["jobs"] == []


def test_jobs_are_listed_newest_first_page_by_page(running, video):
    portrait, motion = running.portrait(), running.motion(video)
    made = [running.job(portrait, motion).json()["id"] for _ in range(5)]
    for job in made:
        running.ended(job)
    seen, before = [], ""
    while True:
        page = running.ask("GET", f"/v1/jobs?most=2{before}").json()
        seen += [job["id"] for job in page["jobs"]]
        if page["before"] is None:
            break
        before = f"&before={page['before']}"
    assert seen == made[::-1]
    assert len(running.ask("GET", "/v1/jobs?state=done").json()["jobs"]) == 5
    assert running.ask("GET", "/v1/jobs?state=failed").json()["jobs"] == []


def test_the_token_that_has_used_least_lately_is_next(serving, video, tmp_path):
    file = tmp_path / "tokens"
    alice, bob = (add_token(file, name) for name in ("alice", "bob"))
    hand = held()
    running = serving(hand=hand, tokens=file, token=alice)
    portrait, motion = running.portrait(), running.motion(video)
    greedy = [running.job(portrait, motion).json()["id"] for _ in range(3)]
    begun(running)
    running.headers = {"authorization": f"Bearer {bob}"}
    modest = running.job(running.portrait(), running.motion(video)).json()["id"]
    hand.go.set()
    order = [running.ended(modest)]
    running.headers = {"authorization": f"Bearer {alice}"}
    order += [running.ended(job) for job in greedy]
    by_start = sorted(order, key=lambda job: job["started_s"])
    assert [job["id"] for job in by_start] == [greedy[0], modest, *greedy[1:]]


def test_a_token_that_used_much_is_late_and_does_not_starve(serving, video, tmp_path):
    file = tmp_path / "tokens"
    alice, bob = (add_token(file, name) for name in ("alice", "bob"))
    running = serving(hand=held(), tokens=file, token=alice)
    jobs = running.service.jobs
    running.job(running.portrait(), running.motion(video))
    begun(running)
    mine = running.job(running.portrait(), running.motion(video)).json()["id"]
    running.headers = {"authorization": f"Bearer {bob}"}
    theirs = running.job(running.portrait(), running.motion(video)).json()["id"]
    alices, bobs = jobs.get(owner_of("alice"), mine), jobs.get(owner_of("bob"), theirs)
    jobs._limits = Limits(running_per_token=5)
    now = time.monotonic()
    jobs._usage._used = {alices.owner: 100.0}
    for waited_s, first in ((150, bobs), (250, alices)):
        alices.queued_s, bobs.queued_s = now - waited_s, now
        with jobs.changed:
            assert jobs._next() is first, waited_s


def test_a_token_has_so_many_jobs_running_however_many_lanes_are_free(serving, video):
    running = serving(hand=held(), clip_lanes=3, limits={"running_per_token": 2})
    portrait, motion = running.portrait(), running.motion(video)
    jobs = [running.job(portrait, motion).json()["id"] for _ in range(3)]
    begun(running)
    begun(running)
    states = [running.ask("GET", f"/v1/jobs/{job}").json()["state"] for job in jobs]
    assert states == ["running", "running", "queued"]
    running.hand.go.set()
    assert [running.ended(job)["state"] for job in jobs] == ["done"] * 3


def killed(running) -> Path:
    """What a process that is killed now leaves: a copy of its state folder."""
    left = running.service.state.path.with_name(f"left-{len(list(running.service.state.path.parent.iterdir()))}")
    shutil.copytree(running.service.state.path, left)
    return left


def test_a_restart_finds_every_job_as_it_was(serving, video):
    before = serving(hand=held())
    portrait, motion = before.portrait(), before.motion(video)
    runs = before.job(portrait, motion, headers={"idempotency-key": "k"}).json()["id"]
    begun(before)
    waits = before.job(portrait, motion).json()["id"]
    called_off = before.job(portrait, motion).json()["id"]
    before.ask("DELETE", f"/v1/jobs/{called_off}")
    (before.service.state.incoming / "half").write_bytes(b"half an upload")
    after = serving(state=killed(before))
    assert [after.ended(job)["state"] for job in (runs, waits, called_off)] == ["done", "done", "cancelled"]
    assert after.ended(runs)["attempts"] == 2 and after.ended(waits)["attempts"] == 1
    assert after.job(portrait, motion, headers={"idempotency-key": "k"}).json()["id"] == runs
    assert after.ask("GET", f"/v1/jobs/{runs}/result").content == RESULT
    assert not list(after.service.state.incoming.iterdir())
    assert sse(after, runs)[-1][1] == "result"


def test_a_job_that_was_killed_twice_has_failed_and_says_so(serving, video):
    first = serving(hand=held())
    identity = first.job(first.portrait(), first.motion(video)).json()["id"]
    begun(first)
    second = serving(hand=held(), state=killed(first))
    begun(second)
    third = serving(state=killed(second))
    job = third.ended(identity)
    assert job["state"] == "failed" and job["attempts"] == 2
    assert job["error"]["type"] == "urn:hp-trt:interrupted" and "2 times" in job["error"]["detail"]
    assert third.hand.asked == [], "it is not tried again"


def test_a_record_that_a_disk_has_damaged_loses_no_other_job(serving, video):
    before = serving()
    portrait, motion = before.portrait(), before.motion(video)
    jobs = [before.ended(before.job(portrait, motion).json()["id"])["id"] for _ in range(2)]
    folder = before.service.jobs.get(before.owner, jobs[0]).folder
    before.service.close()
    (folder / "job.json").write_bytes(b'{"schema": 1, "state": "done"')
    after = serving()
    assert after.ask("GET", f"/v1/jobs/{jobs[0]}").status_code == 404
    assert after.ended(jobs[1])["state"] == "done"


def test_a_disk_that_fills_while_a_job_runs_loses_nothing(serving, video, monkeypatch):
    running = serving(hand=held())
    identity = running.job(running.portrait(), running.motion(video)).json()["id"]
    begun(running)
    job = running.service.jobs.get(running.owner, identity)

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job, "save", full)
    running.hand.go.set()
    assert running.ended(identity)["state"] == "done", "who asks is told"
    record = json.loads((job.folder / "job.json").read_text())
    assert record["state"] == "running", "a kill now would only run it again"
    monkeypatch.undo()
    running.service.jobs.tidy()
    assert json.loads((job.folder / "job.json").read_text())["state"] == "done"


class Clock:
    """Walls and steady time, set by a test."""

    def __init__(self, wall_s: float) -> None:
        self.wall_s, self.steady_s = wall_s, 0.0

    def time(self) -> SteadyTime:
        return SteadyTime(lambda: self.wall_s, lambda: self.steady_s)


def test_results_expire_by_time_that_passed_and_not_by_a_clock_that_jumps(serving, video):
    running = serving(limits={"result_s": 100, "record_s": 1000})
    clock = Clock(1_000_000.0)
    running.service.jobs._now_s = clock.time()
    portrait, motion = running.portrait(), running.motion(video)
    identity = running.ended(running.job(portrait, motion).json()["id"])["id"]
    clock.wall_s += 10**9  # somebody sets the clock
    clock.steady_s += 99
    running.service.jobs.tidy()
    assert running.ask("GET", f"/v1/jobs/{identity}/result").status_code == 200
    clock.wall_s = 0
    clock.steady_s += 2
    running.service.jobs.tidy()
    answer = running.ask("GET", f"/v1/jobs/{identity}/result")
    assert (answer.status_code, slug(answer)) == (410, "expired")
    assert running.ended(identity)["state"] == "expired"
    folder = running.service.jobs.get(running.owner, identity).folder
    assert [path.name for path in folder.iterdir()] == ["job.json"]
    clock.steady_s += 1000
    running.service.jobs.tidy()
    assert running.ask("GET", f"/v1/jobs/{identity}").status_code == 404 and not folder.exists()


def test_a_job_of_a_clock_that_was_ahead_expires_in_its_time(serving, video):
    before = serving()
    before.service.jobs._now_s = Clock(10**12).time()
    identity = before.ended(before.job(before.portrait(), before.motion(video)).json()["id"])["id"]
    before.service.close()
    after = serving()
    assert after.ended(identity)["ended_s"] <= time.time()


def test_the_oldest_jobs_that_ended_are_forgotten_where_there_are_too_many(serving, video):
    running = serving(limits={"kept_items_per_token": 3})
    portrait, motion = running.portrait(), running.motion(video)
    jobs = [running.ended(running.job(portrait, motion).json()["id"])["id"] for _ in range(5)]
    running.service.jobs.tidy()
    assert [running.ask("GET", f"/v1/jobs/{job}").status_code for job in jobs] == [404, 404, 200, 200, 200]


def test_a_key_is_remembered_for_its_time(serving, video):
    running = serving(limits={"idempotency_s": 50})
    clock = Clock(1_000_000.0)
    running.service.jobs._now_s = clock.time()
    portrait, motion = running.portrait(), running.motion(video)
    key = {"idempotency-key": "k"}
    first = running.job(portrait, motion, headers=key).json()["id"]
    clock.steady_s += 49
    assert running.job(portrait, motion, headers=key).json()["id"] == first
    clock.steady_s += 2
    assert running.job(portrait, motion, headers=key).json()["id"] != first


def test_speech_moves_the_portraits_of_a_bundle_that_speaks(serving, tmp_path):
    import wave

    sound = tmp_path / "s.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\1\0" * 16_000)
    running = serving(bundle="shipped:talk_pocket")
    motion = running.ask("POST", "/v1/motions", content=sound.read_bytes()).json()
    assert motion["facts"] == {"kind": "sound", "samples_per_s": 16_000, "seconds": 1.0}
    body = {"kind": "talk", "portrait": running.portrait(), "motion": motion["id"], "mood": "happy"}
    job = running.ended(running.ask("POST", "/v1/jobs", json=body).json()["id"])
    assert job["state"] == "done" and running.hand.asked[0]["mood"] == "happy" and running.hand.asked[0]["audio"]
    assert running.ask("POST", "/v1/jobs", json=body | {"kind": "clip"}).status_code == 422
    for mood, says in (
        ("hapy", "none of neutral, happy"),
        ("", "none of neutral"),
        ("happy:2", "one number of 0 to 1"),
        ("happy:nan", "one number of 0 to 1"),
        ("happy:", "one number of 0 to 1"),
    ):
        answer = running.ask("POST", "/v1/jobs", json=body | {"mood": mood})
        assert (answer.status_code, slug(answer)) == (422, "impossible"), answer.text
        assert says in answer.json()["detail"]
    assert len(running.ask("GET", "/v1/jobs").json()["jobs"]) == 1, "no job is made to fail"
    answer = running.ask("POST", "/v1/motions", content=picture())
    assert (answer.status_code, slug(answer)) == (415, "unsupported-media")
