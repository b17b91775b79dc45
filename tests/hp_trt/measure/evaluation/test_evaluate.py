"""The course of an evaluation with contestants whose numbers are known."""

from __future__ import annotations

import json
from math import inf, log10

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.faces.haar import HaarLocator
from hp_trt.measure.evaluation.config import NetworkFiles
from hp_trt.measure.evaluation.contestants import Still, Truth
from hp_trt.measure.evaluation.distributions import Distributions
from hp_trt.measure.evaluation.drawn import DrawnPairs
from hp_trt.measure.evaluation.evaluate import run_columns
from hp_trt.measure.evaluation.measure_clip import ClipMeasures
from hp_trt.measure.evaluation.measures import TO_FIRST, measures
from tests.hp_trt.measure.evaluation.fakes import FakeBundle, Oracle, brighter, joints_of, late, truth

PX, FRAMES = 48, 14
NOTHING = NetworkFiles()


class Run:
    """Columns of two drawn pairs, as the report has them, by name."""

    def __init__(self, protocol: str, *bundles: FakeBundle) -> None:
        self.source = DrawnPairs(protocol, range(0, 2), FRAMES)
        wanted = (*measures(protocol), TO_FIRST)
        clip_measures = ClipMeasures(wanted, NOTHING, locator=HaarLocator(), read=Oracle(self.source, PX))
        ends = [Still(joints=joints_of), Truth(joints=joints_of)]
        self.progress = []
        self.columns = run_columns(
            [*ends, *bundles],
            self.source,
            clip_measures,
            Distributions(NOTHING),
            crop_px=PX,
            on_progress=lambda *facts: self.progress.append(facts),
        )
        self.json = {column.name: column.to_json(wanted) for column in self.columns}

    def mean(self, name: str, key: str) -> float | str | None:
        return self.json[name]["metrics"][key]["mean"]

    def clips(self, name: str, key: str) -> list:
        return self.json[name]["metrics"][key]["clips"]


def stranger(pair):
    """The other identity in the portrait's place."""
    rivals = list(pair.drawn.rivals())
    other = rivals[1 - pair.drawn.own]
    return [other[i % len(other)] for i in range(len(pair.truth))]


@pytest.fixture(scope="module")
def myself() -> Run:
    return Run("self", FakeBundle("perfect", truth), FakeBundle("late", late), FakeBundle("brighter", brighter))


@pytest.fixture(scope="module")
def cross() -> Run:
    return Run("cross", FakeBundle("perfect", truth), FakeBundle("stranger", stranger))


@pytest.mark.parametrize("name", ["truth", "perfect"])
def test_the_truth_has_no_error_and_follows_wholly(myself, name):
    assert myself.mean(name, "psnr") == "inf"
    assert myself.mean(name, "ssim") == pytest.approx(1)
    assert myself.mean(name, "lmd") == 0
    assert myself.mean(name, "parameter_correlation") == pytest.approx(1)
    assert myself.mean(name, "landmark_correlation") == pytest.approx(1)
    assert myself.mean(name, "flicker") == myself.mean(name, "colour_drift") == 0
    assert myself.mean(name, "error_drift") == myself.mean(name, "lmd_drift") == 0
    assert myself.mean(name, "seam_ratio") == 1
    assert set(myself.json[name]["parameters"]) >= {"yaw_deg"}
    assert all(value == pytest.approx(1) for value in myself.json[name]["parameters"].values())


def test_a_still_portrait_follows_nothing_and_is_measured_by_the_plain_formulas(myself):
    expected = []
    for index in range(2):
        pair = myself.source.pair(index, PX)
        error = ((np.stack(pair.truth).astype(float) - pair.still) ** 2).mean()
        expected.append(10 * log10(255**2 / error))
    assert myself.clips("still", "psnr") == pytest.approx(expected)
    assert myself.mean("still", "psnr") == pytest.approx(np.mean(expected))
    assert myself.json["still"]["metrics"]["psnr"]["worst"] == pytest.approx(min(expected))
    assert myself.mean("still", "parameter_correlation") == 0
    assert myself.mean("still", "lmd") > 1
    assert myself.mean("still", "error_drift") > 1, "the portrait is the first frame"
    assert myself.mean("still", "lmd_drift") > 1
    assert myself.json["still"]["metrics"]["seam_ratio"] == {
        "mean": None, "worst": None, "clips": [None, None], "why": "no window joint in the clip, or nothing moves"
    }  # fmt: skip


def test_a_late_clip_lies_between_still_and_truth(myself):
    for key in ("psnr", "ssim", "parameter_correlation"):
        assert myself.mean("still", key) < myself.mean("late", key) < float(myself.mean("truth", key))
    assert myself.mean("truth", "lmd") < myself.mean("late", "lmd") < myself.mean("still", "lmd")


def test_five_levels_more_are_their_psnr_and_no_drift(myself):
    expected = 10 * log10(255**2 / 25)
    assert myself.mean("brighter", "psnr") == pytest.approx(expected, abs=0.05), "a few pixels are capped"
    assert myself.mean("brighter", "colour_drift") < 0.05


def test_bundles_after_the_first_are_compared_with_it(myself):
    key = TO_FIRST.key
    assert myself.clips("perfect", key) == [None, None]
    assert myself.clips("late", key) == myself.clips("late", "psnr"), "the first is the truth here"
    assert myself.clips("truth", key) == [None, None]


def test_in_cross_the_identity_is_found_again_and_a_stranger_is_not_it(cross):
    assert cross.mean("perfect", "retrieval") == cross.mean("truth", "retrieval") == 100
    assert cross.mean("stranger", "retrieval") == 0
    assert cross.mean("perfect", "aed") == cross.mean("perfect", "apd") == 0
    assert cross.mean("perfect", "parameter_correlation") == pytest.approx(1)


def test_what_needs_a_network_says_which_and_is_no_zero(cross):
    for key, says in [
        ("lpips", "needs --lpips FILE (LPIPS)"),
        ("fid", "needs --fid-features FILE (Inception)"),
        ("fvd", "needs --fvd-features FILE (I3D or another)"),
        ("identity", "needs --arcface FILE (ArcFace)"),
    ]:
        found = cross.json["perfect"]["metrics"][key]
        assert found["mean"] is None and found["why"] == says


def test_the_report_is_json_even_where_numbers_are_infinite(myself):
    text = json.dumps(myself.json, allow_nan=False)
    assert float(json.loads(text)["truth"]["metrics"]["psnr"]["mean"]) == inf


def test_one_contestant_is_open_at_a_time_and_progress_reaches_its_total():
    bundles = [FakeBundle("a", truth), FakeBundle("b", truth)]

    def alone(pair):
        assert sum(bundle.opened_now for bundle in bundles) == 1
        return truth(pair)

    for bundle in bundles:
        bundle.animate = alone
    run = Run("self", *bundles)
    assert all(bundle.opened_now == 0 for bundle in bundles)
    assert run.progress[0] == ("still", 0, 8) and run.progress[-1] == ("done", 8, 8)
    assert [done for _, done, _ in run.progress] == list(range(9))


@pytest.mark.parametrize(
    ("animate", "says"),
    [
        (lambda pair: truth(pair)[1:], "the clip made of 0 has 13 frames and what it is compared with 14"),
        (lambda pair: [frame[::2, ::2] for frame in truth(pair)], "frames of 24 x 24, 48 x 48 pixels"),
    ],
)
def test_a_clip_of_another_length_or_size_is_refused(animate, says):
    with pytest.raises(InputError) as told:
        Run("self", FakeBundle("short", animate))
    assert says in str(told.value) and "\n" not in str(told.value)
