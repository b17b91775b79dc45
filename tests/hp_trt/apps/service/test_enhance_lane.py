"""Enhancements: of uploads and of finished jobs, on a lane of their own, refused early, gone on with after a kill.

The enhancer is the real one over graphs that are numpy (`tests.hp_trt.enhancer.stand_in`), where nothing else is said.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from engines.errors import BundleError, InputError
from hp_trt.apps.service import enhance_lane, wishes
from hp_trt.apps.service.job import Job
from hp_trt.apps.service.maker import Heartbeat
from hp_trt.apps.service.tokens import add_token
from hp_trt.enhancer import files, memory
from hp_trt.enhancer.enhancer import Enhancer
from hp_trt.media.video import VideoReader
from hp_trt.provenance.mark import InvisibleMarkFinder
from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.fake_engine import Hand
from tests.hp_trt.apps.service.test_app import slug
from tests.hp_trt.apps.service.test_jobs import Clock, begun, held, killed, sse
from tests.hp_trt.apps.service.test_meters import value
from tests.hp_trt.enhancer.stand_in import StandIn, frame, make_bundle, write_video

SHIPPED = "shipped:enhancer_pocket"
TERMS = "the weights are random numbers"  # of the stand-in


@pytest.fixture(scope="session")
def enhancer(tmp_path_factory):
    """The folder of a bundle that restores faces too."""
    return str(make_bundle(tmp_path_factory.mktemp("enhancer") / "b").path)


@pytest.fixture(scope="session")
def film(tmp_path_factory) -> bytes:
    """Six frames of 96 x 80, with a face and a tone."""
    pictures = [frame(number) for number in range(6)]
    return write_video(tmp_path_factory.mktemp("film") / "f.mp4", pictures, sound=True).read_bytes()


class Opener:
    """Opens enhancers over a backend of its own, and counts them."""

    def __init__(self, bundle: str, slow_s: float = 0) -> None:
        self.backend, self._bundle = StandIn(slow_s), bundle
        self.opened: list[Enhancer] = []

    def __call__(self) -> Enhancer:
        self.opened.append(Enhancer(self._bundle, backend=self.backend))
        return self.opened[-1]


@pytest.fixture
def enlarging(serving, enhancer, film):
    """Starts services whose clips are videos, with an enhancer: the service, and what opens it."""

    def start(*, slow_s: float = 0, hand: Hand | None = None, **more):
        hand = hand or Hand()
        hand.film = film
        opener = Opener(enhancer, slow_s)
        return serving(hand=hand, opening=opener, enhancer=enhancer, **more), opener

    return start


def video_of(running, content: bytes) -> str:
    answer = running.ask("POST", "/v1/videos", content=content)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["id"]


def larger(running, video: str, headers: dict[str, str] | None = None, **more):
    body = {"kind": "enhance", "video": video, **more}
    return running.ask("POST", "/v1/jobs", json=body, headers=headers or {})


def clip_of(running, video) -> str:
    """A clip that is done."""
    return running.ended(running.job(running.portrait(), running.motion(video)).json()["id"])["id"]


def result_of(running, job: str, tmp_path) -> VideoReader:
    (tmp_path / f"{job}.mp4").write_bytes(running.ask("GET", f"/v1/jobs/{job}/result").content)
    return VideoReader(tmp_path / f"{job}.mp4")


def test_a_clip_that_is_done_is_enlarged_with_its_frames_and_its_sound(enlarging, video, tmp_path):
    running, opener = enlarging()
    clip = clip_of(running, video)
    assert not opener.opened, "it takes memory, so the first job that needs it opens it"
    made = larger(running, clip, scale=2, fidelity=1)
    assert made.status_code == 202 and made.json()["request"]["video"] == clip
    job = running.ended(made.json()["id"])
    assert job["state"] == "done" and job["request"]["scale"] == 2 and job["request"]["portrait"] is None, job
    assert job["result"]["frames"] == 6 and TERMS in job["result"]["notes"][0], "the terms are in the result"
    found = result_of(running, job["id"], tmp_path)
    assert (found.info.width, found.info.height, len(list(found))) == (192, 160, 6) and found.info.has_sound
    folder = running.service.jobs.get(running.owner, job["id"]).folder
    assert {path.name for path in folder.iterdir()} == {"job.json", "result.mp4"}, "its input is let go"
    events = sse(running, job["id"])
    told = {data["stage"]: (data["done"], data["total"]) for _, kind, data in events if kind == "progress"}
    assert told["restore"] == told["upscale"] == told["write"] == (6, 6)
    assert value(running, 'hp_trt_frames_total{mode="enhance"}') == 6
    assert value(running, 'hp_trt_frames_total{mode="clip"}') == 5
    assert value(running, 'hp_trt_lanes{kind="enhance",state="idle"}') == 1
    assert value(running, 'hp_trt_stage_seconds_count{stage="tile"}') == 6


def test_an_upload_is_enlarged_whatever_its_bundle_is_moved_by_and_the_enhancer_is_opened_once(
    enlarging, film, tmp_path
):
    running, opener = enlarging(bundle="shipped:talk_pocket")
    identity = video_of(running, film)
    facts = running.ask("GET", f"/v1/videos/{identity}").json()["facts"]
    assert (facts["width"], facts["height"], facts["frames"], facts["has_sound"]) == (96, 80, 6, True)
    assert [one["id"] for one in running.ask("GET", "/v1/videos").json()["uploads"]] == [identity]
    jobs = [larger(running, identity, scale=4, **more).json()["id"] for more in ({}, {"repeat": True})]
    jobs += [larger(running, identity, face_upsample=True).json()["id"]]
    assert running.ask("DELETE", f"/v1/videos/{identity}").status_code == 204
    assert [running.ended(job)["state"] for job in jobs] == ["done"] * 3, "what was asked for has it still"
    assert [result_of(running, job, tmp_path).info.width for job in jobs] == [384, 384, 192]
    assert len(opener.opened) == 1
    answer = larger(running, identity)
    assert (answer.status_code, slug(answer)) == (404, "not-found")


def test_what_comes_with_hp_trt_enlarges_marked_signed_and_on_its_terms(serving, tmp_path, sealed):
    running = serving(enhancer=SHIPPED)
    short = write_video(tmp_path / "short.mp4", [frame(number) for number in range(3)]).read_bytes()
    job = running.ended(larger(running, video_of(running, short), consent="mine").json()["id"])
    assert job["state"] == "done" and "Apache-2.0" in job["result"]["notes"][0], job
    sidecar = running.ask("GET", f"/v1/jobs/{job['id']}/sidecar").json()
    assert list(sidecar["inputs"]) == ["video"] and sidecar["sampling"]["scale"] == 2 and sidecar["consent"] == "mine"
    assert sidecar["bundle"]["preset"] == "enhancer_pocket" and "Apache-2.0" in sidecar["bundle"]["licence"]
    again = running.ended(larger(running, job["id"]).json()["id"])
    second = running.ask("GET", f"/v1/jobs/{again['id']}/sidecar").json()
    assert second["mark"]["id"] == sidecar["mark"]["id"], "two marks of different ids would hide each other"
    found = result_of(running, again["id"], tmp_path)
    assert (found.info.width, found.info.frames) == (384, 3)
    assert f"{InvisibleMarkFinder().find(list(found)).payload:08x}" == sidecar["mark"]["id"]


def test_whoever_asks_is_told_what_there_is_and_on_which_terms(serving, enhancer, running):
    said = serving(enhancer=enhancer, state=running.service.state.path.with_name("o")).ask("GET", "/v1/info").json()
    assert said["kind"] == "clip" and said["kinds"] == ["clip", "enhance"]
    assert said["enhancer"]["restores"] and said["enhancer"]["scales"] == [2, 4, 8]
    assert TERMS in said["enhancer"]["notes"][0]
    assert running.ask("GET", "/v1/info").json()["enhancer"] is None


def test_without_an_enhancer_it_says_what_to_start_the_service_with(running, film, video):
    clip = clip_of(running, video)
    answers = larger(running, clip), running.ask("POST", "/v1/videos", content=film)
    for answer in answers:
        assert (answer.status_code, slug(answer)) == (422, "impossible")
        assert f"starts it with --enhancer {SHIPPED}" in answer.json()["detail"]
    assert running.ask("GET", "/v1/info").json()["kinds"] == ["clip"]


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"scale": 3}, 400, "scale: Input should be 2, 4 or 8"),
        ({"scale": 0}, 400, "scale: Input should be 2, 4 or 8"),
        ({"scale": "2"}, 400, "scale"),
        ({"fidelity": 1.5}, 400, "fidelity"),
        ({"fidelity": True}, 400, "fidelity"),
        ({"repeat": 1}, 400, "repeat"),
        ({"released": True}, 400, "released"),
        ({"portrait": "p_" + "0" * 32}, 400, "portrait"),
        ({"video": "m_" + "0" * 32}, 400, "video"),
        ({"video": "../../lock"}, 400, "video"),
        ({"video": "v_" + "0" * 32}, 404, "upload it first"),
        ({"video": "j_" + "0" * 32}, 404, "no job with this id"),
        ({"consent": "two\nlines"}, 422, "consent must be a line"),
    ],
)
def test_what_cannot_be_is_told_before_it_is_queued(enlarging, film, more, status, says):
    running, opener = enlarging()
    answer = running.ask("POST", "/v1/jobs", json={"kind": "enhance", "video": video_of(running, film)} | more)
    assert answer.status_code == status and says in answer.json()["detail"], answer.text
    assert running.ask("GET", "/v1/jobs").json()["jobs"] == [] and not opener.opened


def test_options_of_faces_are_refused_where_no_face_is_restored(serving, video):
    running = serving(enhancer=SHIPPED)
    identity = video_of(running, video.read_bytes())
    for more in ({"fidelity": 0.5}, {"face_upsample": True}):
        answer = larger(running, identity, **more)
        assert (answer.status_code, slug(answer)) == (422, "impossible")
        assert "the enhancer of this service has none" in answer.json()["detail"]


def test_a_job_of_another_token_is_not_there_and_one_that_is_not_done_is_no_video(enlarging, video, tmp_path):
    tokens = [add_token(tmp_path / "tokens", name) for name in ("a", "b")]
    running, _ = enlarging(hand=held(), tokens=tmp_path / "tokens", token=tokens[0], limits={"result_s": 100})
    portrait, motion = running.portrait(), running.motion(video)
    clip = running.job(portrait, motion).json()["id"]
    begun(running)
    answer = larger(running, clip)
    assert (answer.status_code, slug(answer)) == (409, "no-result") and "the job is running" in answer.json()["detail"]
    running.hand.fails = InputError("it is damaged")
    running.hand.go.set()
    running.ended(clip)
    assert "the job is failed, needed is one that is done: it is damaged" in larger(running, clip).json()["detail"]
    running.hand.fails = None
    clip = clip_of(running, video)
    running.headers = {"authorization": f"Bearer {tokens[1]}"}
    answer = larger(running, clip)
    assert (answer.status_code, slug(answer)) == (404, "not-found")
    running.headers = {"authorization": f"Bearer {tokens[0]}"}
    assert larger(running, clip).status_code == 202
    clock = Clock(10**12)
    running.service.jobs._now_s = clock.time()
    running.service.jobs.tidy()
    answer = larger(running, clip)
    assert (answer.status_code, slug(answer)) == (410, "expired")


def test_more_memory_than_is_free_is_refused_with_the_figures_before_and_when_it_begins(enlarging, film, monkeypatch):
    running, opener = enlarging()
    identity = video_of(running, film)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 20)
    answer = larger(running, identity, scale=8)
    assert (answer.status_code, slug(answer)) == (422, "impossible")
    said = answer.json()["detail"]
    assert "the video would become 768 x 640, which takes about" in said and "0.0 GiB are free" in said
    assert not opener.opened and running.ask("GET", "/v1/jobs").json()["jobs"] == []
    free = iter([64 << 30])
    monkeypatch.setattr(memory, "available_bytes", lambda: next(free, 1 << 20))
    job = running.ended(larger(running, identity).json()["id"])
    assert job["state"] == "failed" and "GiB are free" in job["error"]["detail"]
    assert job["error"]["detail"].startswith("the video would become 192 x 160"), "and no path"


def test_a_result_that_was_enlarged_before_ends_where_h264_does(enlarging, tmp_path, monkeypatch):
    running, _ = enlarging()
    monkeypatch.setattr(memory, "available_bytes", lambda: 64 << 30)
    wide = write_video(tmp_path / "wide.mp4", [frame(0, (258, 32), face=False)]).read_bytes()
    large = running.ended(larger(running, video_of(running, wide), scale=8).json()["id"])
    assert large["state"] == "done", "a video without a face is enlarged too"
    assert "no face was found in the video" in " ".join(large["result"]["notes"])
    answer = larger(running, large["id"], scale=8)
    assert (answer.status_code, slug(answer)) == (422, "impossible")
    assert "would become 16512 x 2048, and H.264 takes up to 16384" in answer.json()["detail"]


def test_a_file_that_is_no_video_and_one_beyond_the_limits_are_no_upload(enlarging, film):
    running, _ = enlarging(limits={"max_frames": 5})
    for content, status, name in ((b"no video", 415, "unsupported-media"), (picture()[:60], 415, "unsupported-media")):
        answer = running.ask("POST", "/v1/videos", content=content)
        assert (answer.status_code, slug(answer)) == (status, name), answer.text
    answer = running.ask("POST", "/v1/videos", content=film)
    assert (answer.status_code, slug(answer)) == (422, "impossible")
    assert "has 6 frames, at most 5 are taken" in answer.json()["detail"]


def test_the_same_key_is_the_same_enhancement(enlarging, film):
    running, _ = enlarging()
    identity, key = video_of(running, film), {"idempotency-key": "k"}
    first = larger(running, identity, key).json()["id"]
    assert larger(running, identity, key, scale=2).json()["id"] == first, "2 is what it is without a word"
    answer = larger(running, identity, key, scale=4)
    assert (answer.status_code, slug(answer)) == (422, "key-reused")


def until_begun(running, job: str) -> None:
    """A frame of it is written."""
    events = running.service.jobs.get(running.owner, job).events
    for _ in range(2000):
        if any(event.data.get("stage") == "write" for event in events.after(0)[0]):
            return
        threading.Event().wait(0.01)
    raise AssertionError("no frame was written")


def test_clips_are_made_beside_a_long_enhancement_which_is_called_off_between_frames(enlarging, film, video):
    running, _ = enlarging(slow_s=0.2)
    job = larger(running, video_of(running, film)).json()["id"]
    until_begun(running, job)
    assert clip_of(running, video) and running.ask("GET", f"/v1/jobs/{job}").json()["state"] == "running"
    assert value(running, 'hp_trt_lanes{kind="enhance",state="busy"}') == 1
    running.ask("DELETE", f"/v1/jobs/{job}")
    assert running.ended(job)["state"] == "cancelled"
    folder = running.service.jobs.get(running.owner, job).folder
    assert [path.name for path in folder.iterdir()] == ["job.json"], "nothing is half written"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("enhance-detect")]
    again = running.ended(larger(running, video_of(running, film)).json()["id"])
    assert again["state"] == "done", "the lane goes on"


def test_what_a_kill_leaves_is_gone_on_with_behind_its_last_chunk(enlarging, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "_WINDOWS", 1)
    before, _ = enlarging(slow_s=0.05)
    pictures = [frame(number, face=number in (1, 20)) for number in range(34)]
    long = write_video(tmp_path / "long.mp4", pictures).read_bytes()
    job = larger(before, video_of(before, long)).json()["id"]
    store = before.service.jobs.get(before.owner, job).folder / "result.mp4.resume"
    for _ in range(2000):
        if (store / "000000.json").is_file():
            break
        threading.Event().wait(0.01)
    left = killed(before)
    before.ask("DELETE", f"/v1/jobs/{job}")
    after, opener = enlarging(state=left)
    said = after.ended(job)
    assert said["state"] == "done" and said["attempts"] == 2 and said["result"]["frames"] == 34
    assert len(opener.backend.calls_of["enhance_detector"]) == 34 - 16 + 4, "the first window is not done again"
    assert len(list(result_of(after, job, tmp_path))) == 34
    last = [data for _, kind, data in sse(after, job) if kind == "progress" and data["stage"] == "write"][-1]
    assert last["done"] == last["total"] == 34 - 16, "of what was left"


def test_a_service_that_is_started_without_its_enhancer_ends_what_waits_for_it(enlarging, serving, film):
    before, _ = enlarging(slow_s=0.2)
    identity = video_of(before, film)
    jobs = [larger(before, identity).json()["id"] for _ in range(2)]
    until_begun(before, jobs[0])
    after = serving(state=killed(before))
    for job in jobs:
        ended = after.ended(job)
        assert ended["state"] == "failed" and f"--enhancer {SHIPPED}" in ended["error"]["detail"]


def test_a_bundle_that_animates_is_no_enhancer(serving):
    with pytest.raises(BundleError, match="to enhance a video give a bundle of the enhancer"):
        serving(enhancer="shipped:pocket")
    with pytest.raises(InputError, match="there is no bundle shipped:none"):
        serving(enhancer="shipped:none")


def test_an_enhancer_that_hangs_is_seen(enlarging):
    running, _ = enlarging(stall_s=100)
    now = [0.0]
    maker = running.service.enhance_lanes[0].maker
    maker.heartbeat = Heartbeat(lambda: now[0])
    maker.heartbeat.beat()
    now[0] = 101
    answer = running.ask("GET", "/readyz")
    assert answer.status_code == 503 and "enhance lane" in answer.json()["detail"]
    maker.heartbeat.rest()
    assert running.ask("GET", "/readyz").status_code == 200


class Asked:
    """An enhancer that notes what the file is to carry."""

    def __init__(self) -> None:
        self.marks: list[int | None] = []

    def enhance(self, video, out, *, provenance, **how):
        self.marks.append(provenance.mark_id)
        out.write_bytes(video.read_bytes())
        return SimpleNamespace(frames=6, rate=25, notes=())

    def close(self) -> None:
        pass


def test_the_mark_is_the_one_that_the_video_has_and_else_the_jobs_own(serving, enhancer, film, video, monkeypatch):
    asked, hand, found = Asked(), Hand(film=film), [None]
    monkeypatch.setattr(enhance_lane, "mark_of", lambda path: found[0])
    running = serving(hand=hand, enhancer=enhancer, opening=lambda: asked)
    identity, clip = video_of(running, film), clip_of(running, video)

    def marked(what: str, **more) -> tuple[int | None, Job]:
        job = running.ended(larger(running, what, **more).json()["id"])
        return asked.marks[-1], running.service.jobs.get(running.owner, job["id"])

    mark, job = marked(identity)
    assert mark == job.mark_id
    found[0] = 77
    assert marked(identity)[0] == 77 and marked(identity, mark=False)[0] is None
    found[0] = None
    monkeypatch.setattr(wishes, "mark_of_result", lambda source: 99)
    assert marked(clip)[0] == 99, "the sidecar knows it where the pictures do not show it"
