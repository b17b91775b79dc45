from __future__ import annotations

import errno
import os
import threading
from fractions import Fraction

import pytest

from engines import safe_output
from engines.errors import OutputError
from hp_trt.streams.sink import Shape
from hp_trt.streams.sinks import plan_sink
from tests.hp_trt.clips import picture


def plan(out, **options):
    given = {"container_format": None, "timeout_s": 1.0, "stop": threading.Event()} | options
    return plan_sink(str(out), **given)


@pytest.mark.parametrize(
    ("out", "options", "says"),
    [
        ("o.gif", {}, "o.gif: a file is written as .mp4, .mov, .mkv; --out takes a file, - for standard output"),
        ("/no/such/o.mp4", {}, "/no/such is no folder"),
        ("o.mp4", {"container_format": "mpegts"}, "--format is for standard output and URLs, o.mp4 is neither"),
        ("-", {"container_format": "mp4"}, "standard output is written as mpegts or y4m, not as mp4"),
        ("rtsp://127.0.0.1/x", {}, "rtsp is read here, and not sent; send rtmp"),
        ("gopher://127.0.0.1/x", {}, "name the container: --format mpegts"),
        ("tcp://127.0.0.1:9", {"container_format": "avi2"}, "there is no container 'avi2'"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_made(tmp_path, monkeypatch, out, options, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError) as error:
        plan(out, **options)
    assert says in str(error.value) and not os.listdir(tmp_path)


def test_a_folder_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    def refused(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(safe_output, "try_place", refused)
    with pytest.raises(OutputError, match=r"could not be written: Read-only file system; .* write somewhere else"):
        plan(tmp_path / "o.mp4")


def test_a_terminal_shows_no_video():
    master, terminal = os.openpty()
    with pytest.raises(OutputError, match="standard output is a terminal"):
        plan("-", stdout_fd=terminal)
    os.close(master), os.close(terminal)


def test_nowhere_takes_everything():
    sink = plan("null:")
    sink.open(Shape(width=64, height=48, rate=Fraction(25)))
    for number in range(3):
        sink.write(picture(number), Fraction(number, 25))
    assert sink.watched() and not sink.hears
    sink.close()
