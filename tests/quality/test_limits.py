"""The table of limits tells a good report from a bad one."""

from __future__ import annotations

import pytest

from tests.quality.limits import CHECKED, LIMITS, WHOLE, mean, of_first_clips


def column(kind: str, values, **facts):
    return {"kind": kind, **facts, "metrics": {key: {"mean": value, "why": None} for key, value in values.items()}}


def report(**bundle: float):
    """Of a still portrait with usual numbers, and of a bundle with these; its profiles stand beside a good exact."""
    exact = column("bundle", {"psnr": 22.0}, profile="exact")
    others = [column("bundle", bundle, profile=profile) for profile in ("balanced", "live")]
    return {
        "columns": [
            column("still", {"psnr": 17.0, "ssim": 0.6, "lmd": 4.0}), exact, *others, column("bundle", bundle),
        ]
    }  # fmt: skip


GOOD = report(
    psnr=22.0, ssim=0.8, lmd=1.0, parameter_correlation=0.7, landmark_correlation=0.9, retrieval=95.8, seam_ratio=1.1,
    colour_drift=1.0, psnr_to_first="inf", jaw_correlation=0.85, jaw_in_time=100.0, rounding_correlation=0.8,
)  # fmt: skip
BAD = report(
    psnr=20.4, ssim=0.59, lmd=1.5, parameter_correlation=0.7, landmark_correlation=0.79, retrieval=87.5, seam_ratio=1.4,
    colour_drift=3.5, psnr_to_first=39.0, jaw_correlation=0.7, jaw_in_time=75.0, rounding_correlation=0.4,
)  # fmt: skip


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.claim)
def test_a_good_report_keeps_every_limit_and_a_bad_one_none(limit):
    assert limit.kept(GOOD)
    assert not limit.kept(BAD)


def test_a_number_that_is_missing_is_no_pass():
    lost = report(psnr=22.0)
    lost["columns"][-1]["metrics"]["psnr"] = {"mean": 22.0, "why": "3 of 24 clips: a reason"}
    with pytest.raises(ValueError, match="3 of 24 clips: a reason"):
        mean(lost, "bundle", "psnr")


def test_the_first_clips_of_a_report_have_a_mean_of_their_own():
    metrics = {
        "psnr": {"mean": 23.0, "clips": [21.0, 23.0, 25.0], "why": None},
        "fid": {"mean": None, "clips": [], "why": "needs a network"},
    }
    still = {"kind": "still", "metrics": metrics}
    found = of_first_clips({"columns": [still, {**still, "kind": "bundle", "profile": "exact"}]}, 2)
    assert (found["profile"], found["metrics"]) == ("exact", {"psnr": {"mean": 22.0, "why": None}})


@pytest.mark.parametrize("seeds", [CHECKED, WHOLE])
def test_profiles_are_compared_on_the_first_clips_of_self(seeds):
    (first, last), (begin, end) = (map(int, text.split(":")) for text in (seeds.profiles, seeds.pairs))
    assert first == begin and last <= end
