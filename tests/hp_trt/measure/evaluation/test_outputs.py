from __future__ import annotations

import io
import json
import warnings
from math import inf

import pytest
from PIL import Image
from rich.console import Console

from engines.errors import InputError, OutputError
from hp_trt.measure.evaluation import outputs
from hp_trt.measure.evaluation.outputs import check_report, put_out
from hp_trt.measure.evaluation.plot import draw_plot
from hp_trt.measure.evaluation.table import show


def metric(*clips, why=None):
    found = [float(c) for c in clips if c is not None]
    mean = sum(found) / len(found) if found else None
    mean, worst = ("inf" if number == inf else number for number in (mean, min(found, default=None)))
    return {"mean": mean, "worst": worst, "clips": list(clips), "why": why}


def column(name, kind, psnr, **facts):
    return {
        "name": name,
        "kind": kind,
        **facts,
        "seconds": 12.3,
        "metrics": {"psnr": psnr, "lpips": metric(None, None, why="needs --lpips FILE (LPIPS)")},
        "parameters": {},
    }


BUNDLE = {
    "preset": "pocket", "precision": "fp16", "weights": "trained", "profile": "exact",
    "sampling": {"steps": 8, "seed": 1},
}  # fmt: skip
REPORT = {
    "protocol": "self",
    "source": {"kind": "seeds", "seeds": [3, 5]},
    "clips": ["3", "4"],
    "frames": 50,
    "size": 128,
    "measures": [
        {"key": "psnr", "title": "PSNR to the truth", "unit": "dB", "better": "higher", "digits": 2},
        {"key": "lpips", "title": "LPIPS to the truth", "unit": "", "better": "lower", "digits": 3},
    ],
    "columns": [
        column("still", "still", metric(17.0, 19.0)),
        column("truth", "truth", metric("inf", "inf")),
        column("a", "bundle", metric(25.0, 23.0), **BUNDLE),
        column("b", "bundle", metric(None, 24.0, why="1 of 2 clips: a reason"), **BUNDLE),
    ],
    "notes": ["a note"],
}


def printed(report) -> str:
    text = io.StringIO()
    show(report, Console(file=text, width=160))
    return text.getvalue()


def test_the_table_has_a_group_of_columns_for_each_bundle():
    head, row = printed(REPORT).splitlines()[:2]
    assert head.split() == "self-reenactment better still truth a worst b worst".split()
    assert row.split() == "PSNR to the truth, dB higher 18.00 inf 24.00 23.00 24.00 24.00".split()


def test_what_is_missing_stands_below_with_its_reason_and_is_no_number():
    text = printed(REPORT)
    assert "LPIPS to the truth: needs --lpips FILE (LPIPS)" in text.splitlines()
    assert "PSNR to the truth (b): 1 of 2 clips: a reason" in text.splitlines()
    assert not any(line.startswith("LPIPS") and "0.0" in line for line in text.splitlines())
    assert "2 clips of 50 frames, seeds 3:5, compared at 128 px" in text
    assert "note: a note" in text


def test_files_appear_whole_and_replace_what_was_there(tmp_path, capfd):
    (tmp_path / "r.json").write_text("old")
    put_out(REPORT, tmp_path / "r.json", tmp_path / "p.png")
    assert json.loads((tmp_path / "r.json").read_text()) == REPORT
    assert Image.open(tmp_path / "p.png").size[0] > 300
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.png", "r.json"]
    assert "PSNR to the truth" in capfd.readouterr().out


def test_on_standard_output_the_json_is_alone(capfd):
    put_out(REPORT, outputs.STDOUT, None)
    said = capfd.readouterr()
    assert json.loads(said.out) == REPORT
    assert "PSNR to the truth" in said.err


def test_what_fails_while_writing_leaves_what_was_there(tmp_path, monkeypatch):
    def full(report, path, kind):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "draw_plot", full)
    (tmp_path / "p.png").write_text("old")
    with pytest.raises(OutputError, match="could not be written: No space left"):
        put_out(REPORT, None, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"]


def test_outputs_that_cannot_be_are_told_before_the_long_work(tmp_path):
    with pytest.raises(OutputError, match="is no folder; make it first"):
        check_report(tmp_path / "no" / "r.json", None, {})
    with pytest.raises(OutputError, match="is a folder"):
        check_report(tmp_path, None, {})
    with pytest.raises(InputError, match="names no kind of picture"):
        check_report(None, tmp_path / "plot.txt", {})
    check_report(outputs.STDOUT, tmp_path / "plot.svg", {})


def test_without_numbers_there_is_still_a_picture(tmp_path):
    empty = {**REPORT, "columns": [column("still", "still", metric(None, None, why="x"))]}
    draw_plot(empty, tmp_path / "p.svg", ".svg")
    assert (tmp_path / "p.svg").stat().st_size > 500


def test_a_column_without_a_finite_number_does_not_spoil_the_pictures_layout(tmp_path):
    """The truth's own PSNR is infinite in every evaluation; two rows of clips share their axis."""
    columns = [column("truth", "truth", metric("inf", "inf")), column("a", "bundle", metric(25.0, 23.0), **BUNDLE)]
    for shown in columns:
        shown["metrics"]["lpips"] = metric(0.1, 0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_plot({**REPORT, "columns": columns}, tmp_path / "p.png", ".png")
