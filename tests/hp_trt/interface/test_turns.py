"""Two clips with one Runtime, in two threads or side by side: each is what it is alone, to the bit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hp_trt import Cancelled, InputError, Profile, Runtime, RuntimeConfig, Stages
from hp_trt.interface.turns import Turns
from hp_trt.measure.evaluation.drawn import known_faces
from procedural.clip import clip
from runtime.live_windows import LiveWindows

PATIENCE_S = 60
LIVE = Profile(name="short", mode="live", windows=LiveWindows(size=2, overlap=1, lead_in=0), sampling={"steps": 1})
QUICK = {"steps": 2, "pad_frames": 2}


class Shared:
    """Says where the drawn faces are, and fails when two threads ask at once, as detectors with a state would."""

    name, reads_pixels, steadiness = "shared", False, 0.0

    def __init__(self, faces):
        self.faces, self.busy = faces, threading.Lock()

    def locate(self, image, frame=0):
        assert self.busy.acquire(blocking=False), "two threads in one locator"
        try:
            threading.Event().wait(0.002)  # others come meanwhile
            return self.faces.locate(image, frame)
        finally:
            self.busy.release()


@pytest.fixture(scope="module")
def runtime(live_bundle) -> Iterator[Runtime]:
    with Runtime(live_bundle, RuntimeConfig(threads=1)) as opened:
        yield opened


def crops(runtime: Runtime, seed: int, locator=None) -> list[np.ndarray]:
    """A drawn person's clip, its own first frame the portrait."""
    made = clip(seed, frames=6, px=96)
    faces, images = locator or known_faces(made), made.frames()
    portrait = runtime.portrait(images[0], landmarks=faces)
    return [frame.crop for frame in runtime.frames(portrait, images, landmarks=faces, seed=seed, **QUICK)]


def live_crops(runtime: Runtime, seed: int) -> list[np.ndarray]:
    made = clip(seed, frames=6, px=96)
    faces, images = known_faces(made), made.frames()
    with runtime.live(images[0], profile=LIVE, landmarks=faces, seed=seed) as session:
        for number, image in enumerate(images):
            session.push(image, number)
        session.close()
        return [frame.crop for frame in session]


@pytest.mark.parametrize("others", [(crops, crops), (crops, live_crops), (live_crops, live_crops)])
def test_clips_of_several_threads_are_those_that_each_is_alone(runtime, others: tuple[Callable, ...]):
    seeds = range(3, 3 + 2 * len(others))
    jobs = list(zip(others * 2, seeds, strict=True))
    alone = [job(runtime, seed) for job, seed in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(lambda job: job[0](runtime, job[1]), jobs, timeout=PATIENCE_S))
    for one, other in zip(alone, together, strict=True):
        assert len(one) == len(other) == 6
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_runtimes_own_locator_is_asked_by_one_thread_at_a_time(runtime, monkeypatch):
    made = clip(3, frames=6, px=96)
    images = made.frames()
    monkeypatch.setattr(runtime._finders, "_usual", Shared(known_faces(made)))

    def own(_: int) -> list[np.ndarray]:
        return [frame.crop for frame in runtime.frames(runtime.portrait(images[0]), images, **QUICK)]

    with ThreadPoolExecutor(4) as pool:
        made_of_all = list(pool.map(own, range(4), timeout=PATIENCE_S))
    for one in made_of_all:
        assert len(one) == 6 and all(np.array_equal(a, b) for a, b in zip(one, made_of_all[0], strict=True))


def test_two_clips_in_one_thread_go_on_side_by_side(runtime):
    made = {seed: clip(seed, frames=6, px=96) for seed in (3, 4)}
    alone = [crops(runtime, seed) for seed in made]
    running = []
    for seed, drawn in made.items():
        images, faces = drawn.frames(), known_faces(drawn)
        portrait = runtime.portrait(images[0], landmarks=faces)
        running.append(runtime.frames(portrait, images, landmarks=faces, seed=seed, **QUICK))
    together = zip(*((frame.crop for frame in frames) for frames in running), strict=True)
    for expected, found in zip(zip(*alone, strict=True), together, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_clip_whose_frames_nobody_takes_any_more_holds_up_nobody(runtime):
    made = clip(3, frames=6, px=96)
    faces, images = known_faces(made), made.frames()
    portrait = runtime.portrait(images[0], landmarks=faces)
    left = runtime.frames(portrait, images, landmarks=faces, **QUICK)
    next(left)
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(crops, runtime, 4).result(PATIENCE_S)) == 6
    left.close()


def test_who_listens_may_encode_a_portrait_in_the_middle_of_a_turn(live_bundle):
    made = clip(3, frames=2, px=96)
    faces, images, heard = known_faces(made), made.frames(), []

    def listen(event):
        if event.stage == "motion" and event.kind == "unit":
            heard.append(runtime.portrait(images[0], landmarks=faces))

    with Runtime(live_bundle, RuntimeConfig(threads=1), on_event=listen) as runtime:
        portrait = runtime.portrait(images[0], landmarks=faces)
        assert len(list(runtime.frames(portrait, images, landmarks=faces, **QUICK))) == 2 and heard


@pytest.mark.parametrize("stage", ["motion", "denoise", "decode"])
def test_a_clip_is_called_off_between_two_pieces_of_work_and_the_others_go_on(live_bundle, stage):
    made, stop = clip(3, frames=12, px=96), threading.Event()  # two chunks are decoded
    faces, images = known_faces(made), made.frames()

    def listen(event):
        if event.stage == stage and event.kind == "unit":
            stop.set()

    with Runtime(live_bundle, RuntimeConfig(threads=1)) as runtime:
        portrait = runtime.portrait(images[0], landmarks=faces)
        other = runtime.frames(portrait, images, landmarks=faces, **QUICK)
        next(other)
        called_off = runtime.frames(portrait, images, landmarks=faces, stages=Stages(listen, cancel=stop), **QUICK)
        with pytest.raises(Cancelled, match="was cancelled by who asked for it"):
            list(called_off)
        assert len(list(other)) == 11


def test_after_close_everything_says_that_the_runtime_is_closed(live_bundle):
    made = clip(3, frames=6, px=96)
    faces, images = known_faces(made), made.frames()
    before = set(threading.enumerate())
    runtime = Runtime(live_bundle, RuntimeConfig(threads=1))
    portrait = runtime.portrait(images[0], landmarks=faces)
    session = runtime.live(portrait, profile=LIVE, landmarks=faces)
    begun = runtime.frames(portrait, images, landmarks=faces, **QUICK)
    frame = next(begun)
    runtime.close()
    runtime.close()
    assert set(threading.enumerate()) == before, "live sessions end with their runtime"
    for call in (
        lambda: runtime.portrait(images[0], landmarks=faces),
        lambda: runtime.frames(portrait, images),
        lambda: runtime.animate(portrait, "none.mp4", "out.mp4"),
        lambda: runtime.live(portrait, profile=LIVE),
        lambda: next(begun),
    ):
        with pytest.raises(InputError, match="this Runtime is closed; open another one"):
            call()
    for call in (
        lambda: session.push(images[0], 0),
        lambda: session.change(portrait=portrait),
        session.reanchor,
    ):
        with pytest.raises(InputError, match="the live session is closed; open another one"):
            call()
    assert session.pull() is None and session.stats.pushed == 0
    session.close()
    session.abort()
    assert frame.full().shape == images[0].shape and runtime.notes is not None


def test_a_clip_of_a_live_profile_that_its_runtime_ends_is_no_short_clip(live_bundle):
    made = clip(3, frames=6, px=96)
    faces, images = known_faces(made), made.frames()
    runtime = Runtime(live_bundle, RuntimeConfig(threads=1, profile=LIVE))
    frames = runtime.frames(runtime.portrait(images[0], landmarks=faces), images, landmarks=faces)
    next(frames)
    runtime.close()
    with pytest.raises(InputError, match="closed; open another one"):
        list(frames)


def test_closing_waits_for_whose_turn_it_is():
    turns, inside, released = Turns(), threading.Event(), []

    def work():
        with turns.taken():
            inside.set()
            threading.Event().wait(0.05)
            released.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(PATIENCE_S)
    turns.close(lambda: released.append("released"))
    thread.join(PATIENCE_S)
    assert released == ["worked", "released"]
