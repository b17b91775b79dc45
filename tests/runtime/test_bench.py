"""The bench as a command, on a runtime that takes no time: what it promises machines, how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from engines.bundle import Bundle
from engines.manifest import GraphRecord
from hp_trt.hunyuanportrait.model import HunyuanPortrait
from hp_trt.hunyuanportrait.profiles import find_profile, graphs
from hp_trt.hunyuanportrait.work import profile_work
from hp_trt.measure.bench.measure import BenchConfig, bench
from runtime import bench as command
from runtime.hunyuanportrait.sampling import Sampling
from runtime.stages import Stages
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


def fake_bundle(path, *, family) -> Bundle:
    records = [
        GraphRecord(name=n, key=key_of(n.encode()), spec=SPECS.get(n, spec_of(n)), precision="fp32", flops=FLOPS[n])
        for n in graphs(find_profile("exact"))
    ]
    return Bundle(path=path, manifest=replace(manifest_of(*records), sampling={"window": 5, "overlap": 1}))


class FakeRuntime:
    """Says what a Runtime says, and leaves the spans of a run that took no time."""

    def __init__(self, path, config, *, settle_stages) -> None:
        assert settle_stages, "an asynchronous backend would be timed by its launches"
        self.config, self.bundle = config, fake_bundle(path, family=config.family)
        own = Sampling.from_manifest(self.bundle.manifest.sampling)
        self.model = SimpleNamespace(
            work=lambda profile, frames: profile_work(profile, own, frames), options=HunyuanPortrait.options
        )
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
    monkeypatch.setattr(Bundle, "open", staticmethod(fake_bundle))
    # Its graphs take nothing that the model's own do.
    monkeypatch.setattr(HunyuanPortrait, "check_bundle", staticmethod(lambda bundle: None))


def run_command(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ending:
        command.main()
    return ending.value.code


def test_the_report_has_the_documented_keys(fake_runtime, monkeypatch, tmp_path):
    file, picture = tmp_path / "bench.json", tmp_path / "timeline.png"
    arguments = [
        "--bundle",
        tmp_path / "bundle",
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
    assert set(report["bundle"]) == {
        "path", "preset", "precision", "size", "frames", "driver", "weights", "created"
    }  # fmt: skip
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


def test_what_is_counted_is_what_was_run_where_the_caller_asks_for_other_steps_than_the_profile(fake_runtime, tmp_path):
    profile = tmp_path / "mine.toml"
    profile.write_text("[mine]\nsteps = 3\n")
    own, one = (
        bench(BenchConfig(bundle=tmp_path, frames=3, runs=1, steps=steps, profile=str(profile))).report
        for steps in (None, 1)
    )
    assert (own["clip"]["steps"], one["clip"]["steps"]) == (3, 1)
    # Of 33 frames nine windows a step, of which the last step leaves out those of padding alone.
    own_stitch, one_stitch = (report["flops"]["done_by_stage"]["stitch"] for report in (own, one))
    assert own_stitch > 3 * one_stitch > 0


def test_json_to_standard_output_is_json_alone(fake_runtime, monkeypatch, tmp_path, capsys):
    assert run_command(monkeypatch, "--bundle", tmp_path, "--json", "-", "--frames", 3, "--runs", 1) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["clip"]["frames"] == 3
    assert "frames/s" in output.err
    assert "RANDOM weights" in output.err
    assert NOTES[0] in output.err


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
        (["--audio", "a.wav"], "moved by a driving video: give --portrait and --driving, not --audio"),
        (["--driving", "d.mp4", "--audio", "a.wav"], "give --driving or --audio, not both"),
        (["--timeline", "t.gif"], "t.gif names no kind of picture; end its name in .png, .svg, .pdf"),
        (["--json", "nowhere/f.json"], "nowhere is no folder; make it first"),
        (["--weight-budget", 2], "a weight budget is for TensorRT's plans, the family is onnxruntime"),
        (["--provider", "abacus"], "there is no provider 'abacus'"),
    ],
)
def test_a_mistake_is_told_before_anything_is_measured(fake_runtime, monkeypatch, tmp_path, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FakeRuntime, "animate", None)
    assert run_command(monkeypatch, "--bundle", tmp_path / "bundle", *arguments) == 2
    assert message in capsys.readouterr().err


def test_the_command_runs_as_a_module_and_as_a_file(tmp_path):
    for how in (["-m", "runtime.bench"], [str(ROOT / "runtime" / "bench.py")]):
        found = subprocess.run(
            [sys.executable, *how, "--bundle", "none"],
            cwd=ROOT if how[0] == "-m" else tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert found.returncode == 2, found.stderr
        assert "there is no bundle at none" in found.stderr
