"""What a long live run is told by, worked out by hand; and what cannot be asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.measure.bench.soak import SoakConfig, lines, summary


def test_a_run_is_told_by_its_slowest_stretch_and_by_its_memory_once_it_has_settled():
    at_s = [i / 10 for i in range(200)] + [20 + i / 5 for i in range(50)]  # ten a second for 20 s, then five for 10 s
    memory = [(1.0, 50), (5.0, 100), (15.0, 101), (29.0, 102)]  # settled from 3 s on
    told = summary([0.1] * 98 + [0.2] * 2, at_s, memory, 30.0)
    assert told["frames_per_s"] == {"whole": pytest.approx(250 / 30), "slowest": 5.0}
    assert told["latency_s"]["p50"] == 0.1 and told["latency_s"]["most"] == 0.2
    assert told["memory"]["growth"] == pytest.approx(0.02)
    assert told["memory"]["settled_bytes"] == 100


def test_frames_that_came_after_the_end_do_not_count_for_the_rate():
    assert summary([0.1] * 3, [0.5, 0.9, 1.4], [], 1.0)["frames_per_s"] == {"whole": 2.0, "slowest": None}


def test_the_lines_say_what_was_lost():
    report = {
        "profile": "live", "seconds": 600, "rate": 12.5, "notes": ["a note"],
        "frames": {"pushed": 7500, "emitted": 7490, "dropped_in": 8, "dropped_out": 2, "held": 0},
        "machine": {"cpu": "A CPU", "cores": 2, "onnxruntime": "1.31.1"},
        **summary([0.5, 0.6], [0.1, 0.2], [(500.0, 2**20), (599.0, 2**20)], 600),
    }  # fmt: skip
    text = "\n".join(lines(report))
    assert "frames pushed 12.5 a second" in text
    assert "7500 pushed, 7490 animated, 8 dropped before, 2 after" in text
    assert "1 MiB settled, 1 at the end (+0.0%)" in text and "a note" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seconds": 0.5}, "--soak takes 1 to 86400 seconds, got 0.5"),
        ({"seconds": 10, "rate": 0}, "--rate is frames a second, above 0 and at most 1000, got 0"),
    ],
)
def test_what_cannot_be_soaked_is_told(options, says):
    with pytest.raises(InputError, match=says):
        SoakConfig(bundle=Path("b"), **options)
