"""The sink that a user names: a file, standard output, a stream, a display, a virtual camera, nowhere."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from engines.errors import OutputError
from engines.safe_output import check_place
from hp_trt.media.video_writer import SUFFIXES
from hp_trt.streams.file_sink import FileSink
from hp_trt.streams.pipes import PipeWriter
from hp_trt.streams.sink import NullSink, Sink
from hp_trt.streams.sources import is_url
from hp_trt.streams.stream_sinks import MpegtsPipe, UrlSink, Y4mPipe
from hp_trt.streams.virtual_camera import VirtualCamera, is_camera

STDOUT, NOWHERE, WINDOW = "-", "null:", "window"
_KINDS = "a file, - for standard output, a URL such as udp://127.0.0.1:5000, window, /dev/videoN, or null:"
_PIPE_FORMATS = ("mpegts", "y4m")


def is_shown(out: str) -> bool:
    """Whether somebody looks at what `out` names as it comes, so that pictures should come at the driver's pace."""
    return out == WINDOW or is_camera(out)


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
        from hp_trt.streams.display import Display

        return Display()
    path = Path(out)
    if is_camera(out):
        return VirtualCamera(path)
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{out}: a file is written as {', '.join(SUFFIXES)}; --out takes {_KINDS}")
    check_place(path)
    return FileSink(path)
