"""The shipped pocket weights on drawn clips: the numbers of docs/quality.md, kept. Half an hour on two cores.

Weights of your own: pytest tests/quality -m slow --weights FILE
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from hp_trt.evaluation.config import EvaluateConfig
from hp_trt.evaluation.evaluate import evaluate
from tests.quality.limits import FRAMES, HALF_SEEDS, LIMITS, LONG_FRAMES, LONG_SEEDS, SEEDS, Report


class Reports:
    """Each evaluation, made when it is first asked for."""

    def __init__(self, weights: Path, folder: Path) -> None:
        self._weights, self._folder = weights, folder
        self.bundle, self.report = cache(self._bundle), cache(self._report)

    def _bundle(self, precision: str) -> Path:
        from export.build import BuildConfig, build_bundle

        folder = self._folder / precision
        config = BuildConfig(preset="pocket", bundle=folder, weights=self._weights, precision=precision, parity=False)
        return build_bundle(config).path

    def _report(self, name: str) -> Report:
        protocol = "cross" if name == "cross" else "self"
        seeds = {"long": LONG_SEEDS, "half": HALF_SEEDS}.get(name, SEEDS)
        bundles = [self.bundle("fp32"), *([self.bundle("fp16")] if name == "half" else [])]
        frames = LONG_FRAMES if name == "long" else FRAMES
        return evaluate(EvaluateConfig(protocol=protocol, seeds=seeds, frames=frames, bundles=tuple(bundles)))


@pytest.fixture(scope="module")
def reports(request, tmp_path_factory) -> Reports:
    from export.pocket.weights import SHIPPED

    given = request.config.getoption("--weights", None)
    weights = Path(given or SHIPPED)
    if not weights.is_file():
        pytest.fail(
            f"there are no weights {weights}; train them (python -m export.pocket.train), or give --weights FILE"
        )
    return Reports(weights, tmp_path_factory.mktemp("quality"))


@pytest.mark.slow
@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.claim)
def test_the_shipped_weights_keep_their_limits(limit, reports):
    report = reports.report(limit.report)
    value = limit.value(report)
    assert limit.kept(report), f"{limit.claim}: {value:.4g}, needed are {limit.least} to {limit.most}"
