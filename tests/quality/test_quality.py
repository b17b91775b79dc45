"""The shipped weights on drawn clips: the numbers of docs/quality.md, kept.

Some of the clips; all of them, long ones and those of fp16 too: make test-quality.

Weights of your own: pytest tests/quality -m slow --weights FILE
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from hp_trt import shipped
from hp_trt.config import RuntimeConfig
from hp_trt.measure.evaluation.config import EvaluateConfig
from hp_trt.measure.evaluation.evaluate import evaluate
from tests.quality.limits import (
    CHECKED,
    FRAMES,
    HALF_FRAMES,
    LIMITS,
    LONG,
    LONG_FRAMES,
    WHOLE,
    Limit,
    Report,
    Seeds,
    of_first_clips,
)


class Reports:
    """Each evaluation, made when it is first asked for."""

    def __init__(self, weights: Path, seeds: Seeds, bundle_of: Callable[..., Path]) -> None:
        self._weights, self._seeds, self._bundle_of = weights, seeds, bundle_of
        self.shipped = weights == shipped.POCKET
        self.bundle, self.report = cache(self._bundle), cache(self._report)

    def _bundle(self, precision: str) -> Path:
        if self.shipped and precision == "fp32":  # what export makes today, says tests/export/shipping
            return shipped.bundle_folder(shipped.POCKET_BUNDLE)
        return self._bundle_of(preset="pocket", weights=self._weights, precision=precision, parity=False)

    def _report(self, name: str) -> Report:
        if name == "talk":
            bundles = (shipped.bundle_folder(shipped.TALK_POCKET_BUNDLE),)
            return evaluate(EvaluateConfig(protocol="talk", seeds=self._seeds.talk, ends=(), bundles=bundles))
        protocol = "cross" if name == "cross" else "self"
        seeds = self._seeds.pairs if name in ("self", "cross") else getattr(self._seeds, name)
        profiles = ("balanced", "live") if name == "profiles" else ("exact",)
        bundles = [self.bundle("fp32"), *([self.bundle("fp16")] if name == "half" else [])]
        frames = {"long": LONG_FRAMES, "half": HALF_FRAMES}.get(name, FRAMES)
        report = evaluate(
            EvaluateConfig(
                protocol=protocol,
                seeds=seeds,
                frames=frames,
                ends=("still",) if name == "self" else (),  # what self is better than; the others have other limits
                bundles=tuple(bundles),
                runtimes=tuple(RuntimeConfig(profile=profile) for profile in profiles),
            )
        )
        if name == "profiles":  # exact made these clips for "self"
            report["columns"].append(of_first_clips(self.report("self"), len(report["clips"])))
        return report


@pytest.fixture(scope="module")
def reports(request, bundle_of) -> Reports:
    given = request.config.getoption("--weights", None)
    weights = Path(given or shipped.POCKET)
    if not weights.is_file():
        pytest.fail(f"there are no weights {weights}; train them (python -m export.train), or give --weights FILE")
    return Reports(weights, WHOLE if request.config.getoption("--whole", False) else CHECKED, bundle_of)


def one_limit(limit: Limit):
    """Limits of one report run on one worker; profiles stand beside clips that self makes."""
    group = "self" if limit.report == "profiles" else limit.report
    marks = [pytest.mark.xdist_group(f"quality-{group}"), *([pytest.mark.heavy] if limit.report in LONG else [])]
    return pytest.param(limit, id=limit.claim, marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [*map(one_limit, LIMITS)])
def test_the_shipped_weights_keep_their_limits(limit, reports):
    if limit.report in ("profiles", "talk") and not reports.shipped:
        pytest.skip("profiles use the weights of live mode, which belong to the shipped ones; talk is another preset's")
    report = reports.report(limit.report)
    value = limit.value(report)
    assert limit.kept(report), f"{limit.claim}: {value:.4g}, needed are {limit.least} to {limit.most}"
