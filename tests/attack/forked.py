"""Commands in forked processes: thousands of cases without thousands of imports, each with its own end.

The process that forks has imported what the commands import and run none of it; it has one thread. A forked command has
a session, a folder and standard streams of its own, and its peak of memory is the system's figure for that process.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.attack.case import MOST_S, Case, Ended

_LIGHT = ("hp_trt.__main__", "hp_trt.api", "hp_trt.live.run", "cv2", "av", "onnxruntime", "PIL.Image", "rich.table")


def preload() -> None:
    """Import what the commands need, once."""
    for name in _LIGHT:
        importlib.import_module(name)


@dataclass
class Running:
    """A command that runs; what it prints comes through pipes, which no limit on files stops."""

    pid: int
    began_s: float
    streams: tuple[int, int]
    printed: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))

    def drain(self) -> None:
        for handle, pieces in zip(self.streams, self.printed, strict=True):
            with suppress(BlockingIOError):
                while piece := os.read(handle, 1 << 16):
                    pieces.append(piece)

    def texts(self) -> list[str]:
        self.drain()
        for handle in self.streams:
            os.close(handle)
        return [b"".join(pieces).decode(errors="backslashreplace") for pieces in self.printed]


def start(case: Case, folder: Path) -> Running:
    """Run the case's command in `folder`."""
    sys.stdout.flush()
    sys.stderr.flush()
    pipes = [os.pipe() for _ in range(2)]
    pid = os.fork()
    if pid:
        for read, write in pipes:
            os.close(write)
            os.set_blocking(read, False)
        return Running(pid, time.monotonic(), (pipes[0][0], pipes[1][0]))
    code = 70
    try:
        code = _command(case, folder, [write for _, write in pipes])
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _command(case: Case, folder: Path, pipes: list[int]) -> int:
    os.setsid()
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    given = os.memfd_create("stdin")
    os.write(given, case.stdin or b"")
    os.lseek(given, 0, os.SEEK_SET)
    for number, handle in enumerate((given, *pipes)):
        os.dup2(handle, number)
    os.closerange(3, 64)  # this process's own, and other commands' pipes
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv = [case.door, *case.words]
    if case.before is not None:
        case.before()
    if case.anew:
        command = (sys.executable, "-m", case.door, *case.words)
        os.execve(sys.executable, command, os.environ | case.environment)
    try:
        importlib.import_module(case.door).main()
        code: object = None
    except SystemExit as left:
        code = left.code
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    return code if isinstance(code, int) else int(code is not None)


def ended(running: Running) -> Ended | None:
    """How it ended; None while it runs. What takes too long is killed."""
    running.drain()
    pid, status, usage = os.wait4(running.pid, os.WNOHANG)
    seconds = time.monotonic() - running.began_s
    late = not pid and seconds > MOST_S
    if late:
        os.killpg(running.pid, signal.SIGKILL)
        _, status, usage = os.wait4(running.pid, 0)
    elif not pid:
        return None
    out, err = running.texts()
    return Ended(
        code=None if late else os.waitstatus_to_exitcode(status),
        signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) and not late else 0,
        out=out,
        err=err,
        seconds=seconds,
        peak_bytes=usage.ru_maxrss * 1024,
    )
