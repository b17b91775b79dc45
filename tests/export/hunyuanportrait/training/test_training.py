"""All of training, as the command runs it: stage after stage, killed and started again, to one file of weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from export.hunyuanportrait.presets import POCKET
from export.hunyuanportrait.training.training import Amounts, Training
from export.hunyuanportrait.weights import packed_weights
from export.train import main
from export.training.phase import Settings
from hp_trt.shipped import POCKET as POCKET_WEIGHTS
from tests.hp_trt.command_line import as_typed, refused

TRAIN = [sys.executable, "-m", "tests.export.hunyuanportrait.training.small_training", "--json", "--threads", "1"]
# Five steps reach every part of the denoiser's training: pictures, windows, and what the motion networks see.
SMALL = [
    "--clips=2",
    "--frames=8",
    "--drivers=2",
    "--linear-steps=1",
    "--autoencoder-steps=1",
    "--motion-steps=1",
    "--denoiser-steps=5",
]
SMALL += ["--made=2", "--decoder-steps=2", "--varied=0.5", "--pictures=0.5", "--rows=2"]


def killed(run: Path, reached: Callable[[subprocess.Popen], object]) -> None:
    """A training of `run` that is killed once `reached` returns."""
    process = subprocess.Popen([*TRAIN, "--run", str(run), *SMALL], stdout=subprocess.PIPE)
    reached(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def phase_ended(process: subprocess.Popen) -> None:
    """It has told of the last step of the motion networks, and is about to write them."""
    next(line for line in process.stdout if json.loads(line)["stage"] == "motion")


def after(seconds: float) -> Callable[[subprocess.Popen], object]:
    return lambda process: time.sleep(seconds)


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param((phase_ended,), id="once"),
        pytest.param(tuple(map(after, (4, 7, 10))), id="again and again", marks=pytest.mark.heavy),
    ],
)
def test_training_that_is_killed_goes_on_and_ends_with_whole_weights(tmp_path, moments):
    """Killed wherever it is then; what is there is read again, and nothing half written is left."""
    run = tmp_path / "run"
    for reached in moments:
        killed(run, reached)
    done = subprocess.run([*TRAIN, "--run", str(run), *SMALL], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["complete"] and Path(last["out"]) == run / "pocket.safetensors"
    packed = packed_weights(POCKET.architecture, run / "pocket.safetensors", preset="pocket")
    guider = POCKET.architecture.load("pose_guider", packed.state("pose_guider"))
    assert not guider(torch.zeros(1, 3, 64, 64)).any()  # the black picture it sees adds nothing
    left = [path.name for path in run.rglob("*") if path.is_file() and path.suffix not in {".npy", ".pt", ".csv"}]
    assert left == ["pocket.safetensors"]


def test_training_that_begins_with_given_weights_goes_on_from_them(tmp_path):
    sizes = {"clips": 1, "frames": 8, "driving_clips": 1, "autoencoder_steps": 1}
    settings = Settings(folder=tmp_path, device=torch.device("cpu"))
    training = Training(POCKET, Amounts(**sizes, begin=POCKET_WEIGHTS), settings)
    list(training.clips.draw_missing())
    assert training.autoencoder(lambda *_: None)
    shipped = packed_weights(POCKET.architecture, POCKET_WEIGHTS, preset="pocket").state("vae")
    made = training.run.end("autoencoder")["vae"]
    for key in ("encoder.conv_in.weight", "decoder.conv_out.weight"):  # scaling the latents leaves these
        assert torch.allclose(made[key], shipped[key].float(), atol=1e-3)  # one step of a rate that still rises


def runs(process: str) -> bool:
    try:
        status = Path("/proc", process, "status").read_text()
    except OSError:
        return False
    return "State:\tZ" not in status  # dead, but nobody has asked how it ended


def test_processes_that_draw_end_with_a_training_that_is_killed(tmp_path):
    process = subprocess.Popen(
        [*TRAIN, "--run", str(tmp_path), "--clips=64", "--drivers=1", "--workers=2"], stdout=subprocess.PIPE
    )
    for line in process.stdout:
        if json.loads(line).get("done", 0) > 0:
            break
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 30
    while any(map(runs, workers)) and time.monotonic() < until:
        time.sleep(0.1)
    assert len(workers) == 2
    assert not any(map(runs, workers))


@pytest.fixture
def train(monkeypatch, capfd):
    """Runs the command in this process."""
    return lambda *words: as_typed(main, "train", *words, patch=monkeypatch, capture=capfd)


def test_no_minutes_left_says_which_stage_goes_on(train, tmp_path):
    ended = train("--run", tmp_path, *SMALL, "--stage", "clips", "--stage", "linear", "--minutes", "0", "--json")
    assert ended.code == 0, ended.err
    last = json.loads(ended.out.splitlines()[-1])
    assert last["stage"] == "linear" and not last["complete"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stage", "denoise"], "there is no stage 'denoise'; there are clips, linear, autoencoder"),
        (["--device", "tpu0"], "the device 'tpu0' cannot be used"),
        (["--stage", "autoencoder"], "no clips are drawn"),
        (["--stage", "latents"], "the stage autoencoder is not complete"),
        (["--stage", "write"], "the stage motion is not complete"),
    ],
    ids=["unknown stage", "unknown device", "no clips", "latents before the autoencoder", "weights before training"],
)
def test_what_cannot_be_trained_is_one_clear_line(train, tmp_path, arguments, says):
    refused(train("--run", tmp_path / "run", *SMALL[:3], *arguments), says)


def test_a_run_folder_that_cannot_be_made_is_one_clear_line(train, tmp_path):
    (tmp_path / "file").touch()
    refused(train("--run", tmp_path / "file", *SMALL), str(tmp_path / "file"))
    assert not os.path.getsize(tmp_path / "file")
