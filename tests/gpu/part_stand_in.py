"""Our own code around TensorRT, on this device, with engines that only copy: driver, streams, pools, graphs, threads.

Everything is held against numpy, bit for bit. With `--device cpu` the fake device stands in for the GPU as well.
"""

from __future__ import annotations

import gc
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines.cuda_buffers import CudaBuffers
from engines.cuda_driver import CudaDriver, Driver
from engines.trt_backend import TrtBackend
from hp_trt.live.session import LiveSession
from runtime.stages import Stages
from tests.engines.fake_cuda import FakeDriver, ManyThreads
from tests.fakes import FakeBackend, spec
from tests.gpu.lines import Found, Lines, Step
from tests.gpu.stand_in import copied, open_stand_in
from tests.hp_trt.hunyuanportrait.live_device import (
    WINDOWS,
    formulas,
    groups,
    picture,
    portrait_of,
    stream_of,
)
from tests.hp_trt.live.fake_stream import FakeOpener

PATIENCE_S = 60
LEFT_BYTES = 64 << 20  # of device memory that a library may keep for itself
MOST_ALLOCATED = 8  # pieces, once every shape has run: where queues are longer than they were, a stage has one more


class Counted:
    """A `Driver` that counts what is allocated."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.allocated = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("malloc", "host_alloc"):
            self.allocated += 1
        return getattr(self._driver, name)


class StandIn:
    """The lines. `driver`: of the device, or the fake."""

    def __init__(self, driver: Driver, *, side_px: int, frames: int, passes: int) -> None:
        self._counted = Counted(driver)
        self._driver, self._side_px, self._frames, self._passes = driver, side_px, frames, passes
        self._free_bytes = driver.memory_info()[0]

    def steps(self) -> list[Step]:
        return [
            Step("copies and gathers on four streams", self.buffers),
            Step("a graph, plain and as a CUDA graph", self.graph),
            Step("a live session in three threads", self.live),
            Step("a live session, decoding in an arena of its own", partial(self.live, overlap_decode=True)),
            Step("all memory is given back", self.given_back),
        ]

    def buffers(self) -> Found:
        """A frame's tensors go in, are gathered on two streams by turns, and come out."""
        array = np.random.default_rng(0).standard_normal((64, 3, self._side_px, 64)).astype(np.float32)
        with CudaBuffers(self._driver, trace=True) as device:
            source, order = device.upload(array), [*range(32, 64), *range(32)]
            for name in ("denoise", "decode") * 8:
                with device.stream(name):
                    out = device.empty(array.shape, "float32")
                    device.take(source, order, out)
                    source = out
            found = device.download(source)
            spans = device.spans()
        same = bool((found == array).all())
        copies = [span.seconds for span in spans if span.name in ("upload", "download")]
        return Found(
            text=f"16 gathers of {array.nbytes / 1e6:.3g} MB, two copies of {sum(copies) / 2 * 1e3:.3g} ms",
            missed="" if same else "the numbers are not those that went in",
        )

    def graph(self) -> Found:
        """Two shapes, five runs each, with other numbers each time."""
        promise = spec("copies", {"x": ("rows", 257), "a": (3,)}, {"y": ("rows", 257)}, most=64, repeated=True)
        wrong = 0
        with self._open() as (backend, plan, folder):
            captured = backend.load(promise, plan(promise, folder))
            plain = backend.load(replace(promise, repeated=False), plan(promise, folder))
            for number, rows in enumerate((3, 64) * 5):
                draw = np.random.default_rng(number)
                given = {n: draw.standard_normal(s).astype("f4") for n, s in {"x": (rows, 257), "a": (3,)}.items()}
                expected = copied(promise, **given)["y"]
                for session in (captured, plain):
                    made = session.run({name: backend.upload(array) for name, array in given.items()})
                    wrong += not np.array_equal(backend.download(made["y"]), expected)
            refused = captured.uncaptured
        return Found(
            text=f"20 runs, {wrong} wrong; " + (f"not captured: {refused}" if refused else "captured at two shapes"),
            missed="it was not captured" if refused else ("its numbers are wrong" if wrong else ""),
        )

    def live(self, *, overlap_decode: bool = False) -> Found:
        """Frames pushed as fast as they are taken, at the size of real ones, against the loop without threads."""
        levels = [20 + i % 200 for i in range(self._frames)]
        expected = self._plain(levels)
        with self._open(overlap_decode=overlap_decode) as (backend, plan, folder):
            sessions = {
                role: backend.load(promise, plan(promise, folder))
                for role, (promise, _) in formulas(self._side_px).items()
            }
            portrait = portrait_of(backend, self._side_px)
            stream = stream_of(backend, sessions, portrait, self._side_px)
            made, seconds, allocated = self._animated(stream, portrait, levels)
            held, notes = backend.pool.held_bytes, backend.notes
        wrong = sum(not np.array_equal(a, b) for a, b in zip(made, expected, strict=True))
        missed = [f"{wrong} frames are wrong"] * bool(wrong) + [*notes]
        missed += [f"needs at most {MOST_ALLOCATED} allocations"] * (allocated > MOST_ALLOCATED)
        return Found(
            text=f"{len(made)} frames of {self._side_px} px, {wrong} wrong, {len(made) / seconds:.4g} frames/s, "
            f"{held / 1e6:.4g} MB held, {allocated} allocations once every shape had run",
            facts={"frames_per_s": len(made) / seconds, "held_bytes": held, "allocated": allocated},
            missed="; ".join(missed),
        )

    def given_back(self) -> Found:
        gc.collect()
        missing = self._free_bytes - self._driver.memory_info()[0]
        return Found(
            text=f"{missing} bytes fewer are free than at the start",
            missed="" if missing <= LEFT_BYTES else f"needs at most {LEFT_BYTES}",
        )

    @contextmanager
    def _open(self, **options: Any) -> Iterator[tuple[TrtBackend, Any, Path]]:
        with tempfile.TemporaryDirectory() as folder:
            backend, plan = open_stand_in(self._counted, passes=self._passes, **options)
            with backend:
                yield backend, plan, Path(folder)

    def _plain(self, levels: list[int]) -> list[np.ndarray]:
        backend = FakeBackend()
        sessions = {
            role: backend.session(promise, partial(copied, promise))
            for role, (promise, _) in formulas(self._side_px).items()
        }
        stream = stream_of(backend, sessions, portrait_of(backend, self._side_px), self._side_px)  # type: ignore[arg-type]
        made: list[np.ndarray] = []
        for group in groups(levels):
            seen = [stream.see(picture(level), 0) for level in group]
            made += stream.frames(stream.begin(stream.denoise(stream.encode(seen))))
        return made

    def _animated(self, stream: Any, portrait: Any, levels: list[int]) -> tuple[list[np.ndarray], float, int]:
        """The frames, the seconds that all of them take as the later ones did, and the allocations meanwhile."""
        session = LiveSession(
            stream,
            portrait,
            opener=FakeOpener(),
            policy="block",
            queue_in=WINDOWS.size,
            queue_out=2 * WINDOWS.size,
            stages=Stages(),
        )

        def push() -> None:
            for number, level in enumerate(levels):
                session.push(picture(level), Fraction(number, 25))
            session.close()

        made: list[np.ndarray] = []
        before, start_s = 0, time.perf_counter()
        with session:
            pushing = threading.Thread(target=push)
            pushing.start()
            while (frame := session.pull(PATIENCE_S)) is not None:
                made.append(frame.crop)
                if len(made) == 3 * WINDOWS.size:  # every shape has run, and was captured
                    before, start_s = self._counted.allocated, time.perf_counter()
            pushing.join()
        seconds = (time.perf_counter() - start_s) * len(made) / (len(made) - 3 * WINDOWS.size)
        return made, seconds, self._counted.allocated - before


def tell_stand_in(lines: Lines, device: str) -> None:
    if device == "cuda":
        part = StandIn(CudaDriver(), side_px=512, frames=6 + 7 * 40, passes=4)
    else:
        driver: Any = ManyThreads(FakeDriver(total_bytes=2 << 30))
        part = StandIn(driver, side_px=64, frames=6 + 7 * 8, passes=1)
    lines.run_all("stand-in", part.steps())
