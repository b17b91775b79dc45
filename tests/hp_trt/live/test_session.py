"""A session from many sides: what comes out, when frames come too fast or are not taken, and that it always ends."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from engines.errors import InputError, NonFiniteError
from hp_trt.live.live_clip import animate_clip
from runtime.stages import Stages
from tests.hp_trt.live.fake_stream import FakeStream, open_session, picture

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


class Counted(FakeStream):
    """Counts the threads that run a graph at once."""

    inside = most_inside = 0

    def __init__(self, **options):
        super().__init__(**options)
        self._counting = threading.Lock()

    def _counted(self, run, *inputs):
        with self._counting:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        try:
            return run(*inputs)
        finally:
            with self._counting:
                self.inside -= 1

    def encode(self, seen):
        return self._counted(super().encode, seen)

    def denoise(self, tokens):
        return self._counted(super().denoise, tokens)

    def begin(self, latents):
        return self._counted(super().begin, latents)


def test_a_frame_leaves_before_the_next_one_of_its_window_is_made():
    taken = threading.Event()

    class OneByOne(FakeStream):
        def frames(self, begun):
            first, *others = begun
            yield first
            assert taken.wait(PATIENCE_S), "the first frame was kept until the others are made"
            yield from others

    with open_session(OneByOne()) as session:
        push_all(session, LEVELS[:3])
        first = session.pull(PATIENCE_S)
        taken.set()
        assert [frame.index for frame in (first, *pulled(session))] == [0, 1, 2]


@pytest.mark.parametrize("concurrent", [True, False])
def test_frames_are_those_of_the_stream_each_with_its_drivers_time(concurrent):
    stream = Counted(concurrent=concurrent, before_denoise=lambda: time.sleep(0.005))
    with open_session(stream) as session:
        push_all(session, LEVELS)
        frames = pulled(session)
    assert [frame.index for frame in frames] == list(range(15))
    assert [frame.pts_s for frame in frames] == [Fraction(n, 25) for n in range(15)]
    for frame, level in zip(frames, LEVELS, strict=True):
        np.testing.assert_array_equal(frame.crop, picture(level))
    if not concurrent:
        assert stream.most_inside == 1


def test_stages_run_beside_each_other_where_they_may():
    stream = Counted(before_denoise=lambda: time.sleep(0.01))
    with open_session(stream, queue_out=100) as session:
        push_all(session, LEVELS * 2)
        pulled(session)
    assert stream.most_inside > 1


def test_a_finished_window_leaves_before_the_next_frame_comes():
    with open_session() as session:
        for number, level in enumerate(LEVELS[:3]):  # of the first window
            session.push(picture(level), Fraction(number, 25))
        assert [session.pull(PATIENCE_S).index for _ in range(3)] == [0, 1, 2]


def test_a_frame_leaves_when_it_is_made_and_does_not_wait_for_its_window():
    """The second one is not made before the first was pulled."""
    pulled_first = threading.Event()

    class OneByOne(FakeStream):
        def frames(self, begun):
            for number, frame in enumerate(begun):
                assert number == 0 or pulled_first.wait(PATIENCE_S)
                yield frame

    with open_session(OneByOne()) as session:
        push_all(session, LEVELS[:3])
        assert session.pull(PATIENCE_S).index == 0
        pulled_first.set()
        assert [frame.index for frame in pulled(session)] == [1, 2]


def test_a_burst_is_no_rate():
    with open_session() as session:
        push_all(session, LEVELS)
        frames = pulled(session)
        assert 0 < session.stats.frames_per_s <= len(frames)  # over a second at least


@pytest.mark.parametrize("policy", ["drop-oldest", "latest"])
def test_a_source_that_is_too_fast_loses_frames_that_are_counted_and_order_is_kept(policy):
    with open_session(
        FakeStream(before_denoise=lambda: time.sleep(0.01)), policy=policy, queue_in=3, queue_out=1000
    ) as session:
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
    with open_session(policy="drop-oldest", queue_in=3, queue_out=2) as session:
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
    with open_session(queue_in=2, queue_out=2) as session:
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


def test_of_what_the_stream_sees_nothing_in_nothing_is_made():
    levels = [0, 0, *LEVELS[:5], 0, *LEVELS[5:]]
    stream = FakeStream()
    with open_session(stream) as session:
        push_all(session, levels)
        frames, stats = pulled(session), session.stats
    assert (stats.faceless, stats.held, stats.notes) == (3, 0, ("a fake",))
    assert stream.asked == list(range(len(levels)))  # each by its number among the pushed
    assert [frame.pts_s for frame in frames] == [Fraction(n, 25) for n, level in enumerate(levels) if level]
    for frame, level in zip(frames, LEVELS, strict=True):
        np.testing.assert_array_equal(frame.crop, picture(level))


def test_a_crop_is_set_anew_by_the_stream():
    stream = FakeStream()
    with open_session(stream) as session:
        session.reanchor()
    assert stream.anew == 1


def test_another_portrait_comes_with_the_next_window():
    with open_session() as session:
        for number in range(3):
            session.push(picture(100), number)
        first = [session.pull(PATIENCE_S).crop.max() for _ in range(3)]
        session.change(portrait=5)
        for number in range(3, 7):
            session.push(picture(100), number)
        session.close()
        second = [frame.crop.max() for frame in pulled(session)]
    assert (first, second) == ([100] * 3, [105] * 4)


def test_another_profile_comes_with_the_next_window():
    other = FakeStream(size=8)
    with open_session() as session:
        for number in range(3):
            session.push(picture(100), number)
        [session.pull(PATIENCE_S) for _ in range(3)]
        session.change(portrait=9)
        session.change(profile=other)
        for number in range(3, 10):  # the first window of another stream, all at once
            session.push(picture(100), number)
        frames = [session.pull(PATIENCE_S) for _ in range(7)]
    assert [frame.pts_s for frame in frames] == list(range(3, 10))
    assert other.shown == 9 and {int(frame.crop.max()) for frame in frames} == {109}


@pytest.mark.parametrize("stage", ["motion", "denoise", "decode"])
def test_a_listener_may_change_the_portrait_in_the_middle_of_a_turn(stage):
    changed = []

    def on_event(event):
        if event.stage == stage and not changed:
            changed.append(stage)
            session.change(portrait=5)

    # Not in a `with`, which would wait for ever for a thread that hangs.
    session = open_session(FakeStream(concurrent=False), stages=Stages(on_event), queue_out=100)
    for number in range(3):  # the first window
        session.push(picture(100), number)
    [session.pull(PATIENCE_S) for _ in range(3)]
    for number in range(3, 7):
        session.push(picture(100), number)
    session.close()
    assert [frame.crop.max() for frame in pulled(session)] == [105] * 4
    session.abort()


def test_a_listener_may_end_the_session_in_the_middle_of_a_turn():
    """Another stage waits for that turn: who has it must not wait for that stage."""
    stream, aborted = FakeStream(concurrent=False), threading.Event()

    def end():
        deadline = time.monotonic() + PATIENCE_S
        while len(stream.asked) < 7 and time.monotonic() < deadline:  # the next window is seen, and needs the turn
            time.sleep(0.001)
        session.abort()
        aborted.set()

    stream.before_denoise = end
    # Not in a `with`, which would wait for ever for a thread that hangs.
    session = open_session(stream, queue_in=10)
    for number in range(7):
        session.push(picture(100), number)
    assert aborted.wait(PATIENCE_S)
    session.abort()


def test_what_fails_in_a_stage_reaches_whoever_pushes_or_pulls():
    def fail():
        raise NonFiniteError("live window 0: not finite")

    with open_session(FakeStream(before_denoise=fail)) as session:
        for number in range(3):
            session.push(picture(100), number)
        with pytest.raises(NonFiniteError, match="live window 0"):
            session.pull(PATIENCE_S)
        with pytest.raises(NonFiniteError, match="live window 0"):
            session.push(picture(100), 9)


def test_whoever_waits_is_let_go_by_abort():
    with open_session(queue_in=1, queue_out=1) as session:
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
        (np.zeros((4, 4), np.uint8), r"driving frame 0 must be \(H, W, 3\) of uint8, red first, got \(4, 4\) uint8"),
        (np.zeros((4, 4, 3), np.float32), r"got \(4, 4, 3\) float32"),
        ([[1, 2]], "driving frame 0 must be an array .* got a list"),
        (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
    ],
)
def test_what_is_no_frame_is_refused_in_words(image, says):
    with open_session() as session, pytest.raises(InputError, match=says):
        session.push(image)


def test_times_must_increase():
    with open_session() as session:
        session.push(picture(1), Fraction(1, 2))
        with pytest.raises(InputError, match=r"at 0\.500 s came after one at 0\.500 s; times must increase"):
            session.push(picture(1), Fraction(1, 2))


def test_frames_without_times_get_those_of_the_clock():
    with open_session() as session:
        for level in LEVELS[:3]:
            session.push(picture(level))
            time.sleep(0.01)
        times = [session.pull(PATIENCE_S).pts_s for _ in range(3)]
    assert times[0] == 0 and all(b - a > 0.009 for a, b in pairwise(times))


def test_a_whole_clip_comes_out_as_it_went_in():
    images = [(picture(level), Fraction(n, 10)) for n, level in enumerate(LEVELS * 2)]
    with open_session() as session:
        made = list(animate_clip(session, images))
    assert [time_s for _, time_s in made] == [time_s for _, time_s in images]


def test_a_clip_whose_caller_stops_early_ends():
    images = ((picture(100), Fraction(n)) for n in range(10**6))
    with open_session() as session:
        clip = animate_clip(session, images)
        next(clip)
        clip.close()


def test_a_clip_that_breaks_off_gives_what_came_and_then_its_error():
    def images():
        yield from ((picture(100), None) for _ in range(6))
        raise OSError("the cable")

    with open_session() as session:
        clip, made = animate_clip(session, images()), []
        with pytest.raises(OSError, match="the cable"):
            made.extend(frame for frame, _ in clip)
        del clip
    with open_session() as session, pytest.raises(InputError, match="has no frames"):
        list(animate_clip(session, []))
    with open_session() as session, pytest.raises(InputError, match="no face in any of the 3 driving frames"):
        list(animate_clip(session, [(picture(0), None)] * 3))
