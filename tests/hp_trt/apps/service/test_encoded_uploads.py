"""Motions and portraits that come as files, and portraits that are kept as files, with the shipped bundle."""

from __future__ import annotations

import json

import pytest

from hp_trt import Runtime
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.service import open_runtime
from hp_trt.apps.service.store import ENCODED
from hp_trt.encoded.tensor_file import read_tensor_file, write_tensor_file
from hp_trt.sample import write_sample
from tests.hp_trt.apps.service.test_app import slug
from tests.hp_trt.apps.service.test_jobs import killed


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A portrait and a driving video of four frames."""
    return write_sample(tmp_path_factory.mktemp("short"), frames=4)


@pytest.fixture(scope="module")
def files(tmp_path_factory, short):
    """A motion file and a portrait file of the shipped bundle."""
    folder, (portrait, driving) = tmp_path_factory.mktemp("encoded"), short
    motion, me = folder / "v.motion.safetensors", folder / "me.portrait.safetensors"
    with Runtime("shipped:pocket") as runtime:
        runtime.write_motion(motion, driving=driving)
        runtime.write_portrait(me, portrait)
    return motion, me


@pytest.fixture
def real(serving, tmp_path):
    """A service whose lane has the shipped bundle's Runtime."""

    class RealHand:
        def __init__(self):
            config = ServiceConfig(bundle="shipped:pocket", state=tmp_path / "unused")
            self.open = open_runtime(config)

    return serving(hand=RealHand())


def forged(source, path, **changes):
    """A file with another word in its header, and a hash that fits again."""
    read = read_tensor_file(source)
    about = json.loads(read.about) | changes
    write_tensor_file(path, format=read.format, about=about, tensors={n: read.array(n) for n in read.tensors})
    return path.read_bytes()


def test_a_motion_file_and_a_portrait_file_make_a_clip(real, files):
    motion, me = files
    kept = real.ask("POST", "/v1/motions", content=motion.read_bytes())
    assert kept.status_code == 201, kept.text
    assert kept.json()["facts"]["kind"] == "motion file" and kept.json()["facts"]["frames"] == 4
    again = real.ask("POST", "/v1/motions", content=motion.read_bytes())
    assert again.status_code == 200 and again.json()["id"] == kept.json()["id"]
    portrait = real.ask("POST", "/v1/portraits", files={"file": ("x", me.read_bytes())})
    assert portrait.status_code == 201 and portrait.json()["facts"]["kind"] == "portrait file", portrait.text
    job = real.ended(real.job(portrait.json()["id"], kept.json()["id"], steps=1).json()["id"])
    assert job["state"] == "done" and job["result"]["frames"] == 4, job
    assert not real.service.portraits.encoded(real.owner, portrait.json()["id"]).exists(), "it is one already"


def test_what_is_of_another_bundle_is_understood_and_refused(serving, files, tmp_path):
    motion, _ = files
    running = serving()
    other = forged(motion, tmp_path / "m.safetensors", graphs={"motion": "0" * 64})
    answer = running.ask("POST", "/v1/motions", content=other)
    assert (answer.status_code, slug(answer)) == (422, "impossible"), answer.text
    assert "the motion file was encoded by a graph" in answer.json()["detail"]
    talks = serving(bundle="shipped:talk_pocket", state=tmp_path / "talks")
    answer = talks.ask("POST", "/v1/motions", content=motion.read_bytes())
    assert (answer.status_code, slug(answer)) == (422, "impossible"), answer.text


def test_a_portrait_file_of_other_graphs_is_understood_and_refused(real, files, tmp_path):
    other = forged(files[1], tmp_path / "p.safetensors", graphs={"appearance": "0" * 64, "vae_encoder": "0" * 64})
    answer = real.ask("POST", "/v1/portraits", content=other)
    assert (answer.status_code, slug(answer)) == (422, "impossible"), answer.text
    assert "the portrait file was encoded by a graph" in answer.json()["detail"]


def test_what_is_no_such_file_is_unsupported(running, files):
    motion, me = (file.read_bytes() for file in files)
    changed = bytearray(motion)
    changed[-1] ^= 1
    for kind, body in (
        ("motions", motion[:-1]),
        ("motions", bytes(changed)),
        ("motions", motion + b"x"),
        ("motions", me),
        ("portraits", motion),
        ("portraits", me[:-100]),
        ("motions", motion[:9]),
    ):
        answer = running.ask("POST", f"/v1/{kind}", content=body)
        assert (answer.status_code, slug(answer)) == (415, "unsupported-media"), answer.text
        assert "incoming" not in answer.text


def test_a_motion_file_has_the_limits_of_a_video(serving, files):
    body = files[0].read_bytes()
    for limits, says in (({"max_frames": 3}, "has 4 frames"), ({"video_s": 0.05}, "lasts")):
        running = serving(limits=limits)
        answer = running.ask("POST", "/v1/motions", content=body)
        assert (answer.status_code, slug(answer)) == (422, "impossible") and says in answer.json()["detail"]
        running.service.close()


def test_a_portrait_is_encoded_once_for_a_job_and_for_the_processes_after_it(serving, video):
    before = serving()
    portrait, motion = before.portrait(), before.motion(video)
    kept = before.service.portraits.encoded(before.owner, portrait)
    assert not kept.exists(), "until a job needs it"
    before.ended(before.job(portrait, motion).json()["id"])
    assert kept.name == ENCODED and kept.is_file()
    after = serving(state=killed(before))
    after.ended(after.job(portrait, motion).json()["id"])
    assert after.hand.encoded == [] and len(after.hand.read) == 1
    assert after.ask("DELETE", f"/v1/portraits/{portrait}").status_code == 204
    assert not list(after.service.state.path.rglob(ENCODED)), "and goes with its picture"


def test_a_kept_portrait_that_cannot_be_read_is_made_anew(serving, video):
    before = serving()
    portrait, motion = before.portrait(), before.motion(video)
    before.ended(before.job(portrait, motion).json()["id"])
    state = killed(before)
    (kept,) = state.rglob(ENCODED)
    whole = kept.read_bytes()
    kept.write_bytes(b"12")
    after = serving(state=state)
    assert after.ended(after.job(portrait, motion).json()["id"])["state"] == "done"
    assert len(after.hand.encoded) == 1 and kept.read_bytes() == whole


def test_a_disk_that_refuses_the_file_costs_no_job(serving, video, monkeypatch):
    running = serving()

    def full(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tests.hp_trt.apps.service.fake_engine.FakeEngine.write_portrait", full)
    portrait = running.portrait()
    job = running.ended(running.job(portrait, running.motion(video)).json()["id"])
    assert job["state"] == "done" and not running.service.portraits.encoded(running.owner, portrait).exists()


def test_a_kept_portrait_is_the_pictures_own_bit_for_bit(real, short, files):
    portrait, _ = short
    identity = real.ask("POST", "/v1/portraits", content=portrait.read_bytes()).json()["id"]
    motion = real.ask("POST", "/v1/motions", content=files[0].read_bytes()).json()["id"]
    first = real.ended(real.job(identity, motion, steps=1, mark=False, credentials=False).json()["id"])
    assert real.service.portraits.encoded(real.owner, identity).is_file()
    for lane in real.service.clip_lanes:
        lane.maker.forget(identity)
    second = real.ended(real.job(identity, motion, steps=1, mark=False, credentials=False).json()["id"])
    assert first["result"]["sha256"] == second["result"]["sha256"]


def test_a_portrait_beyond_the_quota_is_not_kept(serving, video):
    running = serving()
    portrait, motion = running.portrait(), running.motion(video)
    most = running.service.accounts.kept_bytes(running.owner) + 1000
    object.__setattr__(running.service.config.limits, "kept_bytes_per_token", most)
    job = running.ended(running.job(portrait, motion).json()["id"])
    assert job["state"] == "done" and not running.service.portraits.encoded(running.owner, portrait).exists()
