"""The bench on a runtime that takes no time: what it adds up, what it promises machines, how it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.manifest import GraphRecord
from hp_trt.hunyuanportrait.profiles import find_profile, graphs
from hp_trt.measure.bench import machine
from hp_trt.measure.bench.measure import BenchConfig, bench
from hp_trt.measure.bench.race import Race
from hp_trt.measure.bench.stage_times import first_frame, stage_times
from hp_trt.measure.bench.timeline import draw_timeline
from runtime import bench as command
from runtime.stages import Event, Stages
from tests.engines.bundles import key_of, manifest_of, spec_of
from tests.fakes import spec

ROOT = Path(__file__).resolve().parents[2]
NOTES = ["vae_decoder runs without a CUDA graph: it cannot be captured"]
FLOPS = {
    "appearance": {"call": 1000},
    "vae_encoder": {"call": 200},
    "motion": {"call": 30},
    "step_embedding": {"call": 5},
    "denoiser": {"call": 7, "released": 11},
    "stitch": {"call": 2},
    "vae_decoder": {"call": 13},
}
SPECS = {"motion": spec("motion", {"face_images": ("frames", 3)}, {"motion_tokens": ("frames", 4, 8)}, unit="frames")}


def spans(stage: str, *seconds: float, start_s: float = 0.0) -> list[Event]:
    return [
        Event(stage=stage, kind="unit", done=0, total=None, start_s=start_s + i, seconds=s)
        for i, s in enumerate(seconds)
    ]


def test_percentiles_are_over_the_pieces_of_all_runs_and_seconds_are_a_runs_mean():
    rng = np.random.default_rng(0)
    runs = [rng.exponential(size=40).tolist() for _ in range(3)]
    walls = [sum(run) + 2 for run in runs]
    (times,) = stage_times([spans("denoise", *run) for run in runs], walls)
    pooled = np.concatenate(runs)
    expected = [np.percentile(1000 * pooled, p) for p in (50, 90, 99)]
    assert [times.p50_ms, times.p90_ms, times.p99_ms] == pytest.approx(expected)
    assert times.count == 40
    assert times.total_s == pytest.approx(pooled.sum() / 3)
    assert times.share == pytest.approx(pooled.sum() / sum(walls))


def test_one_piece_is_all_its_percentiles():
    (times,) = stage_times([spans("portrait", 0.25)], [1.0])
    assert (times.p50_ms, times.p90_ms, times.p99_ms, times.count, times.share) == (250, 250, 250, 1, 0.25)


def test_the_first_frame_is_there_when_its_writing_begins():
    portrait, loop = spans("portrait", 0.5, 0.5, start_s=1.0), spans("denoise", 4.0, start_s=3.0)
    first = first_frame([*portrait, *loop, *spans("write", 1.0, start_s=9.0)])
    assert first.latency_s == 9.0
    assert first.portrait_ready_s == 9.0 - 2.5  # the second of the portrait's pieces ends at 2.5


def test_memory_that_was_let_go_stays_in_the_peak():
    size, before = 200 << 20, machine.resident_bytes()
    held = np.ones(size, np.uint8)
    del held
    # Nine tenths: what else was resident may have gone meanwhile.
    assert machine.peak_bytes() >= before + 0.9 * size
    assert 0 < machine.resident_bytes() <= machine.peak_bytes()


class FakeRuntime:
    """Says what a Runtime says, and leaves the spans of a run that took no time."""

    def __init__(self, path, config, *, settle_stages) -> None:
        assert settle_stages, "an asynchronous backend would be timed by its launches"
        records = [
            GraphRecord(name=n, key=key_of(n.encode()), spec=SPECS.get(n, spec_of(n)), precision="fp32", flops=FLOPS[n])
            for n in graphs(find_profile("exact"))
        ]
        self.bundle = Bundle(path=path, manifest=replace(manifest_of(*records), sampling={"window": 5, "overlap": 1}))
        self.backend = SimpleNamespace(threads=config.threads, device="no device", notes=tuple(NOTES))

    def __enter__(self):
        return self

    def __exit__(self, *ending):
        return None

    def animate(self, portrait, driving, out, **sampling):
        assert Path(portrait).is_file() and Path(driving).is_file()
        stages = Stages()
        for stage in ("portrait", "motion", "denoise", "decode", "write"):
            with stages.unit(stage):
                pass
        return SimpleNamespace(frames=3, rate=Fraction(25), stages=stages)


@pytest.fixture
def fake_runtime(monkeypatch):
    monkeypatch.setattr("hp_trt.api.Runtime", FakeRuntime)


def run_command(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ending:
        command.main()
    return ending.value.code


def test_the_report_has_the_documented_keys(fake_runtime, monkeypatch, tmp_path):
    file, picture = tmp_path / "bench.json", tmp_path / "timeline.png"
    arguments = [
        "--bundle",
        tmp_path,
        "--json",
        file,
        "--timeline",
        picture,
        "--frames",
        3,
        "--threads",
        2,
        "--runs",
        2,
    ]
    assert run_command(monkeypatch, *arguments) == 0
    report = json.loads(file.read_text())
    assert (report["format"], report["schema"], report["reference"]) == ("hp-trt bench", 1, None)
    assert set(report) == {
        "format", "schema", "machine", "bundle", "profile", "clip", "stages", "end_to_end", "first_frame", "memory",
        "flops", "notes", "reference",
    }  # fmt: skip
    assert report["notes"] == NOTES
    assert set(report["machine"]) == {
        "cpu", "cores", "memory_bytes", "system", "python", "onnxruntime", "numpy", "family", "provider", "threads",
        "device",
    }  # fmt: skip
    assert set(report["bundle"]) == {"path", "preset", "precision", "size", "frames", "weights", "created"}
    assert set(report["clip"]) == {
        "frames", "padded", "windows", "rows", "decoded", "steps", "rate", "seed", "runs", "warmup"
    }  # fmt: skip
    for stage in report["stages"]:
        assert set(stage) == {
            "stage", "count", "p50_ms", "p90_ms", "p99_ms", "total_s", "share", "flops", "flops_per_s"
        }  # fmt: skip
    assert set(report["end_to_end"]) == {"seconds", "median_s", "frames_per_s", "other_s"}
    assert set(report["first_frame"]) == {"latency_s", "portrait_ready_s"}
    assert set(report["memory"]) == {"peak_bytes", "opened_bytes", "growth_bytes", "peak_since"}
    assert set(report["flops"]) == {"done", "released", "saved", "per_s", "done_by_stage", "released_by_stage"}
    for key in (key for part in report.values() if isinstance(part, dict) for key in part):
        assert key in command.__doc__, f"{key} is not documented"
    assert len(report["end_to_end"]["seconds"]) == 2
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "timeline.png"]  # nothing half-written


def test_json_to_standard_output_is_json_alone(fake_runtime, monkeypatch, tmp_path, capsys):
    assert run_command(monkeypatch, "--bundle", tmp_path, "--json", "-", "--frames", 3, "--runs", 1) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["clip"]["frames"] == 3
    assert "frames/s" in output.err
    assert "RANDOM weights" in output.err
    assert NOTES[0] in output.err


def test_a_race_reports_the_median_of_its_turns():
    race = Race(
        frames=50, steps=2, threads=2, torch="2", exact_s=(1.0, 2.0, 1.0), reference_s=(3.0, 5.0, 2.0),
        exact_network_s=(0.5, 1.0, 0.5), reference_network_s=(2.0, 4.0, 1.0),
        latents_error=1e-4, frames_error=1e-4, levels_error=1,
    )  # fmt: skip
    facts = race.to_json()
    assert facts["ratios"] == [3.0, 2.5, 2.0]
    assert (facts["ratio"], facts["network_ratio"], facts["exact_frames_per_s"], facts["reference_frames_per_s"]) == (
        2.5,
        4.0,
        50.0,
        50 / 3,
    )
    assert all(key in command.__doc__ for key in facts)


def test_a_bundle_that_is_none_is_one_line_and_the_users_turn(monkeypatch, tmp_path, capsys):
    assert run_command(monkeypatch, "--bundle", tmp_path / "none", "--json", tmp_path / "f.json") == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert "there is no bundle at" in error and "python -m export.build_engines" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", 0], "--runs must be at least 1, got 0"),
        (["--reference-frames", 0], "--reference-frames must be at least 1, got 0"),
        (["--portrait", "p.png"], "only a portrait was given"),
        (["--timeline", "t.gif"], "t.gif names no kind of picture; end its name in .png, .svg, .pdf"),
        (["--json", "nowhere/f.json"], "there is no folder nowhere to write f.json into"),
        (["--weight-budget", 2], "a weight budget is for TensorRT's plans, the family is onnxruntime"),
        (["--provider", "abacus"], "there is no provider 'abacus'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_measured(fake_runtime, monkeypatch, tmp_path, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FakeRuntime, "animate", None)
    assert run_command(monkeypatch, "--bundle", tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_timeline_of_no_width_is_drawn_too(tmp_path):
    out = tmp_path / "t.svg"
    draw_timeline(spans("stitch", 0.0), out, title="none", subtitle="", wall_s=1.0)
    assert "<svg" in out.read_text()


def test_the_command_runs_as_a_module_and_as_a_file(tmp_path):
    for how in (["-m", "runtime.bench"], [str(ROOT / "runtime" / "bench.py")]):
        found = subprocess.run(
            [sys.executable, *how, "--bundle", "none"],
            cwd=ROOT if how[0] == "-m" else tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert found.returncode == 2, found.stderr
        assert "there is no bundle at none" in found.stderr


def test_the_loop_never_imports_the_bench():
    for path in (ROOT / "runtime").glob("*.py"):
        assert path.name == "bench.py" or not re.search(r"(import|from) .*\bbench(mark)?\b", path.read_text()), path


@pytest.mark.slow
def test_the_race_ends_in_the_same_pictures(pocket_bundle):
    config = BenchConfig(
        bundle=pocket_bundle,
        frames=8,
        steps=2,
        warmup=0,
        runs=1,
        open_released=partial(command.open_released, None),
        reference_frames=4,
    )
    race = bench(config).report["reference"]
    assert (race["frames"], race["steps"], race["levels_error"] <= 1) == (4, 2, True)
    # The golden loops' bound, 5e-4 of the largest value, is for eight steps' worth of fp32 rounding; rms is smaller
    # than the largest value by about four here.
    assert race["latents_error"] < 2e-3
    assert race["frames_error"] < 2e-3
