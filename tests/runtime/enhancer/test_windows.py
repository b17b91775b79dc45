from __future__ import annotations

import numpy as np
import pytest

from runtime.enhancer.presets import WINDOW
from runtime.enhancer.windows import OVERLAP, goes_on_at, windows
from tests.golden_cases import HALLO2_FOLDER, check, golden_cases, load_case


@golden_cases(targets=("restore_windows",), folder=HALLO2_FOLDER)
def test_the_enhancers_windows_are_the_released_ones(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    assert (case.options["window"], case.options["overlap"]) == (WINDOW, OVERLAP)
    rows = [
        (video, window.start, window.end, window.first_kept)
        for video, length in enumerate(case.inputs["lengths"])
        for window in windows(range(length))
    ]
    check(case, dict(zip(("video", "start", "end", "first_kept"), np.array(rows).T, strict=True)), 0)


@pytest.mark.parametrize("frames", [0, 1, 4, 5, 15, 16, 17, 28, 29, 100])
def test_every_frame_has_one_result_and_each_window_its_own_frames(frames):
    kept = []
    for window in windows(range(frames)):
        assert window.items == tuple(range(window.start, window.end)) and len(window.items) <= WINDOW
        kept += window.items[window.first_kept :]
    assert kept == list(range(frames))


@pytest.mark.parametrize("frames", [3, 16, 17, 40])
def test_a_run_that_is_gone_on_with_behind_any_window_has_the_windows_that_are_left(frames):
    whole = list(windows(range(frames)))
    for number, window in enumerate(whole, 1):
        first = goes_on_at(window.end)
        assert list(windows(range(first, frames), done=window.end)) == whole[number:]


def test_one_frame_more_than_a_window_is_taken_before_the_window_comes():
    taken = []
    found = windows(taken.append(number) or number for number in range(100))
    next(found)
    assert len(taken) == WINDOW + 1


def test_windows_that_never_go_on_are_refused():
    with pytest.raises(ValueError, match="lower the overlap"):
        next(windows(range(3), size=4, overlap=4))
