"""Backends over the fake device, and graphs of one formula."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.families import RTX, TENSORRT
from engines.trt_backend import TrtBackend
from engines.trt_session import TrtSession
from tests.engines.fake_cuda import FakeDriver
from tests.engines.fake_trt import FakePlan, fake_trt
from tests.fakes import spec

AXPY = spec("axpy", {"x": ("rows", 4), "a": (1,)}, {"y": ("rows", 4)}, most=8)


def axpy(x: np.ndarray, a: np.ndarray) -> dict[str, np.ndarray]:
    return {"y": a * x + 1}


def numbers(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, 4)).astype(np.float32)


class Case:
    """A driver, its module and a backend. `captured`: whether AXPY promises to be run over and over."""

    def __init__(
        self, folder: Path, *, rtx: bool = False, total_bytes: int = 1 << 30, captured: bool = False, **options: Any
    ) -> None:
        self.folder, self.captured = folder, captured
        self.driver = FakeDriver(total_bytes)
        self.trt = fake_trt(self.driver, rtx=rtx)
        self.backend = TrtBackend(RTX if rtx else TENSORRT, self.trt, self.driver, device="fake GPU", **options)

    def plan(self, plan: FakePlan) -> Path:
        return self.trt.write_plan(self.folder / f"{plan.spec.name}.plan", plan)

    def load(self, plan: FakePlan | None = None) -> TrtSession:
        plan = plan or FakePlan(spec=AXPY, formula=axpy)
        repeated = self.captured and plan.spec.name == AXPY.name
        return self.backend.load(replace(plan.spec, repeated=repeated), self.plan(plan))

    def run(self, session: TrtSession, rows: int, a: float = 2.0) -> None:
        """Once, and right."""
        backend = self.backend
        inputs = {"x": backend.upload(numbers(rows)), "a": backend.upload(np.array([a], np.float32))}
        found = backend.download(session.run(inputs)["y"])
        np.testing.assert_array_equal(found, axpy(numbers(rows), np.float32(a))["y"])


@contextmanager
def case(folder: Path, **options: Any) -> Iterator[Case]:
    """A case whose device must be clean in the end."""
    opened = Case(folder, **options)
    with opened.backend:
        yield opened
    gc.collect()
    opened.driver.require_clean()
