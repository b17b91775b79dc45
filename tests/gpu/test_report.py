"""What the report says of lines: ratios and whose they are, what was timed beside exports, and what was left out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.gpu import check, summary
from tests.gpu.examples import clips, line
from tests.gpu.lines import Line
from tests.gpu.report import Report


def reported(folder, lines):
    report = Report(folder=folder, about={"date": "today"})
    for one in lines:
        report.add(one)
    return (folder / "report.md").read_text(), json.loads((folder / "report.json").read_text())["summary"]


def test_the_report_says_what_was_timed_beside_exports_and_builds(tmp_path):
    times = [line("torch, full", name, median_s=1.0) for name in ("released, step", "exact, step")]
    text, _ = reported(tmp_path, [replace(times[0], beside=True), times[1]])
    assert "on other cores: torch, full: released, step.\n" in text


def test_another_try_takes_the_place_of_a_line_that_was_not_run(tmp_path):
    """A library that was brought while the check ran is asked once more."""
    tries = [
        line("verdict, tensorrt-rtx", "load", status, text) for status, text in (("not run", "none"), ("ok", "1.7"))
    ]
    text, _ = reported(tmp_path, [tries[0], line("machine", "load", "not run", "another"), tries[1]])
    assert "| load | ok | 1.7 |" in text and "none" not in text and "another" in text


def test_a_way_is_held_against_the_faster_released_arrangement():
    measured = [
        line("torch, full", "released, step", median_s=0.5, flops=96e12),
        line("torch, full", "released, step, three rows at once", median_s=0.4, flops=96e12),
        line("torch, full", "released, decode", median_s=0.2),
        line("torch, full", "exact, step", median_s=0.2, flops=60e12),
        line("tensorrt, full", "step", median_s=0.1, peak_bytes=1 << 30),
        line("tensorrt, full", "decode", median_s=0.1),
        line("machine", "matrix product, fp16", flops_per_s=800e12),
    ]
    released, exact, tensorrt = summary.ways(measured)
    assert (released.step_s, released.estimated_ratio) == (0.4, 1)
    assert exact.estimated_fps is None  # its decode was not measured
    assert tensorrt.flops_per_s == pytest.approx(600e12) and tensorrt.of_ceiling == pytest.approx(0.75)
    # 130 padded frames: 6 windows of 25 steps; 17 chunks released, 104 of the frames' 8 decoded otherwise.
    assert released.estimated_fps == pytest.approx(100 / (150 * 0.4 + 130 / 8 * 0.2))
    assert tensorrt.estimated_ratio == pytest.approx(
        (150 * 0.4 + 130 / 8 * 0.2) / (150 * 0.1 + 112 / 8 * 0.1), rel=0.02
    )


def test_the_report_says_whether_the_ratio_is_kept_and_whose_it_is(tmp_path):
    text, found = reported(tmp_path, [*clips("pocket", 3.0), *clips("full", 2.0)])
    assert (
        "- Best ratio at full: 2.00, onnxruntime, by a measured clip; at least 2.5 is needed: NOT kept.\n"
        "- Best ratio at pocket: 3.00, onnxruntime, by a measured clip; it decides nothing."
    ) in text
    assert found["best_ratio"] == 2


def test_a_ratio_of_another_size_than_full_decides_nothing(tmp_path):
    text, found = reported(tmp_path, clips("pocket", 2.0))
    assert "- No ratio was measured at full, where 2.5 is needed." in text
    assert found["best_ratio"] is None and found["best"][0]["ratio"] == 2
    assert check.exit_code(clips("pocket", 2.0), "cuda") == 0


def test_a_ratio_of_estimates_is_called_one(tmp_path):
    times = {"released, step": 0.3, "released, decode": 0.3, "exact, step": 0.1, "exact, decode": 0.1}
    text, found = reported(tmp_path, [line("torch, full", name, median_s=s) for name, s in times.items()])
    assert found["best"][0]["source"] == "an estimate" and "PyTorch eager, exact, by an estimate; at least" in text


def test_the_report_says_how_long_builds_took_and_what_was_left_out(tmp_path):
    made = Line(section="build, full", name="tensorrt plan, step_embedding", status="ok", text="2 MB", seconds=3.0)
    stopped = replace(made, name="tensorrt plan, denoiser", status="not run", text="no time left: ended", seconds=150.0)
    never = replace(made, name="tensorrt plan, stitch", status="not run", text="no time left", seconds=0.0)
    exported = replace(made, name="export, step_embedding", seconds=1.0)
    text, _ = reported(tmp_path, [exported, made, stopped, never])
    assert "| full | export | 1.0 | step_embedding 1.0 | nothing |" in text
    assert (
        "| full | tensorrt plan | 3.0 | step_embedding 3.0 | "
        "denoiser: no time left: ended (after 150.0 s); stitch: no time left |"
    ) in text
    builds = json.loads((tmp_path / "report.json").read_text())["builds"]
    assert builds[1]["total_s"] == 3 and set(builds[1]["left_out"]) == {"denoiser", "stitch"}
