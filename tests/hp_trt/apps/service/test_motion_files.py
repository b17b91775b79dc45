"""Motion files of what was uploaded: given back, or made when they are first asked for."""

from __future__ import annotations

import threading

import pytest

from engines.errors import FaceNotFound
from hp_trt.apps.service import motion_files
from hp_trt.apps.service.store import ENCODED
from hp_trt.apps.service.tokens import add_token
from hp_trt.encoded.encoded_file import is_encoded
from tests.hp_trt.apps.service.conftest import write_video
from tests.hp_trt.apps.service.fake_engine import Hand
from tests.hp_trt.apps.service.test_app import slug
from tests.hp_trt.apps.service.test_encoded_uploads import files, real, short

__all__ = ["files", "real", "short"]
MADE = b"motion" * 1000


@pytest.fixture
def held():
    """Engines that go on when `go` is set."""
    made = Hand()
    made.go.clear()
    yield made
    made.go.set()


@pytest.fixture
def fitting(monkeypatch):
    """What the fake writes is a motion file of the bundle."""
    monkeypatch.setattr(motion_files, "check_motion_file", lambda *_given: None)


def file_of(running, motion, **how):
    return running.ask("GET", f"/v1/motions/{motion}/file", **how)


def test_a_motion_file_comes_back_as_it_was_uploaded(real, files):
    body = files[0].read_bytes()
    motion = real.ask("POST", "/v1/motions", content=body).json()["id"]
    answer = file_of(real, motion)
    assert answer.status_code == 200 and answer.content == body
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == f'attachment; filename="{motion}.motion.safetensors"'
    assert file_of(real, motion, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    part = file_of(real, motion, headers={"range": "bytes=10-19"})
    assert part.status_code == 206 and part.content == body[10:20]
    assert file_of(real, motion, headers={"range": f"bytes={len(body)}-"}).status_code == 416
    head = real.ask("HEAD", f"/v1/motions/{motion}/file")
    assert head.headers["content-length"] == str(len(body)) and not head.content


def test_of_a_video_it_is_made_and_is_what_the_command_makes(real, files, short, tmp_path):
    motion = real.ask("POST", "/v1/motions", content=short[1].read_bytes()).json()["id"]
    answer = file_of(real, motion)
    assert answer.status_code == 200, answer.text
    made = tmp_path / "m"
    made.write_bytes(answer.content)
    assert is_encoded(made)
    kept = real.service.motions.encoded(real.owner, motion)
    assert kept.read_bytes() == answer.content
    again = real.ask("POST", "/v1/motions", content=answer.content)
    assert again.status_code == 201 and again.json()["facts"]["frames"] == 4, again.text
    stamp = kept.stat().st_mtime_ns
    assert file_of(real, motion).headers["etag"] == answer.headers["etag"] and kept.stat().st_mtime_ns == stamp


def test_whoever_waits_too_long_asks_again_and_finds_what_was_made(serving, held, fitting, video, monkeypatch):
    monkeypatch.setattr(motion_files, "_WAIT_S", 0.05)
    running = serving(hand=held)
    motion = running.motion(video)
    for _ in range(2):
        answer = file_of(running, motion)
        assert (answer.status_code, slug(answer)) == (409, "no-result")
        assert "being encoded" in answer.json()["detail"]
    monkeypatch.setattr(motion_files, "_WAIT_S", 20)
    held.go.set()
    answer = file_of(running, motion)
    assert answer.status_code == 200 and answer.content == MADE
    assert file_of(running, motion).content == MADE
    assert held.begun.acquire(blocking=False) and not held.begun.acquire(blocking=False), "made once"
    assert running.ask("DELETE", f"/v1/motions/{motion}").status_code == 204
    assert file_of(running, motion).status_code == 404 and not list(running.service.state.path.rglob(ENCODED))


def test_what_it_came_to_is_told_also_where_nobody_waited(serving, held, video, monkeypatch):
    monkeypatch.setattr(motion_files, "_WAIT_S", 0.05)
    running = serving(hand=held)
    motion = running.motion(video)
    assert file_of(running, motion).status_code == 409
    held.fails = FaceNotFound(f"no face was found in {running.service.motions.file(running.owner, motion)}")
    held.go.set()
    monkeypatch.setattr(motion_files, "_WAIT_S", 20)
    answer = file_of(running, motion)
    assert (answer.status_code, slug(answer)) == (422, "no-face")
    assert answer.json()["detail"] == "no face was found in the motion"
    assert not list(running.service.state.incoming.iterdir())


def test_it_is_its_owners_and_nobody_elses(serving, fitting, video, tmp_path):
    alice, bob = add_token(tmp_path / "tokens", "alice"), add_token(tmp_path / "tokens", "bob")
    running = serving(tokens=tmp_path / "tokens", token=alice)
    motion = running.motion(video)
    assert file_of(running, motion).status_code == 200
    answer = file_of(running, motion, headers={"authorization": f"Bearer {bob}"})
    assert (answer.status_code, slug(answer)) == (404, "not-found")
    assert file_of(running, motion, headers={"authorization": ""}).status_code == 401
    assert file_of(running, "m_" + "0" * 32).status_code == 404
    assert file_of(running, "../../lock").status_code == 404


def test_one_is_made_at_a_time_for_an_owner_and_few_wait(serving, held, video, monkeypatch, tmp_path):
    monkeypatch.setattr(motion_files, "_WAIT_S", 0.05)
    alice, bob = add_token(tmp_path / "tokens", "alice"), add_token(tmp_path / "tokens", "bob")
    running = serving(hand=held, tokens=tmp_path / "tokens", token=alice)
    first, second = running.motion(video), running.motion(write_video(tmp_path / "other.mp4", 3))
    assert file_of(running, first).status_code == 409
    answer = file_of(running, second)
    assert (answer.status_code, slug(answer)) == (429, "busy") and answer.headers["retry-after"]
    running.headers = {"authorization": f"Bearer {bob}"}
    third = running.motion(video)
    assert file_of(running, third).status_code == 409, "it waits its turn"
    running.ask("DELETE", f"/v1/motions/{third}")
    monkeypatch.setattr(motion_files, "_MOST_WAITING", 2)
    add_token(tmp_path / "more", "carol")
    with pytest.raises(motion_files.Problem, match="too many motions wait"):
        running.service.motion_files._begin("carol", running.service.motions.get(*owner_and(running, first, alice)))


def owner_and(running, motion, token):
    return running.service.tokens.owner(f"Bearer {token}"), motion


def test_it_counts_for_what_its_owner_keeps(serving, fitting, video):
    running = serving()
    motion = running.motion(video)
    most = running.service.accounts.kept_bytes(running.owner) + len(MADE) - 1
    object.__setattr__(running.service.config.limits, "kept_bytes_per_token", most)
    answer = file_of(running, motion)
    assert (answer.status_code, slug(answer)) == (429, "quota")
    assert not running.service.motions.encoded(running.owner, motion).exists()
    object.__setattr__(running.service.config.limits, "kept_bytes_per_token", most + 1)
    assert file_of(running, motion).status_code == 200


def test_one_of_another_bundle_that_was_left_there_is_made_anew(serving, video, monkeypatch):
    running = serving()
    motion = running.motion(video)
    kept = running.service.motions.encoded(running.owner, motion)
    kept.write_bytes(b"of another")
    assert file_of(running, motion).content == MADE == kept.read_bytes()


def test_one_that_hangs_is_seen_and_the_end_calls_it_off(serving, held, video, monkeypatch):
    monkeypatch.setattr(motion_files, "_WAIT_S", 0.05)
    running = serving(hand=held)
    motion = running.motion(video)
    assert file_of(running, motion).status_code == 409
    assert held.begun.acquire(timeout=20)
    before = threading.active_count()
    running.service.close()
    assert running.service.clip_lanes[0].maker.silent_s == 0 and threading.active_count() < before
    assert not list(running.service.state.incoming.iterdir())


def test_a_service_that_ends_makes_none(running, video):
    motion = running.motion(video)

    async def end() -> None:
        running.service.drain.begin()

    running.run(end())
    answer = file_of(running, motion)
    assert (answer.status_code, slug(answer)) == (503, "draining")
