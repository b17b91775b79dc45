"""What the shipped weights must show on drawn clips that nothing was trained on: the one table of limits.

A limit is the least that is good enough; where more was measured, it is a little under that (docs/quality.md has the
numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from statistics import fmean
from typing import Any

Report = Mapping[str, Any]  # hp_trt.measure.evaluation.report

FRAMES, LONG_FRAMES = 50, 500  # long ones for colours that drift
LONG = ("long", "half")  # reports that are not of every change: of 500 frames, and of a build in fp16
HALF_FRAMES = 25  # of fp16 beside fp32, which a CPU takes its time for; rounding does not grow with the clip


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Which drawn clips each report is of."""

    pairs: str  # of self and cross
    long: str
    half: str  # fp16 beside fp32
    profiles: str  # beside exact
    talk: str  # of talk_pocket


CHECKED = Seeds(pairs="0:12", long="0:1", half="0:1", profiles="0:4", talk="0:4")  # what every change must pass
WHOLE = Seeds(
    pairs="0:24", long="0:2", half="0:2", profiles="0:6", talk="0:24"
)  # what docs/quality.md is of: make test-quality


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A number of one report, and where it must lie."""

    claim: str
    report: str  # "self", "cross", "long", "half", "profiles" or "talk"
    value: Callable[[Report], float]
    least: float = -inf
    most: float = inf

    def kept(self, report: Report) -> bool:
        return self.least <= self.value(report) <= self.most


def mean(report: Report, column: str, key: str) -> float:
    """A measure's mean in the column of that kind, the last if there are several. Missing numbers are an error."""
    found = [c for c in report["columns"] if c["kind"] == column][-1]["metrics"][key]
    if found["mean"] is None or found["why"]:
        raise ValueError(f"{key} of {column} is not there for every clip: {found['why']}")
    return float(found["mean"])


def of_first_clips(report: Report, count: int) -> dict[str, Any]:
    """The bundle's column, with its means over the first clips alone. Its clips must be those of another report."""
    column = next(c for c in report["columns"] if c["kind"] == "bundle")
    metrics = {
        key: {"mean": fmean(found["clips"][:count]), "why": found["why"]}
        for key, found in column["metrics"].items()
        if found["clips"] and None not in found["clips"]
    }
    return {**column, "metrics": metrics}


def of_profile(report: Report, profile: str, key: str) -> float:
    """A measure's mean in the column of that profile."""
    column = next(c for c in report["columns"] if c.get("profile") == profile)
    return mean({"columns": [column]}, column["kind"], key)


def _cost(profile: str) -> Callable[[Report], float]:
    return lambda report: of_profile(report, "exact", "psnr") - of_profile(report, profile, "psnr")


def _gain(key: str) -> Callable[[Report], float]:
    return lambda report: mean(report, "bundle", key) - mean(report, "still", key)


def _share_of_still(key: str) -> Callable[[Report], float]:
    return lambda report: mean(report, "bundle", key) / mean(report, "still", key)


def _of_bundle(key: str) -> Callable[[Report], float]:
    return lambda report: mean(report, "bundle", key)


def _better_correlation(report: Report) -> float:
    return max(mean(report, "bundle", f"{what}_correlation") for what in ("parameter", "landmark"))


LIMITS = (
    Limit(claim="PSNR is 4 dB above the still portrait's", report="self", value=_gain("psnr"), least=4.0),
    Limit(claim="SSIM is above the still portrait's", report="self", value=_gain("ssim"), least=0.05),
    Limit(claim="landmarks are 27 % as far off as the still's", report="self", value=_share_of_still("lmd"), most=0.27),
    Limit(claim="parameters or landmarks follow the driver", report="cross", value=_better_correlation, least=0.82),
    Limit(claim="the identity stays the portrait's", report="cross", value=_of_bundle("retrieval"), least=95.0),
    Limit(claim="window seams do not show in self", report="self", value=_of_bundle("seam_ratio"), most=1.15),
    Limit(claim="window seams do not show in cross", report="cross", value=_of_bundle("seam_ratio"), most=1.15),
    Limit(claim="colours drift by under 1 % in 50 frames", report="self", value=_of_bundle("colour_drift"), most=1.0),
    Limit(claim="colours drift by under 1 % in 500 frames", report="long", value=_of_bundle("colour_drift"), most=1.0),
    Limit(claim="fp16 is fp32 within 60 dB", report="half", value=_of_bundle("psnr_to_first"), least=60.0),
    Limit(claim="balanced costs at most 0.5 dB", report="profiles", value=_cost("balanced"), most=0.5),
    Limit(claim="live costs at most 1.5 dB", report="profiles", value=_cost("live"), most=1.5),
    Limit(
        claim="live's window seams do not show", report="profiles",
        value=lambda report: of_profile(report, "live", "seam_ratio"), most=1.3,
    ),
    Limit(claim="the jaw follows the speech", report="talk", value=_of_bundle("jaw_correlation"), least=0.75),
    Limit(claim="the jaw is in time", report="talk", value=_of_bundle("jaw_in_time"), least=83.0),
    Limit(claim="the rounding follows the speech", report="talk", value=_of_bundle("rounding_correlation"), least=0.5),
    Limit(claim="who speaks stays who it is", report="talk", value=_of_bundle("retrieval"), least=90.0),
    Limit(claim="colours drift by under 3 % in speech", report="talk", value=_of_bundle("colour_drift"), most=3.0),
    Limit(claim="the clips of a chain do not show", report="talk", value=_of_bundle("seam_ratio"), most=1.3),
)  # fmt: skip
