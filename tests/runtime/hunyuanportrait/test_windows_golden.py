"""The windows against those of the released sampler, whatever cases lie in the golden folder."""

from __future__ import annotations

import numpy as np

from runtime.hunyuanportrait.windows import Windows, coverage, shift_at
from tests.golden_cases import check, golden_cases, load_case


@golden_cases(kind="windows")
def test_the_windows_are_those_of_the_released_sampler(case_name):
    case = load_case(case_name)
    options = case.options
    frames, size, overlap = options["num_frames"], options["window"], options["overlap"]
    shifts = [shift_at(step, shift=options["shift_offset"], size=size) for step in range(options["steps"])]
    layout = [Windows(frames, size=size, overlap=overlap, shift=shift) for shift in shifts]
    results = {
        "window_starts": np.array([step.starts for step in layout]),
        "window_frames": np.array(layout),
        "coverage": np.array([coverage(frames, step) for step in layout]),
    }
    check(case, results, tolerance=0)
