"""Fronts and replicas on one folder: any front answers for any job, and no process that dies loses one."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.errors import InputError
from engines.part_file import write_whole
from hp_trt.apps.service.store import State
from tests.hp_trt.apps.scale.conftest import until
from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.fake_engine import FRAMES, Hand


def held() -> Hand:
    """Clips wait for the hand before their last frame."""
    hand = Hand()
    hand.go.clear()
    return hand


def states(text: str) -> list[str]:
    """The states that server-sent events tell."""
    return [line.split('"state":"')[1].split('"')[0] for line in text.splitlines() if '"state":"' in line]


def test_a_job_made_at_one_front_is_known_at_another_with_its_events_and_its_result(machine):
    one, other = machine.front(), machine.front()
    machine.replica()
    job = one.made(*machine.uploads(other))
    made = other.until(job, "done")
    assert made["attempts"] == 1 and made["result"]["frames"] == FRAMES
    result = other.ask("GET", f"/v1/jobs/{job}/result").content
    assert hashlib.sha256(result).hexdigest() == made["result"]["sha256"]
    told = [front.ask("GET", f"/v1/jobs/{job}/events").text for front in (one, other)]
    assert told[0] == told[1] and states(told[0]) == ["queued", "running", "done"]
    assert other.ask("GET", "/v1/jobs").json()["jobs"][0]["id"] == job
    assert other.ask("GET", "/v1/info").json()["jobs"] == {"done": 1}
    assert not list((machine.folder / "open").iterdir()) and not list((machine.folder / "incoming").iterdir())


def test_events_reach_who_listens_at_another_front_while_the_clip_is_made(machine):
    one, other = machine.front(), machine.front()
    _, hand = machine.replica(held())
    job = one.made(*machine.uploads(one))
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(other.ask, "GET", f"/v1/jobs/{job}/events")
        hand.begun.acquire(timeout=10)
        hand.go.set()
        text = listening.result(20).text
    assert states(text) == ["queued", "running", "done"] and '"stage":"write"' in text


def test_a_replica_that_dies_costs_a_job_one_attempt_and_two_cost_the_job(machine):
    front = machine.front()
    hands = [held() for _ in range(3)]
    replicas = [machine.replica(hand)[0] for hand in hands]
    job = front.made(*machine.uploads(front))
    hands[0].begun.acquire(timeout=10)
    machine.kill(replicas[0])
    hands[1].begun.acquire(timeout=10)
    assert front.of(job)["state"] == "running" and front.of(job)["attempts"] == 2
    machine.kill(replicas[1])
    failed = front.until(job, "failed")
    assert failed["error"]["type"] == "urn:hp-trt:interrupted" and failed["attempts"] == 2
    assert [where for _, where in machine.sent] == [0, 1], "a third process never had it"
    for hand in hands:
        hand.go.set()


def test_what_a_process_writes_that_was_only_taken_for_dead_is_not_taken(machine):
    front = machine.front()
    late, hand = machine.replica(held())
    job = front.made(*machine.uploads(front))
    hand.begun.acquire(timeout=10)
    machine.kill(late)  # it goes on, and nobody knows
    machine.replica()
    made = front.until(job, "done")
    record = next(machine.folder.glob(f"owners/*/jobs/{job}/job.json"))
    before = record.read_bytes()
    hand.go.set()
    until(lambda: late.job == "")
    assert record.read_bytes() == before and front.of(job) == made and made["attempts"] == 2


def test_the_jobs_of_a_front_that_dies_are_handed_on_by_another(machine):
    one, other = machine.front(), machine.front()
    job = one.made(*machine.uploads(one))
    one.kill()
    machine.replica()
    assert other.until(job, "done")["attempts"] == 1


def test_a_drained_replica_hands_its_job_back_and_it_costs_no_attempt(machine):
    front = machine.front()
    first, hand = machine.replica(held())
    job = front.made(*machine.uploads(front))
    hand.begun.acquire(timeout=10)
    machine.replica()
    first.drain()
    made = front.until(job, "done")
    assert made["attempts"] == 1 and ("queued" in states(front.ask("GET", f"/v1/jobs/{job}/events").text)[1:])


def test_a_drained_replica_lets_its_clip_end_where_there_is_time(machine):
    front = machine.front()
    replica, hand = machine.replica(held())
    job = front.made(*machine.uploads(front))
    hand.begun.acquire(timeout=10)
    threading.Timer(0.3, hand.go.set).start()
    replica.drain(20)
    assert states(front.ask("GET", f"/v1/jobs/{front.until(job, 'done')['id']}/events").text)[-2:] == [
        "running",
        "done",
    ]


@pytest.mark.parametrize("where", ["waits", "runs"])
def test_a_job_is_called_off_at_any_front(machine, where):
    one, other = machine.front(), machine.front()
    hand = held()
    if where == "runs":
        machine.replica(hand)
    job = one.made(*machine.uploads(one))
    if where == "runs":
        hand.begun.acquire(timeout=10)
    assert other.ask("DELETE", f"/v1/jobs/{job}").status_code == 202
    assert one.until(job, "cancelled")["result"] is None
    assert states(one.ask("GET", f"/v1/jobs/{job}/events").text)[-1] == "cancelled"
    if where == "waits":
        machine.replica()
        front_sees = one.made(*machine.uploads(one))
        one.until(front_sees, "done")
        assert one.of(job)["state"] == "cancelled"


def test_of_a_key_at_two_fronts_at_once_there_is_one_job(machine):
    fronts = [machine.front() for _ in range(3)]
    uploads = machine.uploads(fronts[0])
    with ThreadPoolExecutor(6) as pool:
        asked = [
            pool.submit(fronts[number % 3].job, *uploads, {"Idempotency-Key": "mine"}, seed=1) for number in range(6)
        ]
    answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} <= {202, 409}
    made = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert len(made) == 1 and len(fronts[0].ask("GET", "/v1/jobs").json()["jobs"]) == 1
    again = fronts[1].job(*uploads, {"Idempotency-Key": "mine"}, seed=2)
    assert again.status_code == 422 and again.json()["type"] == "urn:hp-trt:key-reused"


def test_one_token_has_no_more_replicas_at_a_time_than_it_may(machine, tmp_path):
    front = machine.front(limits={"running_per_token": 2, "waiting_per_token": 4})
    hands = [machine.replica(held())[1] for _ in range(3)]
    uploads = machine.uploads(front)
    jobs = [front.made(*uploads, seed=number) for number in range(4)]
    until(lambda: len(machine.sent) == 2)
    threading.Event().wait(0.4)
    assert len(machine.sent) == 2 and [front.of(job)["state"] for job in jobs].count("running") == 2
    more = [front.job(*uploads, seed=10 + number) for number in range(3)]
    assert [answer.status_code for answer in more] == [202, 202, 429] and "quota" in more[2].json()["type"]
    for hand in hands:
        hand.go.set()
    for job in jobs:
        front.until(job, "done")


def test_what_is_wrong_with_an_upload_is_told_as_one_service_tells_it(machine):
    front = machine.front()
    none = front.ask("POST", "/v1/portraits", content=picture(0))
    assert none.status_code == 422 and none.json()["type"] == "urn:hp-trt:no-face"
    assert none.json()["detail"] == "no face was found in the picture; use a picture with one"
    assert str(machine.folder) not in none.text
    _, motion = machine.uploads(front)
    made = front.ask("GET", f"/v1/motions/{motion}/file")
    assert made.status_code == 200 and made.content == b"motion" * 1000
    assert front.ask("DELETE", f"/v1/portraits/{machine.uploads(front)[0]}").status_code == 204


def test_an_encoder_that_is_away_is_told_and_the_picture_is_not_kept(machine, monkeypatch):
    from engines.errors import HpTrtError

    front = machine.front()

    def away(*_given):
        raise HpTrtError("what encodes uploads is not there: no replica")

    monkeypatch.setattr(front.front._part.encoder, "_ask", away)
    assert front.ask("POST", "/v1/portraits", content=picture()).status_code == 500
    assert front.ask("GET", "/v1/portraits").json() == {"uploads": []}


def test_a_disk_that_is_full_is_told_and_a_result_is_kept_when_there_is_room_again(machine, monkeypatch):
    front = machine.front()
    replica, hand = machine.replica(held())
    uploads = machine.uploads(front)
    job = front.made(*uploads)
    hand.begun.acquire(timeout=10)
    full = threading.Event()
    full.set()

    def refusing(path, *parts):
        if full.is_set():
            raise OSError(28, "No space left on device", str(path))
        write_whole(path, *parts)

    monkeypatch.setattr("hp_trt.apps.service.job.write_whole", refusing)
    hand.go.set()
    until(lambda: replica.job == "")
    assert front.of(job)["state"] == "running"
    full.clear()
    assert front.until(job, "done")["result"]["frames"] == FRAMES
    monkeypatch.setattr(front.front.service.state, "free_bytes", lambda: 0)
    answer = front.job(*uploads)
    assert answer.status_code == 507 and answer.json()["type"] == "urn:hp-trt:storage"


def test_a_front_that_drains_begins_nothing_and_lets_listeners_go(machine):
    one, other = machine.front(), machine.front()
    _, hand = machine.replica(held())
    uploads = machine.uploads(one)
    job = one.made(*uploads)
    hand.begun.acquire(timeout=10)
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(one.ask, "GET", f"/v1/jobs/{job}/events")
        until(lambda: one.ask("GET", "/readyz").status_code == 200)
        one.front.drain()
        heard = listening.result(10).text
    assert states(heard) == ["queued", "running"]
    last = heard.split("id: ")[-1].split("\n")[0]
    assert one.ask("GET", "/readyz").status_code == 503 and one.job(*uploads).status_code == 503
    hand.go.set()
    rest = other.ask("GET", f"/v1/jobs/{job}/events", headers={"Last-Event-ID": last}).text
    assert states(rest) == ["done"] and other.of(job)["state"] == "done"


def test_a_service_alone_and_a_cluster_never_share_a_folder(machine):
    machine.front()
    with pytest.raises(InputError, match="in use by another service"):
        State(machine.folder)


def test_old_results_are_forgotten_by_one_front_alone(machine, monkeypatch):
    one, other = (machine.front(limits={"result_s": 1, "record_s": 1000}) for _ in range(2))
    machine.replica()
    job = one.made(*machine.uploads(one))
    one.until(job, "done")
    jobs = [front.front._part.shared_jobs for front in (one, other)]
    until(lambda: [shared._presence.is_first() for shared in jobs].count(True) == 1)
    for shared in jobs:
        before = shared._now_s
        monkeypatch.setattr(shared, "_now_s", lambda before=before: before() + 5)
    next(shared for shared in jobs if not shared._presence.is_first()).tidy()
    assert other.of(job)["state"] == "done"
    next(shared for shared in jobs if shared._presence.is_first()).tidy()
    assert other.of(job)["state"] == "expired" and not list(machine.folder.glob("owners/*/jobs/*/result.mp4"))
    for shared in jobs:
        before = shared._now_s
        monkeypatch.setattr(shared, "_now_s", lambda before=before: before() + 2000)
        shared.tidy()
    assert other.ask("GET", f"/v1/jobs/{job}").status_code == 404


def test_a_front_enlarges_no_videos_and_says_who_does(machine):
    front = machine.front()
    machine.replica()
    job = front.made(*machine.uploads(front))
    front.until(job, "done")
    answers = [
        front.ask("POST", "/v1/jobs", json={"kind": "enhance", "video": job}),
        front.ask("POST", "/v1/videos", content=machine.video.read_bytes()),
    ]
    for answer in answers:
        assert answer.status_code == 422 and answer.json()["type"] == "urn:hp-trt:impossible"
        assert "a cluster enlarges no videos" in answer.json()["detail"]
        assert "hp-trt serve --enhancer" in answer.json()["detail"]
    assert front.ask("GET", "/v1/info").json()["kinds"] == ["clip"]
    with pytest.raises(InputError, match="leave enhancer out of its settings"):
        machine.front(enhancer="shipped:enhancer_pocket")
