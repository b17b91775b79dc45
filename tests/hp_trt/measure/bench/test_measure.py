"""The bench's own race, on the demo's bundle, and on a tiny one that speech drives."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.measure.bench.measure import BenchConfig, bench
from hp_trt.measure.bench.soak import SoakConfig, soak
from hp_trt.measure.bench.table import lines
from runtime.bench import open_released
from tests.export.hallo2 import tiny as talk


def test_a_portrait_that_speaks_is_measured_and_raced_and_both_sides_end_in_the_same_pictures(
    bundle_of, tmp_path, monkeypatch
):
    """Clips of three frames that go on from one: an odd number, at which the released rows come out another way.

    The second clip has one frame to save and two that are made for nobody.
    """
    talk.make_known(monkeypatch, talk.TINY_TALK)
    config = BenchConfig(
        bundle=bundle_of(preset="tiny_talk", precision="fp32"),
        frames=4,
        warmup=0,
        runs=1,
        open_released=partial(open_released, None),
    )
    report = bench(config).report
    assert report["bundle"]["driver"] == "audio"
    clip = report["clip"]
    assert (clip["frames"], clip["padded"], clip["windows"], clip["decoded"]) == (4, 6, 2, 6)
    assert (clip["rows"], clip["steps"], clip["rate"]) == ((2, 2), 2, 25.0)
    counts = {stage["stage"]: stage["count"] for stage in report["stages"]}
    assert counts["denoise"] == counts["stitch"] == 4 and counts["write"] == 4
    done, released = report["flops"]["done_by_stage"], report["flops"]["released_by_stage"]
    assert set(done) == set(released) and set(done) <= set(counts)
    assert done["decode"] == released["decode"] and done["denoise"] < released["denoise"]
    race = report["reference"]
    assert (race["frames"], race["steps"]) == (4, 2)
    # Both are fp32, and a chain of clips hands its rounding on: 1e-3 is the golden chains' bound.
    assert race["latents_error"] < 1e-3 and race["frames_error"] < 1e-3 and race["levels_error"] <= 1
    assert "2 clips" in "\n".join(lines(report))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"driving": Path("d.mp4")}, "portraits are moved by speech: give --audio FILE in the place of --driving"),
        ({"profile": "quick"}, "there is no profile 'quick'; there are: exact, balanced, live"),
    ],
)
def test_what_a_bundle_that_speech_drives_cannot_do_is_told_before_it_is_opened(bundle_of, given, says):
    with pytest.raises(InputError, match=says):
        bench(BenchConfig(bundle=bundle_of(preset="tiny_talk", precision="fp32"), **given))


def test_a_soak_is_of_drawn_driving_videos_and_refuses_it_too(bundle_of):
    bundle = bundle_of(preset="tiny_talk", precision="fp32")
    with pytest.raises(InputError, match="--soak is of drawn driving videos"):
        soak(SoakConfig(bundle=bundle, seconds=1))


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
