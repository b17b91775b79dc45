"""The bench's own race, on the demo's bundle."""

from __future__ import annotations

from functools import partial

import pytest

from hp_trt.measure.bench.measure import BenchConfig, bench
from runtime.bench import open_released


@pytest.mark.slow
def test_the_race_ends_in_the_same_pictures(pocket_bundle):
    config = BenchConfig(
        bundle=pocket_bundle,
        frames=8,
        steps=2,
        warmup=0,
        runs=1,
        open_released=partial(open_released, None),
        reference_frames=4,
    )
    race = bench(config).report["reference"]
    assert (race["frames"], race["steps"], race["levels_error"] <= 1) == (4, 2, True)
    # The golden loops' bound, 5e-4 of the largest value, is for eight steps' worth of fp32 rounding; rms is smaller
    # than the largest value by about four here.
    assert race["latents_error"] < 2e-3
    assert race["frames_error"] < 2e-3
