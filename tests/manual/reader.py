"""A reader who types a page's blocks: a folder with their own files, `hp-trt` and `python` on the path."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hp_trt import shipped
from hp_trt.sample import write_sample, write_speech_sample
from tests.manual.blocks import ROOT, Block

FRAMES = 8  # of the reader's video: a window of live mode
SPEECH_FRAMES = 12
SOON_S = 180  # a service that says nothing by then does not begin
AROUND = "from tests.manual.around import *\n"


def reader_files(folder: Path) -> None:
    """me.png, talk.mp4, speech.wav, and bundles where the pages have theirs."""
    with tempfile.TemporaryDirectory() as drawn:
        portrait, driving = write_sample(Path(drawn), frames=FRAMES, seed=7)
        shutil.copy(portrait, folder / "me.png")
        shutil.copy(driving, folder / "talk.mp4")
    with tempfile.TemporaryDirectory() as drawn:
        write_speech_sample(Path(drawn), frames=SPEECH_FRAMES, seed=7)
        shutil.copy(Path(drawn) / "speech.wav", folder)
    shutil.copytree(shipped.POCKET.parent, folder / "hp")  # whoever writes into a bundle writes into this one


class Reader:
    """Types blocks in `folder`, which has the files of `reader_files`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._env = activated(folder / ".bin") | {
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / ".state"),
            "HP_TRT_SERVE_PORT": str(self.port),
        }

    def type(self, block: Block) -> str:
        """Run a block; what is wrong with it, or "" where nothing is."""
        ran = subprocess.run(self._words(block), cwd=self.folder, env=self._env, capture_output=True, text=True)
        return f"{block.place} ended with {ran.returncode}: {ran.stdout}{ran.stderr}" if ran.returncode else ""

    @contextmanager
    def serving(self, block: Block) -> Iterator[None]:
        """Run a block that serves, beside what is in the `with`. Raises AssertionError where it does not do so."""
        log = self.folder / ".served"
        with (
            log.open("wb") as file,
            subprocess.Popen(
                self._words(block), cwd=self.folder, env=self._env, stdout=file, stderr=file, start_new_session=True
            ) as process,
        ):
            try:
                address = self._here(block.words)
                wait_until(lambda: answers(address) or process.poll() is not None)
                assert process.poll() is None and answers(address), f"{block.place} does not serve: {log.read_text()}"
                yield
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)
                status = process.wait(SOON_S)
        assert status == 0, f"{block.place} ended with {status}: {log.read_text()}"

    def _words(self, block: Block) -> list[str]:
        text = self._here(block.text)
        if block.language == "python":
            return [sys.executable, "-c", AROUND + text]
        if block.kind == "serves":  # the shell becomes the service, and hears the signal itself
            *before, last = text.strip().splitlines()
            text = "\n".join([*before, f"exec {last}"])
        return ["bash", "-euo", "pipefail", "-c", text]

    def _here(self, text: str) -> str:
        """Text with this reader's port in place of the service's own, which somebody else may have."""
        return text.replace("127.0.0.1:7860", f"127.0.0.1:{self.port}")


def activated(folder: Path) -> dict[str, str]:
    """The environment of a shell that finds this checkout's `hp-trt`, and `python`, in `folder`, which is made."""
    folder.mkdir()
    for name, words in {"python": [], "hp-trt": ["-m", "hp_trt"]}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, *words])} "$@"\n')
        (folder / name).chmod(0o755)
    own = {name: value for name, value in os.environ.items() if not name.startswith("HP_TRT_")}
    return own | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:  # refused, broken off, too late, or another status than 2xx
        return False


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON_S
    while not done() and time.monotonic() < end:
        time.sleep(0.1)
