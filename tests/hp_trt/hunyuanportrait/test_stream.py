"""HunyuanPortrait's stream against its loop alone, and what its frames without a face become."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from engines.errors import InputError, NonFiniteError
from hp_trt.live.session import LiveSession
from runtime.live_windows import LiveWindows
from runtime.stages import Stages
from tests.fakes import FakeBackend
from tests.hp_trt.hunyuanportrait.fake_stream import (
    SAMPLING,
    WINDOWS,
    Faces,
    open_stream,
    picture,
    plain_crops,
    portrait_of,
    sessions_of,
)
from tests.hp_trt.live import fake_stream

LEVELS = [20 + 9 * i for i in range(15)]


def pictures_of(levels):
    return [picture(level) for level in levels]


def animated(stream, images, *, first_window: int = 0):
    """Every frame that comes of `images`, one thread's work after the other."""
    made, group, window = [], [], first_window
    for index, image in enumerate(images):
        seen = stream.see(image, index)
        if seen is None:
            continue
        group.append(seen)
        if len(group) == stream.new_frames(window) or index == len(images) - 1:
            made += stream.frames(stream.begin(stream.denoise(stream.encode(group))))
            group, window = [], window + 1
    return made


@pytest.mark.parametrize("concurrent", [True, False])
def test_frames_of_a_session_are_those_of_the_plain_loop(concurrent):
    backend = FakeBackend()
    backend.concurrent = concurrent
    portrait = portrait_of(backend)
    before = threading.active_count()
    with LiveSession(
        open_stream(backend, portrait=portrait),
        portrait,
        opener=fake_stream.FakeOpener(),
        policy="block",
        queue_in=5,
        queue_out=20,
        stages=Stages(),
    ) as session:
        for number, level in enumerate(LEVELS):
            session.push(picture(level), Fraction(number, 25))
        session.close()
        frames = [frame.crop for frame in session]
    assert threading.active_count() == before
    np.testing.assert_array_equal(frames, plain_crops(LEVELS))


def test_a_seed_makes_the_same_frames_again():
    made = [
        animated(open_stream(FakeBackend(), sampling=replace(SAMPLING, seed=seed)), pictures_of(LEVELS))
        for seed in (7, 7, 8)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    assert (np.stack(made[0]) != np.stack(made[2])).any()


def test_a_frame_without_a_face_holds_the_one_before_and_the_first_ones_make_nothing():
    levels = [0, 0, *LEVELS[:5], 0, *LEVELS[5:]]
    stream = open_stream(FakeBackend())
    frames = animated(stream, pictures_of(levels))
    assert (stream.faceless, stream.held) == (2, 1)
    assert "2 driving frames came before the first face: nothing was made of them" in stream.notes
    np.testing.assert_array_equal(frames, plain_crops([*LEVELS[:5], LEVELS[4], *LEVELS[5:]]))


def test_the_locator_is_asked_by_the_number_of_the_pushed_frame():
    faces = Faces()
    animated(open_stream(FakeBackend(), locator=faces), pictures_of([0, 50, 60]))
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
    assert len(animated(open_stream(FakeBackend(), locator=faces), pictures_of([100, 100, 100, 200, 100, 100]))) == 6
    assert faces.followed == 5
    assert faces.seen == [0, 3]  # the first, and the one that was lost


def test_a_new_size_or_a_call_sets_the_crop_anew():
    faces = Following()
    stream = open_stream(FakeBackend(), locator=faces)
    for index, (level, size) in enumerate([(50, 32), (60, 48), (70, 48)]):
        stream.see(picture(level, size=size), index)
    stream.reanchor()
    stream.see(picture(80, size=48), 3)
    assert faces.seen == [0, 1, 3] and faces.followed == 1
    assert any("changed their size 1 times" in note for note in stream.notes)


def test_another_portrait_comes_with_the_next_window():
    backend = FakeBackend()
    stream = open_stream(backend)
    first = animated(stream, pictures_of([100] * 4))
    stream.change(portrait_of(backend, 5))
    second = animated(stream, pictures_of([100] * 4), first_window=1)
    expected = plain_crops([100] * 8)
    np.testing.assert_array_equal(first, expected[:4])
    assert all((frame != old).any() for frame, old in zip(second, expected[4:], strict=True))


def test_the_same_portrait_again_changes_nothing():
    backend = FakeBackend()
    portrait = portrait_of(backend)
    stream = open_stream(backend, portrait=portrait)
    first = animated(stream, pictures_of([100] * 4))
    stream.change(portrait)
    second = animated(stream, pictures_of([100] * 4), first_window=1)
    np.testing.assert_array_equal([*first, *second], plain_crops([100] * 8))


def test_another_stream_sees_on_where_the_one_before_has_seen():
    backend, faces = FakeBackend(), Following()
    before = open_stream(backend, locator=faces)
    animated(before, pictures_of([0, 100, 100]))
    windows = LiveWindows(size=7, overlap=0, lead_in=0)
    sessions = sessions_of(backend, windows)
    after = open_stream(backend, after=before, sessions=sessions, windows=windows)
    for index in range(3, 10):
        after.see(picture(100), index)
    assert after.new_frames(0) == 7 and after.faceless == 1
    assert faces.seen == [0, 1] and faces.followed == 8


def test_numbers_that_are_not_finite_are_told_with_their_window():
    backend = FakeBackend()
    sessions = sessions_of(backend)
    sessions["denoiser"].formula = lambda **inputs: {"velocity": np.full_like(inputs["latents"], np.nan)}
    with pytest.raises(NonFiniteError, match="live window 0"):
        animated(open_stream(backend, sessions=sessions), pictures_of([100] * WINDOWS.size))


def test_a_portrait_of_another_model_is_refused():
    backend = FakeBackend()
    with pytest.raises(InputError, match="this portrait was encoded by another model than this bundle's"):
        open_stream(backend).change(fake_stream.portrait(3))


def test_after_warming_up_no_graph_meets_a_shape_for_the_first_time_and_frames_are_the_same():
    backend = FakeBackend()
    sessions, warmed = sessions_of(backend), set()
    stream = open_stream(backend, sessions=sessions, warmed=warmed)
    stream.warm_up()
    met = {role: [*session.runs] for role, session in sessions.items()}
    assert all(met.values())
    made = animated(stream, pictures_of(LEVELS))
    for role, session in sessions.items():
        later = [run for run in session.runs[len(met[role]) :] if run not in met[role]]
        # What is left over at a stream's end comes when no frame waits behind it.
        assert {next(iter(run.values()))[0] for run in later} <= {len(LEVELS) % 4, len(LEVELS) % 4 + 2}, role
    for ours, plain in zip(made, plain_crops(LEVELS), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_streams_of_a_kind_warm_their_sessions_up_once_unless_a_device_captures_each():
    for asynchronous, runs in ((False, [2, 2, 4]), (True, [3, 6, 9])):
        backend = FakeBackend()
        backend.asynchronous = asynchronous
        sessions, warmed, found = sessions_of(backend), set(), []
        for seed, steps in ((1, 2), (2, 2), (1, 1)):
            stream = open_stream(
                backend, sessions=sessions, warmed=warmed, sampling=replace(SAMPLING, seed=seed, steps=steps)
            )
            stream.warm_up()
            stream.warm_up()
            found.append(len(sessions["motion"].runs))
        assert found == runs, asynchronous
