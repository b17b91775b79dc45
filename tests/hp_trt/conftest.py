from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from hp_trt.__main__ import main
from hp_trt.sample import write_sample
from tests.hp_trt.command_line import Ended


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> tuple[Path, Path]:
    """A drawn portrait.png and a driving.mp4 of 12 frames at 25 frames/s with sound. Read only."""
    return write_sample(tmp_path_factory.mktemp("sample"), frames=12)


@pytest.fixture
def hp_trt(monkeypatch, capfd):
    """Runs a command in this process, as the console script does."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["hp-trt", *map(str, words)])
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as ended:
            main()
        signal.signal(signal.SIGTERM, before)
        return Ended(ended.value.code, *capfd.readouterr())

    return run
