"""A build that is stopped, by whatever signal and at whatever moment, goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from engines.bundle import Bundle
from export.build_engines import main
from tests.hp_trt.command_line import Ended, as_typed, refused

Spawn = Callable[[Path], subprocess.Popen[str]]
Typed = Callable[..., Ended]


@pytest.fixture
def typed(monkeypatch, capfd) -> Typed:
    """The build command in this process."""
    return partial(as_typed, main, "build_engines", "--random-weights", patch=monkeypatch, capture=capfd)


def spawned(*command: str, processes: int = 1) -> Spawn:
    """Starts the build of a folder in a session of its own."""
    processes_word = f"--processes={processes}"
    return lambda folder: subprocess.Popen(
        [sys.executable, "-m", *command, processes_word, "--random-weights", "--bundle", str(folder), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _until(process: subprocess.Popen[str], *words: str) -> None:
    for line in process.stdout:
        if all(word in line for word in words):
            return


def goes_on_where_it_was(spawn: Spawn, folder: Path, typed: Typed, preset: str) -> None:
    # Appearance is the first graph, motion the second.
    for moment, number, code in (
        (("appearance", '"export"'), signal.SIGINT, 130),
        (("motion", '"export"'), signal.SIGKILL, -9),
        (("vae_encoder", '"export"'), signal.SIGTERM, 143),
    ):
        process = spawn(folder)
        _until(process, *moment)
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, (out, err)
        assert "Traceback" not in err and err.count("error: ") == (number != signal.SIGKILL)
        assert not (folder / "manifest.json").exists()
    first = spawn(folder)
    _until(first, "progress")
    refused(typed("--preset", preset, "--bundle", folder), f"is being built by process {first.pid}")
    out, err = first.communicate(timeout=600)
    assert first.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["built"] == 5, "appearance and motion were kept"
    assert len(Bundle.open(folder).manifest.graphs) == 7


def test_a_build_stopped_at_any_moment_goes_on_where_it_was(tiny_bundle, typed, tmp_path):
    spawn = spawned("tests.export.copying_exporter", str(tiny_bundle.path), "--preset", "tiny")
    goes_on_where_it_was(spawn, tmp_path / "bundle", typed, "tiny")


def test_two_processes_stop_together_and_make_what_one_makes(tiny_bundle, tmp_path):
    words = ("tests.export.copying_exporter", str(tiny_bundle.path), "--preset", "tiny")
    spawn, folder = spawned(*words, processes=2), tmp_path / "bundle"
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = spawn(folder)
        _until(process, '"export"')
        # The terminal sends Ctrl-C to both, kill -9 names the first alone.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        out, err = process.communicate(timeout=120)  # to the end of the last process that holds its output
        assert process.returncode == code, (out, err)
        assert "Traceback" not in err and err.count("error: ") == (number == signal.SIGINT), err
        assert not (folder / "manifest.json").exists()
    process = spawn(folder)
    out, err = process.communicate(timeout=600)
    assert (process.returncode, err) == (0, "")
    made = Bundle.open(folder).manifest.graphs
    assert list(made) == list(tiny_bundle.manifest.graphs)
    for name, record in tiny_bundle.manifest.graphs.items():
        # Errors are rounding's, which goes with the number of threads.
        others = {"built": {}, "parity": {}}
        assert replace(made[name], **others) == replace(record, **others)
        assert made[name].parity["max"] < 5e-5
    numbers = {event["graph"]: event["number"] for event in map(json.loads, out.splitlines()) if "graph" in event}
    assert list(made) == sorted(made, key=lambda name: numbers[name])
    assert sorted(numbers.values()) == [*range(1, 8)]


@pytest.mark.heavy
def test_a_build_stopped_while_it_really_exports_goes_on_too(typed, tmp_path):
    goes_on_where_it_was(spawned("export.build_engines", "--preset", "pocket"), tmp_path / "bundle", typed, "pocket")
