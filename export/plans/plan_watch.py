"""What a builder says while it works: its log, its progress, its memory; and how Ctrl-C reaches it.

TensorRT calls its logger and its progress monitor from C++, where a Python exception has no way out. So the work runs
in a thread of its own while ours waits for it, samples the memory, and can be interrupted: the monitor then tells the
builder to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from hp_trt.measure.bench.machine import resident_bytes

T = TypeVar("T")
OnProgress = Callable[[str, int, int], None]
_SAMPLE_S = 0.05
_GRACE_S = 5.0
_LOUD = 2  # ILogger.Severity: 0 internal error, 1 error, 2 warning


def make_logger(trt: ModuleType, log: Callable[[str], None] | None = None):
    """A `trt.ILogger` that keeps warnings and errors, each as one line, in `warnings` and `errors`."""

    class Lines(trt.ILogger):  # type: ignore[name-defined]  # a module that is a value has no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.warnings: list[str] = []

        def log(self, severity, message: str) -> None:
            if int(severity) > _LOUD:
                return
            line = " ".join(message.split())
            (self.errors if int(severity) < _LOUD else self.warnings).append(line)
            if log is not None:
                log(line)

    return Lines()


def make_monitor(trt: ModuleType, on_progress: OnProgress | None):
    """A `trt.IProgressMonitor`: tells `on_progress(phase, done, of)`, and ends the build once `stop` is set.

    An exception of `on_progress` ends the build too and is kept in `error`.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined]  # as above
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stop = threading.Event()
            self.error: BaseException | None = None
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            self._tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._tell(phase_name, step + 1)
            return not self.stop.is_set()

        def phase_finish(self, phase_name: str) -> None:
            self._tell(phase_name, self._steps.get(phase_name, 0))

        def _tell(self, phase: str, done: int) -> None:
            if on_progress is None or self.stop.is_set():
                return
            try:
                on_progress(phase, done, self._steps.get(phase, 0))
            except BaseException as error:
                self.error = error
                self.stop.set()

    return Monitor()


def run_watched(work: Callable[[], T], stop: threading.Event) -> tuple[T, int]:
    """`work()` in a thread, and the most that this process's resident memory rose meanwhile, in bytes.

    Sampled 20 times a second. On Ctrl-C `stop` is set and KeyboardInterrupt goes on as soon as the work has ended, or
    after some seconds: compiling is one step of up to a minute, in which a builder hears nothing. The thread then ends
    with the process.
    """
    done: list[T] = []
    failed: list[BaseException] = []
    finished = threading.Event()  # not join(): interrupted, Python 3.11's takes a running thread for an ended one

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)
        finally:
            finished.set()

    before = peak = resident_bytes()
    threading.Thread(target=run, name="build", daemon=True).start()
    try:
        while not finished.wait(_SAMPLE_S):
            peak = max(peak, resident_bytes())
    except BaseException:
        stop.set()
        finished.wait(_GRACE_S)
        raise
    if failed:
        raise failed[0]
    return done[0], peak - before


def use_device(device_id: int) -> None:
    """Choose the GPU of this thread."""
    from cuda.bindings import runtime as cuda

    cuda.cudaSetDevice(device_id)
