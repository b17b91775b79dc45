"""The numbers of mouths whose lateness and error are known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from hp_trt.faces.haar import HaarLocator
from hp_trt.measure.evaluation import contestants
from hp_trt.measure.evaluation.config import NetworkFiles
from hp_trt.measure.evaluation.contestants import RegressionColumn, Still, Truth
from hp_trt.measure.evaluation.distributions import Distributions
from hp_trt.measure.evaluation.evaluate import run_columns
from hp_trt.measure.evaluation.measure_talk import TalkMeasures
from hp_trt.measure.evaluation.measures import chain_measures, measures
from hp_trt.measure.evaluation.regression import fitted
from hp_trt.measure.evaluation.spoken import SpokenPairs
from hp_trt.measure.metrics.sync import Sync
from tests.hp_trt.measure.evaluation.fakes import FakeBundle, Oracle, truth

PX, FRAMES, SIZE = 32, 40, 4
LATE = 2


def sync(frames, landmarks, samples):
    assert len(samples) == 640 * len(frames) and len(landmarks) == len(frames)
    return Sync(confidence=2.0, distance=1.0, lag=0)


def late(pair):
    frames = list(truth(pair))
    return [*frames[:1] * LATE, *frames[:-LATE]]


def borders(frames):
    return list(range(SIZE, frames, SIZE))


class SpokenBundle(FakeBundle):
    joints = staticmethod(borders)


class Run:
    """Columns of two drawn people who speak, as the report has them, by name."""

    def __init__(self, *contestants, networks: NetworkFiles = NetworkFiles(), looked_at=(1, 10)) -> None:  # noqa: B008
        source = SpokenPairs(range(4, 6), FRAMES)
        wanted = (*measures("talk"), *chain_measures(looked_at))
        talk = TalkMeasures(
            wanted, networks, locator=HaarLocator(), read=Oracle(source, PX), sync=sync, looked_at=looked_at
        )
        columns = run_columns(
            contestants,
            source,
            talk,
            Distributions(networks, expressions=True),
            crop_px=PX,
            on_progress=lambda *_: None,
        )
        self.json = {column.name: column.to_json(wanted) for column in columns}

    def mean(self, name, key):
        return self.json[name]["metrics"][key]["mean"]

    def why(self, name, key):
        return self.json[name]["metrics"][key]["why"]


@pytest.fixture(scope="module")
def run() -> Run:
    bundles = SpokenBundle("perfect", truth), SpokenBundle("late", late)
    return Run(Still(joints=borders), Truth(joints=borders), *bundles)


@pytest.mark.parametrize("name", ["truth", "perfect"])
def test_the_truth_follows_in_time_and_without_error(run, name):
    for parameter in ("jaw", "rounding", "corners", "teeth"):
        assert run.mean(name, f"{parameter}_error") == 0
        assert run.mean(name, f"{parameter}_correlation") == pytest.approx(1)
        assert run.mean(name, f"{parameter}_lag") == 0
    assert run.mean(name, "jaw_in_time") == 100
    assert run.mean(name, "colour_drift") == run.mean(name, "drift_at_10") == 0
    assert run.mean(name, "seam_ratio") == run.mean(name, "seam_at_10") == 1
    assert run.mean(name, "jaw_at_10") == pytest.approx(1)
    assert run.mean(name, "retrieval") == 100


def test_a_mouth_that_is_late_is_late_by_so_many_frames(run):
    assert run.mean("late", "jaw_lag") == LATE and run.mean("late", "jaw_in_time") == 0
    assert run.mean("late", "jaw_correlation") < 0.9
    assert run.mean("late", "jaw_error") > 0.05


def test_a_still_portrait_follows_nothing_and_is_neither_early_nor_late(run):
    assert run.mean("still", "jaw_correlation") == 0
    assert run.mean("still", "jaw_lag") is None and run.why("still", "jaw_lag") == "it does not move"
    assert run.why("still", "jaw_in_time") == "it does not move"
    assert run.mean("still", "jaw_error") > run.mean("late", "jaw_error") > 0


def test_our_judge_is_asked_and_the_published_ones_say_what_they_need(run):
    assert run.mean("late", "sync_c") == 2 and run.mean("late", "sync_d") == 1
    for key in ("published_sync_c", "published_sync_d"):
        assert run.mean("late", key) is None and "--sync-audio FILE and --sync-video FILE" in run.why("late", key)
    assert "--expression FILE" in run.why("late", "efid")


def test_the_regression_draws_the_portraits_own_head(monkeypatch):
    monkeypatch.setattr(contestants, "fitted", partial(fitted, sentences=4))
    pair = SpokenPairs(range(4, 5), FRAMES).pair(0, PX)
    with RegressionColumn(joints=borders).opened() as animate:
        made = animate(pair)
    assert len(made) == FRAMES and made[0].shape == (PX, PX, 3) and made[0].dtype == np.uint8
    change = np.abs(np.stack(made).astype(int) - pair.still).mean(axis=(0, 3))
    assert change[PX // 2 :].mean() > 4 * change[: PX // 3].mean(), "the mouth moves, and the head does not"


def test_expressions_of_all_frames_are_compared_where_there_is_a_network(tmp_path):
    """One that sees a picture's mean colour."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["a", "axes"], ["m"], keepdims=0)],
        "colours",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("m", TensorProto.FLOAT, [1, 3])],
        [axes],
    )
    file = tmp_path / "colours.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)
    bright = SpokenBundle("bright", lambda pair: [np.minimum(frame, 204) + np.uint8(51) for frame in truth(pair)])
    found = Run(Truth(joints=borders), bright, networks=NetworkFiles(expression=file), looked_at=())
    assert found.mean("truth", "efid") == pytest.approx(0, abs=1e-6)
    assert found.mean("bright", "efid") == pytest.approx(3 * 0.2**2, rel=0.1), "a fifth of the range in three colours"
