"""The check on this machine, for real but small; the rest of it, the GPU's, by a marked test."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.gpu import check, children
from tests.gpu.examples import clips, line

PATIENCE_S = 300  # of a machine that others keep busy: nothing here is about time


def test_on_a_cpu_the_check_exports_runs_compares_and_reports(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads of many processes on few cores would wait for each other
    options = "--device cpu --sizes mini --minutes 120 --models hunyuanportrait --commit abc"
    code = check.main(["--out", str(tmp_path), *options.split(), "--graphs", "vae_decoder", "step_embedding"])
    report = json.loads((tmp_path / "report.json").read_text())
    found = {(one["section"], one["name"]): one for one in report["lines"]}
    assert report["finished"] and report["commit"] == "abc"
    assert code == 0, [one for one in report["lines"] if one["status"] in ("failed", "missed")]
    assert found["onnxruntime, mini", "parity, vae_decoder"]["facts"]["psnr_db"] > 40
    assert found["onnxruntime, mini", "parity, step_embedding"]["facts"]["relative_l2"] < 1e-5
    assert found["torch, mini", "exact, step"]["facts"]["against_released"] < 1e-4
    ways = {way["name"]: way for way in report["summary"]["ways"]}
    assert ways["PyTorch eager, released"]["measured_ratio"] == 1
    assert ways["PyTorch eager, exact"]["estimated_fps"] > 0
    assert found["tensorrt-rtx, mini", "everything"]["text"] == "it needs a GPU, this is a check with --device cpu"
    text = (tmp_path / "report.md").read_text()
    assert "| mini | PyTorch eager, exact |" in text and "### onnxruntime, mini" in text


@pytest.mark.gpu
def test_on_a_gpu_the_check_reports_frames_a_second(tmp_path):
    code = check.main(["--out", str(tmp_path), "--sizes", "pocket", "--minutes", "5"])
    report = json.loads((tmp_path / "report.json").read_text())
    assert code in (0, 1) and report["finished"]
    ways = {way["name"]: way for way in report["summary"]["ways"]}
    assert ways["PyTorch eager, exact"]["measured_fps"] > 0


def test_without_a_gpu_the_report_says_why_nothing_ran(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert check.main(["--out", str(tmp_path)]) == 2
    assert "no cuda device to measure on" in capsys.readouterr().err
    report = json.loads((tmp_path / "report.json").read_text())
    by_section = {one["section"]: one for one in report["lines"]}
    for section in ("verdict", "torch", "onnxruntime", "tensorrt", "tensorrt-rtx", "talk"):
        assert by_section[section]["status"] == "not run"
        assert by_section[section]["text"].startswith("there is no device to measure on: ")
    assert not [one for one in report["lines"] if one["status"] == "failed"]


@pytest.mark.parametrize("minutes", ["0", "-3", "nan", "inf"])
def test_a_check_without_time_is_refused(tmp_path, capsys, minutes):
    with pytest.raises(SystemExit) as ended:
        check.main(["--out", str(tmp_path / "out"), "--minutes", minutes])
    assert ended.value.code == 2
    assert f"--minutes must be more than 0, got {minutes}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--work"])
def test_a_folder_that_is_a_file_is_refused_before_anything_runs(tmp_path, capsys, option):
    file = tmp_path / "file"
    file.write_text("mine")
    for folder in (file, file / "below"):
        with pytest.raises(SystemExit) as ended:
            check.main(["--out", str(tmp_path / "out"), option, str(folder)])
        assert ended.value.code == 2
        assert f"{option} {folder} cannot be written to: " in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_the_command_loads_no_torch_and_nothing_that_a_gpu_machine_may_lack():
    code = "import sys, tests.gpu.check, tests.gpu.part_family, engines.onnx_backend; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "typer", "rich", "av", "cv2", "PIL", "diffusers", "tensorrt", "polygraphy"} & set(loaded)


def test_a_stopped_check_leaves_its_report_and_no_process(tmp_path):
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.gpu.check", "--out", tmp_path, "--device", "cpu", "--sizes", "mini"],
        cwd=children.ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.time() + PATIENCE_S
        while time.time() < deadline and "versions" not in _text(tmp_path / "report.md"):
            time.sleep(0.05)
    finally:
        running.send_signal(signal.SIGTERM)
        code = running.wait(timeout=PATIENCE_S)
    assert code == 143
    report = json.loads((tmp_path / "report.json").read_text())
    assert not report["finished"] and report["lines"][0]["name"] == "versions"
    assert "stopped before its end" in _text(tmp_path / "report.md")


def test_ctrl_c_is_one_line_that_says_where_the_report_is(tmp_path, capsys, monkeypatch):
    def interrupted(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "check", interrupted)
    assert check.main(["--out", str(tmp_path)]) == 130
    said = capsys.readouterr().err
    assert said == f"error: interrupted; {tmp_path / 'report.md'} has what was measured until then\n"


def _text(path):
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(
    ("fps", "status", "device", "code"),
    [
        (3.0, "ok", "cuda", 0),
        (2.0, "ok", "cuda", 1),
        (2.0, "ok", "cpu", 0),
        (3.0, "missed", "cuda", 1),
        (3.0, "failed", "cuda", 1),
        (3.0, "not run", "cuda", 0),
    ],
)
def test_the_exit_code_is_0_where_all_that_ran_kept_its_limit(fps, status, device, code):
    assert check.exit_code([*clips("full", fps), line("s", "n", status=status)], device) == code
