"""Options of the reference loop that cannot work say so when they are made."""

from __future__ import annotations

import pytest

from export.hunyuanportrait.reference.sample import SamplingOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 3, "overlap": 3}, "got 3 and 3; lower the overlap"),
        ({"strength": 0.01}, "strength 0.01 of 25 steps executes none"),
        ({"strength": 1.5}, r"needed are a strength in \(0, 1\]"),
        ({"decode_chunk_size": 0}, "needed is at least 1"),
    ],
)
def test_options_that_cannot_work_say_what_is_needed(options, message):
    with pytest.raises(ValueError, match=message):
        SamplingOptions(**options)


def test_the_defaults_are_the_released_ones():
    options = SamplingOptions()
    assert (options.num_inference_steps, options.window, options.overlap, options.shift_offset) == (25, 25, 3, 3)
    assert options.guidance_appearance == options.guidance_motion == (2.0, 2.0)
