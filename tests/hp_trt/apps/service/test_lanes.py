"""Lanes: whose they are, what they keep, and that silence is seen."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hp_trt.apps.service.maker import Heartbeat
from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.fake_engine import Hand
from tests.hp_trt.apps.service.test_app import slug
from tests.hp_trt.apps.service.test_jobs import begun, held


def test_a_portrait_is_encoded_once_for_many_clips_and_few_are_kept(serving, video):
    running = serving()
    motion = running.motion(video)
    portrait = running.portrait(1)
    for _ in range(3):
        running.ended(running.job(portrait, motion).json()["id"])
    assert len(running.hand.encoded) == 1
    for colour in range(2, 12):
        running.portrait(colour)
    assert len(running.service.clip_lanes[0].maker._portraits) == 8
    running.ended(running.job(portrait, motion).json()["id"])
    assert len(running.hand.encoded) == 11 and len(running.hand.read) == 1, "which was let go is read from its file"
    running.ask("DELETE", f"/v1/portraits/{portrait}")
    assert all(identity != portrait for _, identity in running.service.clip_lanes[0].maker._portraits)


def test_profiles_have_an_engine_each(serving, video):
    running = serving(profiles=("exact", "balanced"))
    portrait, motion = running.portrait(), running.motion(video)
    assert running.hand.opened == 2
    job = running.ended(running.job(portrait, motion, profile="balanced").json()["id"])
    assert job["state"] == "done" and job["request"]["profile"] == "balanced"
    assert running.ended(running.job(portrait, motion).json()["id"])["request"]["profile"] == "exact"
    assert len(running.hand.encoded) == 2, "for each profile by its own engine, until there is a file"


def test_a_lane_that_gives_no_sign_of_life_is_not_ready_and_then_not_alive(serving, video):
    running = serving(hand=held(), stall_s=100)
    now = [0.0]
    lane = running.service.clip_lanes[0].maker
    assert running.ask("GET", "/readyz").status_code == running.ask("GET", "/livez").status_code == 200
    lane.heartbeat = Heartbeat(lambda: now[0])
    lane.heartbeat.beat()
    for silent_s, ready, live in ((99, 200, 200), (101, 503, 200), (199, 503, 200), (201, 503, 503)):
        now[0] = silent_s
        answers = running.ask("GET", "/readyz"), running.ask("GET", "/livez")
        assert [answer.status_code for answer in answers] == [ready, live], silent_s
    assert slug(answers[0]) == slug(answers[1]) == "stalled" and "clip lane 0" in answers[0].json()["detail"]
    lane.heartbeat.beat()
    assert running.ask("GET", "/readyz").status_code == 200
    lane.heartbeat.rest()
    now[0] += 10_000
    assert running.ask("GET", "/livez").status_code == 200, "a lane that waits owes nothing"


def test_a_portrait_that_hangs_is_seen_too(serving):
    running = serving()
    inside, go = threading.Event(), threading.Event()

    def hangs(_image, *, stages=None):
        inside.set()
        go.wait(20)

    lane = running.service.clip_lanes[0].maker
    lane._engines["exact"].portrait = hangs
    thread = threading.Thread(target=lane.portrait, args=("exact", "p", Path("x")))
    thread.start()
    inside.wait(20)
    assert lane.silent_s > 0
    go.set()
    thread.join(20)
    assert lane.silent_s == 0


def test_a_lane_whose_engine_does_not_open_lets_go_of_the_others(serving):
    hand = Hand()
    plain, opened = hand.open, []

    def failing(profile):
        if opened:
            raise RuntimeError("no memory")
        opened.append(profile)
        return plain(profile)

    hand.open = failing
    with pytest.raises(RuntimeError):
        serving(hand=hand, clip_lanes=2)
    assert hand.closed == 1
    hand.open = plain
    assert serving(hand=hand).ask("POST", "/v1/portraits", content=picture()).status_code == 201, "the folder is free"


def test_closing_ends_every_thread_and_closes_every_engine(serving, video):
    before = set(threading.enumerate())
    running = serving(hand=held(), clip_lanes=2)
    portrait, motion = running.portrait(), running.motion(video)
    job = running.job(portrait, motion).json()["id"]
    begun(running)
    running.service.close()
    assert running.hand.closed == running.hand.opened == 2
    assert running.service.jobs.get(running.owner, job).state == "queued"
    left = [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("service-")]
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert not left and not set(threading.enumerate()) - before
