from __future__ import annotations

import csv
import json
import os
import sys

import pytest

from hp_trt.measure.study.raters import Raters
from tests.hp_trt.command_line import refused
from tests.hp_trt.measure.study.clips import make_clips


@pytest.fixture
def clips(tmp_path):
    return make_clips(tmp_path / "clips", items=("anna",))


def test_a_study_is_made_answered_and_read(clips, tmp_path, hp_trt):
    study = tmp_path / "STUDY"
    made = hp_trt("study", "--clips", clips, "--out", study, "--seed", 3)
    assert (made.code, made.err) == (0, "")
    assert made.out == f"{study}: 1 clips of exact, live; serve it: hp-trt study serve {study}\n"
    refused(hp_trt("study", "results", study), "has no answers so far")
    taking = Raters(study)
    token = taking.join()
    trial = taking.next_trial(token)[1]
    while trial:
        trial = taking.answer(token, trial, {"movement": 2, "quality": 3, "smoothness": 4})[1]
    taking.close()
    files = tmp_path / "answers.csv", tmp_path / "table.csv"
    told = hp_trt("study", "results", study, "--csv", files[0], "--table", files[1])
    assert told.code == 0 and "exact          2.00     3.00        4.00        1" in told.out
    assert [len(list(csv.reader(file.open()))) for file in files] == [1 + 2, 1 + 3 * (2 + 1)]
    events = hp_trt("study", "results", study, "--json").out.splitlines()
    (result,) = [json.loads(line) for line in events]
    assert result["event"] == "result" and result["questions"]["quality"]["means"]["live"]["value"] == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["study"], "a study is made with --clips DIR and --out STUDY; or give serve STUDY, or results STUDY"),
        (["study", "--clips", "{clips}"], "a study is made with --out STUDY"),
        (["study", "--out", "{out}"], "a study is made with --clips DIR"),
        (["study", "--clips", "{clips}", "--out", ""], "an empty name; give a folder"),
        (["study", "--clips", "{clips}", "--out", "x" * 5000], "--out has a name of 5000 bytes"),
        (["study", "--clips", "{clips}/exact", "--out", "{out}"], "has no source/ and no driving/"),
        (["study", "--clips", "{clips}", "--out", "{out}", "--seed", "-1"], "'--seed'"),
        (["study", "--clips", "{clips}", "results", "{out}"], "what stands before results makes a study; give its own"),
        (["study", "--seed", "3", "serve", "{out}"], "what stands before serve makes a study"),
        (["study", "results", "{out}"], "is no study, for it has no plan.json"),
        (["study", "results", "y" * 5000], "study has a name of 5000 bytes"),
        (["study", "results"], "STUDY"),
        (["study", "serve", "{out}", "--port", "99999"], "'--port'"),
        (["study", "serve", "{out}", "--host", "0.0.0.0"], "say which: --allow-host"),
        (["study", "results", "{clips}", "--csv", "{out}/x.csv"], "is no folder; make it first"),
        (["study", "grade"], "grade"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(clips, tmp_path, hp_trt, words, says):
    ended = hp_trt(*(word.format(clips=clips, out=tmp_path / "STUDY") for word in words))
    refused(ended, says)
    assert os.listdir(tmp_path) == ["clips"]


def test_without_the_extra_serving_says_what_to_install_and_the_rest_works(clips, tmp_path, hp_trt, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("fastapi", "hp_trt.apps.study", "uvicorn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    study = tmp_path / "STUDY"
    assert hp_trt("study", "--clips", clips, "--out", study).code == 0
    refused(hp_trt("study", "serve", study), "which is not installed; pip install '.[service]' in a checkout of hp-trt")
    refused(hp_trt("study", "results", study), "has no answers so far")
