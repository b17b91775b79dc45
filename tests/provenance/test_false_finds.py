"""What the count of false finds counts is what the finder decides."""

from __future__ import annotations

from itertools import islice

import pytest

from hp_trt.provenance.mark import THRESHOLD, InvisibleMark, InvisibleMarkFinder
from tests.provenance.false_finds import FRAMES, LEAST_PX, PX, score, windows

PAYLOAD = 0xC0FFEE11


@pytest.fixture(scope="module")
def some():
    """Windows of an unmarked clip with noise. Read only."""
    return list(islice(windows(1), 3))


def test_a_window_is_two_seconds_of_some_crop(some):
    assert all(len(frames) == FRAMES for frames in some)
    assert all(LEAST_PX <= frames[0].shape[0] <= PX and frames[0].shape[0] == frames[0].shape[1] for frames in some)


def test_a_window_is_decided_as_the_finder_decides_it(some):
    for frames in some:
        found = InvisibleMarkFinder().find(frames)
        assert found.payload is None
        assert found.score == max(score(frames), 0)
        assert score(frames) < THRESHOLD


def test_a_marked_window_would_be_counted(some):
    mark = InvisibleMark(PAYLOAD)
    marked = [mark.embed(frame) for frame in some[0]]
    found = InvisibleMarkFinder().find(marked)
    assert found.payload == PAYLOAD
    assert found.score == score(marked) >= THRESHOLD
