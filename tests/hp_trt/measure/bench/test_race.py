from __future__ import annotations

from hp_trt.measure.bench.race import Race
from runtime import bench as command


def test_a_race_reports_the_median_of_its_turns():
    race = Race(
        frames=50, steps=2, threads=2, torch="2", exact_s=(1.0, 2.0, 1.0), reference_s=(3.0, 5.0, 2.0),
        exact_network_s=(0.5, 1.0, 0.5), reference_network_s=(2.0, 4.0, 1.0),
        latents_error=1e-4, frames_error=1e-4, levels_error=1,
    )  # fmt: skip
    facts = race.to_json()
    assert facts["ratios"] == [3.0, 2.5, 2.0]
    assert (facts["ratio"], facts["network_ratio"], facts["exact_frames_per_s"], facts["reference_frames_per_s"]) == (
        2.5,
        4.0,
        50.0,
        50 / 3,
    )
    assert all(key in command.__doc__ for key in facts)
