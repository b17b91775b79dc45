"""How much nearer the shipped upscaler is to a picture as it was drawn than a bicubic filter, on people never seen."""

from __future__ import annotations

from typing import Any

import pytest

from hp_trt.measure.evaluation.config import EvaluateConfig
from hp_trt.measure.evaluation.evaluate import evaluate
from hp_trt.shipped import ENHANCER_POCKET_BUNDLE, bundle_folder

# By look, dB over the bicubic filter: these 12 people show 1.44, 0.73, 2.29 and 1.01, docs/quality.md has 24.
LEAST_DB = {"plain_128": 1.3, "plain_128_jpeg": 0.6, "plain_256": 2.1, "plain_256_jpeg": 0.9}


@pytest.fixture(scope="module")
def means() -> dict[str, dict[str, Any]]:
    """By column and measure."""
    bundle = bundle_folder(ENHANCER_POCKET_BUNDLE)
    report = evaluate(EvaluateConfig(protocol="enhance", seeds="0:12", bundles=(bundle,)))
    return {column["kind"]: {k: v["mean"] for k, v in column["metrics"].items()} for column in report["columns"]}


@pytest.mark.parametrize("look", LEAST_DB)
def test_the_shipped_upscaler_is_nearer_to_unseen_people_than_the_bicubic_filter(means, look):
    assert means["bundle"][f"psnr_{look}"] - means["bicubic"][f"psnr_{look}"] >= LEAST_DB[look]


def test_of_varied_people_it_is_no_worse_than_the_bicubic_filter(means):
    """These show +0.42 dB, and one that has seen plain people alone -1.71."""
    assert means["bundle"]["gain_varied"] > 0.2
