"""`hp-trt evaluate --protocol talk` as it is typed, on a bundle of seconds whose faces are noise."""

from __future__ import annotations

import json
from functools import partial

import pytest

from hp_trt.measure.evaluation import contestants
from hp_trt.measure.evaluation.regression import fitted
from tests.hp_trt.command_line import refused


@pytest.fixture
def evaluate(hp_trt, talk_bundle):
    def run(*words, **given):
        options = {"protocol": "talk", "bundle": talk_bundle, "seeds": "4:5", "frames": 30, "steps": 1} | given
        typed = (f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None)
        return hp_trt("evaluate", *typed, *words)

    return run


def test_a_bundle_that_speech_drives_is_measured_between_the_yardsticks_ends(
    evaluate, tmp_path, talk_bundle, monkeypatch
):
    monkeypatch.setattr(contestants, "fitted", partial(fitted, sentences=6))
    ended = evaluate(json=tmp_path / "r.json", plot=tmp_path / "p.png")
    assert ended.code == 0, ended.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["protocol"], report["frames"], report["size"]) == ("talk", 30, 32)
    columns = {column["name"]: column for column in report["columns"]}
    assert list(columns) == ["still", "regression", "truth", talk_bundle.name]
    jaw = {name: column["metrics"]["jaw_correlation"]["mean"] for name, column in columns.items()}
    assert jaw["still"] == pytest.approx(0, abs=0.2) and jaw["truth"] > 0.5 and jaw["regression"] > jaw["still"]
    noise = columns[talk_bundle.name]
    assert noise["sampling"]["steps"] == 1 and noise["weights"] == "random"
    assert noise["metrics"]["sync_c"]["mean"] >= 0 and noise["metrics"]["seam_ratio"]["mean"] is not None
    assert "has random weights: its face is noise" in report["notes"][0]
    keys = [measure["key"] for measure in report["measures"]]
    assert keys[-4:] == ["jaw_at_1", "jaw_at_10", "drift_at_10", "seam_at_10"], "30 frames are ten clips of it"
    assert "Sync-C of our judge" in ended.out and "--sync-audio FILE and --sync-video FILE (SyncNet)" in ended.out
    assert (tmp_path / "p.png").stat().st_size > 5000


def test_of_a_bundle_that_knows_moods_it_is_measured_what_they_do(evaluate, tmp_path, moods_bundle):
    ended = evaluate("--moods", bundle=moods_bundle, frames=25, json=tmp_path / "r.json")
    assert ended.code == 0, ended.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["format"], report["protocol"], report["frames"]) == ("hp-trt evaluation", "talk", 25)
    truth, noise = report["columns"]
    assert (truth["name"], noise["name"]) == ("truth", moods_bundle.name)
    assert list(report["moods"]) == list(noise["moods"]) == ["happy", "sad", "angry", "surprised", "sleepy"]
    assert truth["moods"]["happy"]["seen"]["corners"]["shift"] > 0.2, "the judge sees it, even at 32 px"
    assert noise["sampling"]["steps"] == 1 and "random weights" in report["notes"][0]
    assert noise["moods"]["sad"]["seen"]["corners"]["shift"] != 0
    assert "happy: lip corners" in ended.out and "1 of 1" in ended.out


def test_moods_of_weights_that_know_none_are_not_measured_and_not_drawn(evaluate, talk_bundle, tmp_path):
    ended = evaluate("--moods")
    refused(ended, f"{talk_bundle} has weights that know no moods", "leave --moods out")
    refused(evaluate("--moods", plot=tmp_path / "p.png"), "--plot draws the numbers of every clip")
    refused(evaluate("--moods", protocol="self"), "--moods is for --protocol talk")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"bundle": "shipped:pocket"}, "moves them by speech (audio) alone; give a bundle of Hallo2"),
        ({"protocol": "self"}, "moves them by a video alone; give a bundle of HunyuanPortrait, or --protocol talk"),
        ({"seeds": None, "pairs": "/tmp"}, "knows what a mouth should do of drawn people alone"),
        ({"sync_audio": "a.onnx"}, "--sync-audio and --sync-video are the two halves of one network"),
        ({"sync_audio": "/none/a.onnx", "sync_video": "/none/v.onnx"}, "/none/a.onnx: no such file"),
        ({"motion_scale": 2}, "guidance_motion"),
        ({"frames": 5}, "--frames must be at least 25, got 5"),
        ({"guidance": 0.5}, "Invalid value for '--guidance'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_evaluated_gets_one_line_and_nothing_on_standard_output(evaluate, given, says):
    ended = evaluate(**given)
    refused(ended, says)
    assert ended.out == ""
