"""`hp-trt evaluate` as it is typed, on a bundle of seconds whose faces are noise."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hp_trt.commands import evaluate as command
from hp_trt.fetch.table import MESH
from hp_trt.measure.evaluation import measure_clip
from hp_trt.measure.evaluation.config import EvaluateConfig
from hp_trt.measure.evaluation.evaluate import evaluate as run_evaluation
from tests.hp_trt.command_line import refused
from tests.hp_trt.measure.evaluation.folders import write_pair
from tests.hp_trt.measure.evaluation.test_measure_clip import Mesh


@pytest.fixture
def evaluate(hp_trt, small_bundle):
    def run(*words, **given):
        options = {"protocol": "self", "bundle": small_bundle, "steps": 1} | given
        typed = (f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None)
        return hp_trt("evaluate", *typed, *words)

    return run


def test_drawn_clips_are_measured_to_a_table_json_and_a_picture(evaluate, tmp_path, small_bundle):
    ended = evaluate(seeds="4:6", frames=3, json=tmp_path / "r.json", plot=tmp_path / "p.png")
    assert ended.code == 0, ended.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["format"], report["schema"]) == ("hp-trt evaluation", 1)
    assert (report["protocol"], report["clips"], report["frames"], report["size"]) == ("self", ["4", "5"], 3, 64)
    assert report["source"]["seeds"] == [4, 6]
    assert [column["name"] for column in report["columns"]] == ["still", "truth", small_bundle.name]
    noise = report["columns"][2]
    assert noise["sampling"]["steps"] == 1 and noise["weights"] == "random"
    assert noise["metrics"]["psnr"]["mean"] < report["columns"][0]["metrics"]["psnr"]["mean"]
    assert report["columns"][1]["metrics"]["psnr"]["mean"] == "inf"
    assert "has random weights: its face is noise" in report["notes"][0]
    assert "PSNR to the truth, dB" in ended.out and "needs --lpips FILE (LPIPS)" in ended.out
    assert (tmp_path / "p.png").stat().st_size > 5000


def test_two_bundles_stand_side_by_side_and_equal_ones_are_equal(evaluate, tmp_path, small_bundle):
    copy = shutil.copytree(small_bundle, tmp_path / "copy")
    ended = evaluate("--bundle", str(copy), protocol="cross", seeds="4:5", frames=3, json=tmp_path / "r.json")
    assert ended.code == 0, ended.err
    columns = json.loads((tmp_path / "r.json").read_text())["columns"]
    assert [column["name"] for column in columns] == ["still", "truth", small_bundle.name, "copy"]
    assert columns[3]["metrics"]["psnr_to_first"]["clips"] == ["inf"]
    assert columns[3]["metrics"]["psnr"] == columns[2]["metrics"]["psnr"]
    assert "at least two identities" in columns[3]["metrics"]["retrieval"]["why"]


@pytest.mark.parametrize("protocol", ["self", "cross"])
def test_ones_own_pairs_are_measured(evaluate, tmp_path, protocol):
    write_pair(tmp_path / "pairs" / "anna", 7)
    write_pair(tmp_path / "pairs" / "ben", 8)
    ended = evaluate(protocol=protocol, pairs=tmp_path / "pairs", json="-")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["clips"] == ["anna", "ben"] and report["frames"] == 4
    found = report["columns"][-1]["metrics"]
    assert all(value is not None for value in found["flicker"]["clips"])
    assert (found["psnr"]["mean"] is None) == (protocol == "cross")


def test_the_mesh_that_was_fetched_is_used_for_ones_own_pairs_and_another_where_it_is_given(
    evaluate, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(command, "evaluate_into", lambda config, *_: asked.append(config.networks.landmarks))
    evaluate(pairs=tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    MESH.place.parent.mkdir()
    MESH.place.write_bytes(b"as if")
    evaluate(pairs=tmp_path)
    evaluate(pairs=tmp_path, landmarks="mine.tflite")
    evaluate(seeds="0:2")
    assert asked == [None, MESH.place, Path("mine.tflite"), None]


def test_a_report_says_of_which_points_its_landmark_distance_is(evaluate, tmp_path, monkeypatch):
    write_pair(tmp_path / "pairs" / "anna", 7)
    monkeypatch.setattr(measure_clip, "open_mesh", lambda path: Mesh())
    ended = evaluate(pairs=tmp_path / "pairs", landmarks="mine.tflite", frames=3, json="-")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["networks"]["landmarks"] == "mine.tflite"
    assert report["columns"][1]["metrics"]["lmd"] == {"mean": 0, "worst": 0, "clips": [0], "why": None}
    assert report["notes"][-1] == "the landmark distance (LMD) is of 468 points of the face mesh"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "neither --seeds nor --pairs given"),
        ({"seeds": "5:5"}, "--seeds 5:5 is no range"),
        ({"seeds": "0:2", "protocol": "mirror"}, "there is no protocol 'mirror'"),
        ({"seeds": "0:2", "frames": 1}, "--frames must be at least 3, got 1"),
        ({"seeds": "0:2", "bundle": None}, "no bundle given"),
        ({"seeds": "0:2", "bundle": "/no/such"}, "there is no bundle"),
        ({"seeds": "0:2", "steps": 0}, "--steps"),
        ({"seeds": "0:2", "profile": "fast"}, "there is no profile 'fast'"),
        ({"seeds": "0:2", "lpips": "/no/such.onnx"}, "/no/such.onnx: no such file"),
        ({"seeds": "0:2", "plot": "p.txt"}, "names no kind of picture"),
        ({"seeds": "0:2", "json": "/no/such/r.json"}, "/no/such is no folder"),
        ({"pairs": "/no/such"}, "/no/such is no folder"),
        ({"seeds": "0:2", "landmarks": "f"}, "--landmarks are for --pairs"),
        ({"pairs": "/tmp", "landmarks": "/no/such"}, "/no/such: no such file; `hp-trt fetch mesh` gets"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_evaluated_gets_one_line_and_nothing_on_standard_output(evaluate, given, says):
    ended = evaluate(**given)
    refused(ended, says)
    assert ended.out == ""


def test_a_bundle_given_twice_is_refused(evaluate, small_bundle):
    refused(evaluate("--bundle", str(small_bundle), seeds="0:2"), "is given twice")


def test_the_yardsticks_ends_are_measured_where_they_are_wanted(small_bundle):
    asked = EvaluateConfig(protocol="self", seeds="4:5", frames=3, bundles=(small_bundle,), sampling={"steps": 1})
    both = [column["name"] for column in run_evaluation(asked)["columns"]]
    assert both == ["still", "truth", small_bundle.name]
    for ends in ((), ("still",), ("truth",)):
        columns = run_evaluation(replace(asked, ends=ends))["columns"]
        assert [column["name"] for column in columns] == [*ends, small_bundle.name]
