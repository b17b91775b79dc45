"""The second model's part of the check on this machine: a very small bundle, exported, run and compared for real."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tests.gpu import check
from tests.gpu.lines import NotRun
from tests.gpu.part_talk import Bundles
from tests.gpu.run import CheckConfig
from tests.gpu.talk_sizes import MODELS, ROLES, TALKS


def test_on_a_cpu_a_clip_of_speech_is_made_and_compared(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = "--device cpu --sizes mini --minutes 120 --models hallo2 --commit abc"
    code = check.main(["--out", str(tmp_path), *options.split()])
    report = json.loads((tmp_path / "report.json").read_text())
    found = {(one["section"], one["name"]): one for one in report["lines"]}
    assert report["finished"]
    assert code == 0, [one for one in report["lines"] if one["status"] in ("failed", "missed")]
    section = "talk, onnxruntime, mini"
    assert found[section, "export, fp32"]["text"].startswith("11 graphs in ")
    clip = found[section, "clip, fp32"]["facts"]
    assert clip["frames"] == 6  # two clips of three frames
    assert clip["relative_l2"] == 0  # it is what the others are held against
    for family in ("tensorrt", "tensorrt-rtx"):
        assert found[f"talk, {family}, mini", "everything"]["status"] == "not run"
    assert not [
        one for one in report["lines"] if one["section"].startswith("torch")
    ]  # the other model was not asked for


def test_plans_without_exported_graphs_and_a_clip_without_plans_are_not_run(tmp_path):
    part = Bundles(TALKS["mini"], "tensorrt-rtx", "cuda", tmp_path)
    for call in (part.plans, part.clip):
        with pytest.raises(NotRun, match="its graphs were not exported: see ONNX Runtime's lines"):
            call("fp16")
    bundle = SimpleNamespace(manifest=SimpleNamespace(engines={}))
    with pytest.raises(NotRun, match="its plans were not built"):
        part._engine(bundle, ROLES["denoiser"])


def test_both_models_are_checked_where_none_is_named(tmp_path):
    assert CheckConfig(out=tmp_path).models == MODELS
