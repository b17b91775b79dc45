"""Every frame is denoised, and known by the windows that hold it."""

from __future__ import annotations

from itertools import chain

import pytest

from runtime.hunyuanportrait.windows import Windows, coverage, shift_at

LAYOUTS = [(130, 25, 3), (61, 25, 3), (11, 6, 2), (5, 6, 2), (1, 25, 3), (9, 4, 1), (25, 25, 0), (3, 7, 6), (13, 2, 1)]


@pytest.mark.parametrize(("frames", "size", "overlap"), LAYOUTS)
@pytest.mark.parametrize("shift", [0, 1, 3, 24])
def test_every_frame_is_denoised_wherever_the_windows_start(frames, size, overlap, shift):
    seen = chain(*Windows(frames, size=size, overlap=overlap, shift=shift))
    assert set(seen) == set(range(frames))


@pytest.mark.parametrize(("frames", "size", "overlap"), LAYOUTS)
def test_there_are_as_many_windows_at_every_shift(frames, size, overlap):
    counts = {len(Windows(frames, size=size, overlap=overlap, shift=s)) for s in range(size)}
    assert counts == {-(-frames // (size - overlap))}


def test_the_released_starts_and_shifts():
    assert [w[0] for w in Windows(130, size=25, overlap=3, shift=3)] == [127, 19, 41, 63, 85, 107]
    assert [shift_at(step, shift=3, size=25) for step in (0, 1, 8, 9)] == [0, 3, 24, 2]


def test_a_clip_shorter_than_its_window_meets_itself():
    assert Windows(2, size=5, overlap=1)[0] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(("frames", "size", "overlap"), LAYOUTS)
@pytest.mark.parametrize("shift", [0, 2, 24])
def test_a_frame_is_held_by_the_windows_that_have_it_in_their_order(frames, size, overlap, shift):
    layout = Windows(frames, size=size, overlap=overlap, shift=shift)
    slots = [(w, i, frame) for w, window in enumerate(layout) for i, frame in enumerate(window)]
    for frame in range(frames):
        assert layout.holding(frame) == [(w, i) for w, i, held in slots if held == frame]
    counts = coverage(frames, list(layout))
    assert counts.tolist() == [len(layout.holding(frame)) for frame in range(frames)]


def test_an_overlap_as_long_as_its_window_says_what_to_do():
    with pytest.raises(ValueError, match="size=3, frames=12; lower the overlap"):
        Windows(12, size=3, overlap=3)
