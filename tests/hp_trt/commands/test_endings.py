"""How a command ends that the disk, a signal or its reader stops: the real one, as a process."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hp_trt.command_line import Ended, empty, refused

COMMAND = (sys.executable, "-m", "hp_trt")


def _words(bundle: Path, sample: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    words = {"bundle": bundle, "portrait": sample[0], "driving": sample[1], "out": out}
    return [*COMMAND, "animate", *(f"--{k}={v}" for k, v in words.items()), *more]


@pytest.mark.parametrize("most_bytes", [0, 20_000], ids=["at once", "while writing"])
def test_a_full_disk_loses_nothing(small_bundle, sample, tmp_path, most_bytes):
    out = tmp_path / "o.mp4"
    out.write_bytes(b"old")

    def limited():  # what a limit on file size refuses is written like what a full disk refuses
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    # Without credentials: a local key is made when it is first needed, and would be what cannot be written.
    words = _words(small_bundle, sample, out, "--steps=1", "--no-credentials")
    ended = subprocess.run(words, capture_output=True, text=True, preexec_fn=limited)
    refused(Ended(ended.returncode, ended.stdout, ended.stderr), "could not be written", "free some space")
    assert out.read_bytes() == b"old" and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [
        ("motion", signal.SIGINT, 130),
        ("denoise", signal.SIGINT, 130),
        ("decode", signal.SIGINT, 130),
        ("denoise", signal.SIGTERM, 143),
    ],
    ids=["motion", "denoise", "decode", "kill"],
)
def test_ctrl_c_and_kill_leave_only_what_was_there(small_bundle, sample, tmp_path, stage, number, code):
    out = tmp_path / "o.mp4"
    out.write_bytes(b"old")
    command = _words(small_bundle, sample, out, "--json", "--steps=200", f"--crop-out={tmp_path / 'c.mp4'}")
    if stage == "decode":
        command.append("--steps=1")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stdout:
        if f'"stage": "{stage}"' in line:
            break
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert [line for line in err.splitlines() if line.startswith("error: ")] == err.splitlines()
    assert out.read_bytes() == b"old" and list(tmp_path.iterdir()) == [out]


def test_a_reader_that_goes_away_is_met_quietly(small_bundle, sample, tmp_path):
    process = subprocess.Popen(
        _words(small_bundle, sample, tmp_path / "o.mp4", "--json", "--steps=1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141  # 128 + SIGPIPE, as the shell expects of `| head`
    assert empty(tmp_path)
