"""A session from many sides: what comes out, when frames come too fast or are not taken, and that it always ends."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from engines.errors import InputError, NonFiniteError
from hp_trt.live.live_clip import whole_clip
from hp_trt.profiles import Profile
from runtime.live_windows import LiveWindows
from tests.hp_trt.live.fake_runtime import PROFILE, Faces, FakeRuntime, picture, plain_crops

LEVELS = [20 + 9 * i for i in range(15)]
PATIENCE_S = 20  # far above what anything here takes: a test that hangs fails instead


@pytest.fixture(autouse=True)
def _all_threads_end():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + PATIENCE_S
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not left


def push_all(session, levels, *, rate=25):
    for number, level in enumerate(levels):
        session.push(picture(level), Fraction(number, rate))
    session.close()


def pulled(session):
    found = []
    while (frame := session.pull(PATIENCE_S)) is not None:
        found.append(frame)
    return found


@pytest.mark.parametrize("concurrent", [True, False])
def test_frames_are_those_of_the_plain_loop_each_with_its_drivers_time(concurrent):
    runtime = FakeRuntime(concurrent=concurrent)
    with runtime.open() as session:
        push_all(session, LEVELS)
        frames = pulled(session)
    assert [frame.index for frame in frames] == list(range(15))
    assert [frame.pts_s for frame in frames] == [Fraction(n, 25) for n in range(15)]
    for frame, expected in zip(frames, plain_crops(LEVELS), strict=True):
        np.testing.assert_array_equal(frame.crop, expected)
    if not concurrent:
        assert runtime.most_inside == 1


def test_stages_run_beside_each_other_where_they_may():
    runtime = FakeRuntime(before_denoise=lambda: time.sleep(0.01))
    with runtime.open(queue_out=100) as session:
        push_all(session, LEVELS * 2)
        pulled(session)
    assert runtime.most_inside > 1


def test_a_finished_window_leaves_before_the_next_frame_comes():
    with FakeRuntime().open() as session:
        for number, level in enumerate(LEVELS[:4]):
            session.push(picture(level), Fraction(number, 25))
        assert [session.pull(PATIENCE_S).index for _ in range(4)] == [0, 1, 2, 3]


def test_a_burst_is_no_rate():
    with FakeRuntime().open() as session:
        push_all(session, LEVELS)
        frames = pulled(session)
        assert 0 < session.stats.frames_per_s <= len(frames)  # over a second at least


def test_a_seed_makes_the_same_frames_again():
    made = []
    for seed in (7, 7, 8):
        with FakeRuntime().open(sampling={"seed": seed}) as session:
            push_all(session, LEVELS)
            made.append(np.stack([frame.crop for frame in pulled(session)]))
    np.testing.assert_array_equal(made[0], made[1])
    assert (made[0] != made[2]).any()


@pytest.mark.parametrize("policy", ["drop-oldest", "latest"])
def test_a_source_that_is_too_fast_loses_frames_that_are_counted_and_order_is_kept(policy):
    runtime = FakeRuntime(before_denoise=lambda: time.sleep(0.01))
    with runtime.open(policy=policy, queue_in=3, queue_out=1000) as session:
        kept = [session.push(picture(100), Fraction(n, 100)) for n in range(200)]
        session.close()
        frames, stats = pulled(session), session.stats
    assert 0 < len(frames) < 200
    assert stats.dropped_in == 200 - len(frames)
    assert not all(kept)
    times = [frame.pts_s for frame in frames]
    assert times == sorted(times)
    assert times[-1] == Fraction(199, 100)  # the newest is never dropped


def test_latency_is_bounded_however_long_nobody_takes_frames():
    runtime = FakeRuntime()
    with runtime.open(policy="drop-oldest", queue_in=3, queue_out=2) as session:
        for number in range(60):
            session.push(picture(100), Fraction(number, 100))
            time.sleep(0.002)
        session.close()
        deadline = time.monotonic() + PATIENCE_S
        while session.stats.emitted + session.stats.dropped_in < 60 and time.monotonic() < deadline:
            time.sleep(0.005)
        frames = pulled(session)
        assert len(frames) == 2  # all others were too old
        assert frames[-1].pts_s == Fraction(59, 100)
        stats = session.stats
    assert stats.dropped_out + stats.dropped_in == 58
    assert stats.emitted == stats.dropped_out + 2


def test_under_block_a_consumer_that_pauses_loses_nothing_and_is_seen_in_the_stats():
    with FakeRuntime().open(queue_in=2, queue_out=2) as session:
        thread = threading.Thread(target=push_all, args=(session, LEVELS * 3))
        thread.start()
        deadline = time.monotonic() + PATIENCE_S
        while not session.stats.late and time.monotonic() < deadline:
            time.sleep(0.005)
        assert session.stats.late
        frames = pulled(session)
        thread.join(PATIENCE_S)
        stats = session.stats
    assert len(frames) == 45
    assert (stats.dropped_in, stats.dropped_out, stats.pushed, stats.emitted) == (0, 0, 45, 45)
    assert stats.latency_p50_s <= stats.latency_p99_s


def test_a_frame_without_a_face_holds_the_one_before_and_the_first_ones_make_nothing():
    levels = [0, 0, *LEVELS[:5], 0, *LEVELS[5:]]
    with FakeRuntime().open() as session:
        push_all(session, levels)
        frames, stats = pulled(session), session.stats
    assert (stats.faceless, stats.held) == (2, 1)
    assert len(frames) == len(levels) - 2
    assert [frame.pts_s for frame in frames] == [Fraction(n, 25) for n in range(2, len(levels))]
    assert "2 driving frames came before the first face: nothing was made of them" in stats.notes
    # The place is held, and what is there now is shown.
    for frame, expected in zip(frames, plain_crops(levels[2:]), strict=True):
        np.testing.assert_array_equal(frame.crop, expected)


def test_the_locator_is_asked_by_the_number_of_the_pushed_frame():
    faces = Faces()
    with FakeRuntime().open(locator=faces) as session:
        push_all(session, [0, 50, 60])
        pulled(session)
    assert faces.seen == [0, 1, 2]


class Following(Faces):
    """Finds a face again where it was, but for brightness 200."""

    def __init__(self) -> None:
        super().__init__()
        self.followed = 0

    def near(self, image, face):
        self.followed += 1
        return [] if image.max() == 200 else [face]


def test_a_face_is_followed_where_the_locator_can_and_looked_for_when_it_is_lost():
    faces = Following()
    with FakeRuntime().open(locator=faces) as session:
        push_all(session, [100, 100, 100, 200, 100, 100])
        assert len(pulled(session)) == 6
    assert faces.followed == 5
    assert faces.seen == [0, 3]  # the first, and the one that was lost


def test_a_new_size_or_a_call_sets_the_crop_anew():
    with FakeRuntime().open() as session:
        session.push(picture(50), 0)
        session.push(picture(60, size=48), 1)
        session.reanchor()
        session.push(picture(70, size=48), 2)
        session.close()
        assert len(pulled(session)) == 3
        assert any("changed their size 1 times" in note for note in session.stats.notes)


def test_another_portrait_comes_with_the_next_window():
    runtime = FakeRuntime()
    with runtime.open() as session:
        for number in range(4):
            session.push(picture(100), number)
        first = [session.pull(PATIENCE_S) for _ in range(4)]
        session.change(portrait=5)
        for number in range(4, 8):
            session.push(picture(100), number)
        session.close()
        second = pulled(session)
    expected = plain_crops([100] * 8)
    np.testing.assert_array_equal([f.crop for f in first], expected[:4])
    assert all((frame.crop != old).any() for frame, old in zip(second, expected[4:], strict=True))


def test_another_profile_comes_with_the_next_window():
    other = Profile(
        name="longer", mode="live", sampling={"steps": 1}, windows=LiveWindows(size=7, overlap=0, lead_in=0)
    )
    runtime = FakeRuntime()
    with runtime.open() as session:
        for number in range(4):
            session.push(picture(100), number)
        [session.pull(PATIENCE_S) for _ in range(4)]
        session.change(profile=other)
        for number in range(4, 11):
            session.push(picture(100), number)
        assert [session.pull(PATIENCE_S).pts_s for _ in range(7)] == list(range(4, 11))
    assert runtime.sessions_of(other)["denoiser"].runs[0]["latents"][0] == 7


def test_what_fails_in_a_stage_reaches_whoever_pushes_or_pulls():
    runtime = FakeRuntime()
    with runtime.open() as session:
        runtime.sessions_of(PROFILE)["denoiser"].formula = lambda **inputs: {
            "velocity": np.full_like(inputs["latents"], np.nan)
        }
        for number in range(4):
            session.push(picture(100), number)
        with pytest.raises(NonFiniteError, match="live window 0"):
            session.pull(PATIENCE_S)
        with pytest.raises(NonFiniteError, match="live window 0"):
            session.push(picture(100), 9)


def test_whoever_waits_is_let_go_by_abort():
    with FakeRuntime().open(queue_in=1, queue_out=1) as session:
        ends = []
        waiting = [
            threading.Thread(target=lambda: ends.append(session.pull())),
            threading.Thread(target=lambda: ends.append(session.pull())),
        ]
        for thread in waiting:
            thread.start()
        session.abort()
        for thread in waiting:
            thread.join(PATIENCE_S)
        assert ends == [None, None]
        with pytest.raises(InputError, match="the live session is closed; open another one"):
            session.push(picture(1), 0)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((4, 4), np.uint8), r"an array \(H, W, 3\) of uint8, red first; got \(4, 4\) uint8"),
        (np.zeros((4, 4, 3), np.float32), r"got \(4, 4, 3\) float32"),
        ([[1, 2]], "got list"),
        (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
    ],
)
def test_what_is_no_frame_is_refused_in_words(image, says):
    with FakeRuntime().open() as session, pytest.raises(InputError, match=says):
        session.push(image)


def test_times_must_increase():
    with FakeRuntime().open() as session:
        session.push(picture(1), Fraction(1, 2))
        with pytest.raises(InputError, match=r"at 0\.500 s came after one at 0\.500 s; times must increase"):
            session.push(picture(1), Fraction(1, 2))


def test_frames_without_times_get_those_of_the_clock():
    with FakeRuntime().open() as session:
        for level in LEVELS[:4]:
            session.push(picture(level))
            time.sleep(0.01)
        times = [session.pull(PATIENCE_S).pts_s for _ in range(4)]
    assert times[0] == 0 and all(b - a > 0.009 for a, b in pairwise(times))


def test_a_whole_clip_comes_out_as_it_went_in():
    images = [(picture(level), Fraction(n, 10)) for n, level in enumerate(LEVELS * 2)]
    with FakeRuntime().open() as session:
        made = list(whole_clip(session, images))
    assert [time_s for _, time_s in made] == [time_s for _, time_s in images]


def test_a_clip_whose_caller_stops_early_ends():
    images = ((picture(100), Fraction(n)) for n in range(10**6))
    with FakeRuntime().open() as session:
        clip = whole_clip(session, images)
        next(clip)
        clip.close()


def test_a_clip_that_breaks_off_gives_what_came_and_then_its_error():
    def images():
        yield from ((picture(100), None) for _ in range(6))
        raise OSError("the cable")

    with FakeRuntime().open() as session:
        clip, made = whole_clip(session, images()), []
        with pytest.raises(OSError, match="the cable"):
            made.extend(frame for frame, _ in clip)
        del clip
    with FakeRuntime().open() as session, pytest.raises(InputError, match="has no frames"):
        list(whole_clip(session, []))
    with FakeRuntime().open() as session, pytest.raises(InputError, match="no face in any of the 3 driving frames"):
        list(whole_clip(session, [(picture(0), None)] * 3))
