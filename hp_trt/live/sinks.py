"""Where animated frames go: a file, standard output, a stream, a window, nowhere.

A sink is planned before the long work, which refuses what cannot be, opened when the picture's size is known, and
closed however the run ends: what came until then is then complete and playable. All by one thread, which for
windows is the main one.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.errors import OutputError
from hp_trt.live.file_sink import FileSink
from hp_trt.live.pipes import PipeWriter
from hp_trt.live.sound import WaitingSound
from hp_trt.live.sources import is_url
from hp_trt.live.stream_sinks import MpegtsPipe, UrlSink, Y4mPipe
from hp_trt.video_writer import SUFFIXES, check_target

STDOUT, NOWHERE, WINDOW = "-", "null:", "window"
_KINDS = "a file, - for standard output, a URL such as udp://127.0.0.1:5000, window, or null:"
_PIPE_FORMATS = ("mpegts", "y4m")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a sink has to know when it is opened."""

    width: int
    height: int
    rate: Fraction  # pictures per second, as far as the source knows
    sound: Any = None  # PyAV's stream; its packets wait in `waiting`
    waiting: WaitingSound | None = None


class Sink(Protocol):
    """`write` raises OutputError, or BrokenPipeError when the reader of standard output went away."""

    name: str
    hears: bool  # whether it has use for sound
    notes: list[str]

    def open(self, shape: Shape) -> None: ...

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        """(H, W, 3) uint8 RGB, at `time_s` on the source's clock, which increases."""

    def watched(self) -> bool:
        """Called often. False: whoever looked has closed it."""

    def close(self) -> None:
        """Complete it. Never opened, opened without a frame, closed already: nothing happens, and nothing is left."""


def plan_sink(
    out: str, *, container_format: str | None, timeout_s: float, stop: threading.Event, stdout_fd: int = 1
) -> Sink:
    """The sink that `out` names: see `_KINDS`. Raises OutputError, before anything is made, for what cannot be written.

    `container_format`: of standard output mpegts or y4m, of a URL any that FFmpeg knows; None: the usual one.
    """
    if out == STDOUT:
        kind = container_format or "mpegts"
        if kind not in _PIPE_FORMATS:
            raise OutputError(f"standard output is written as {' or '.join(_PIPE_FORMATS)}, not as {kind}; choose one")
        if os.isatty(stdout_fd):
            raise OutputError("standard output is a terminal, which shows no video; pipe it: ... --out - | ffplay -")
        writer = PipeWriter(stdout_fd, stop=stop)
        return Y4mPipe(writer) if kind == "y4m" else MpegtsPipe(writer)
    if is_url(out):
        return UrlSink(out, container_format=container_format, timeout_s=timeout_s)
    if container_format is not None:
        raise OutputError(f"--format is for standard output and URLs, {out} is neither; leave it out")
    if out == NOWHERE:
        return NullSink()
    if out == WINDOW:
        from hp_trt.live.window import Window

        return Window()
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{out}: a file is written as {', '.join(SUFFIXES)}; --out takes {_KINDS}")
    check_target(path)
    return FileSink(path)


class NullSink:
    """Takes everything and keeps nothing: for benchmarks."""

    name, hears = "nowhere", False

    def __init__(self) -> None:
        self.notes: list[str] = []

    def open(self, shape: Shape) -> None:
        return

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        return

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        return
