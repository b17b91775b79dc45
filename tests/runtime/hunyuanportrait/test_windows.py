"""Every frame is denoised, and the matrix averages what the released sampler averages."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from runtime.hunyuanportrait.windows import coverage, shift_at, stitch_matrix, windows

LAYOUTS = [(130, 25, 3), (61, 25, 3), (11, 6, 2), (5, 6, 2), (1, 25, 3), (9, 4, 1), (25, 25, 0), (3, 7, 6), (13, 2, 1)]


@pytest.mark.parametrize(("frames", "size", "overlap"), LAYOUTS)
@pytest.mark.parametrize("shift", [0, 1, 3, 24])
def test_every_frame_is_denoised_wherever_the_windows_start(frames, size, overlap, shift):
    seen = chain(*windows(frames, size=size, overlap=overlap, shift=shift))
    assert set(seen) == set(range(frames))


@pytest.mark.parametrize(("frames", "size", "overlap"), LAYOUTS)
def test_there_are_as_many_windows_at_every_shift(frames, size, overlap):
    counts = {len(windows(frames, size=size, overlap=overlap, shift=s)) for s in range(size)}
    assert counts == {-(-frames // (size - overlap))}


def test_the_released_starts_and_shifts():
    assert [w[0] for w in windows(130, size=25, overlap=3, shift=3)] == [127, 19, 41, 63, 85, 107]
    assert [shift_at(step, shift=3, size=25) for step in (0, 1, 8, 9)] == [0, 3, 24, 2]


def test_a_clip_shorter_than_its_window_meets_itself():
    assert windows(2, size=5, overlap=1)[0] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(("frames", "size", "overlap"), LAYOUTS)
@pytest.mark.parametrize("shift", [0, 2])
def test_the_matrix_is_the_plain_average_of_all_slots(frames, size, overlap, shift):
    layout = windows(frames, size=size, overlap=overlap, shift=shift)
    values = np.random.default_rng(0).standard_normal((len(layout), size, 7))
    total, count = np.zeros((frames, 7)), np.zeros((frames, 1))
    for w, indices in enumerate(layout):
        for i, frame in enumerate(indices):
            total[frame] += values[w, i]
            count[frame] += 1
    matrix = stitch_matrix(frames, layout)
    assert matrix.dtype == np.float32
    assert matrix.shape == (frames, len(layout), size)
    np.testing.assert_array_equal(coverage(frames, layout), count[:, 0])
    # 1/count is float32: 6e-8 relative for each of the few dozen slots of a frame
    np.testing.assert_allclose(np.einsum("twi,wid->td", matrix, values), total / count, atol=2e-6)
    np.testing.assert_allclose(matrix.sum((1, 2)), 1, atol=1e-6)


def test_an_overlap_as_long_as_its_window_says_what_to_do():
    with pytest.raises(ValueError, match="size=3, frames=12; lower the overlap"):
        windows(12, size=3, overlap=3)
