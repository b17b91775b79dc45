"""How the spans of runs add up."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.measure.bench.stage_times import first_frame, stage_times
from tests.hp_trt.measure.bench.spans import spans


def test_percentiles_are_over_the_pieces_of_all_runs_and_seconds_are_a_runs_mean():
    rng = np.random.default_rng(0)
    runs = [rng.exponential(size=40).tolist() for _ in range(3)]
    walls = [sum(run) + 2 for run in runs]
    (times,) = stage_times([spans("denoise", *run) for run in runs], walls)
    pooled = np.concatenate(runs)
    expected = [np.percentile(1000 * pooled, p) for p in (50, 90, 99)]
    assert [times.p50_ms, times.p90_ms, times.p99_ms] == pytest.approx(expected)
    assert times.count == 40
    assert times.total_s == pytest.approx(pooled.sum() / 3)
    assert times.share == pytest.approx(pooled.sum() / sum(walls))


def test_one_piece_is_all_its_percentiles():
    (times,) = stage_times([spans("portrait", 0.25)], [1.0])
    assert (times.p50_ms, times.p90_ms, times.p99_ms, times.count, times.share) == (250, 250, 250, 1, 0.25)


def test_the_first_frame_is_there_when_its_writing_begins():
    portrait, loop = spans("portrait", 0.5, 0.5, start_s=1.0), spans("denoise", 4.0, start_s=3.0)
    first = first_frame([*portrait, *loop, *spans("write", 1.0, start_s=9.0)])
    assert first.latency_s == 9.0
    assert first.portrait_ready_s == 9.0 - 2.5  # the second of the portrait's pieces ends at 2.5
