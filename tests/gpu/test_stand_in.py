"""The stand-in on the fake device: it finds nothing wrong with our code, and finds what is."""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import pytest

from engines import cuda_order
from engines.trt_session import TrtSession
from tests.engines.fake_cuda import FakeDriver, ManyThreads, Race
from tests.fakes import spec
from tests.gpu.examples import told
from tests.gpu.part_stand_in import StandIn, tell_stand_in
from tests.gpu.stand_in import copied, open_stand_in

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")


def small() -> tuple[StandIn, ManyThreads]:
    driver = ManyThreads(FakeDriver(total_bytes=2 << 30))
    return StandIn(driver, side_px=64, frames=6 + 7 * 4, passes=1), driver  # type: ignore[arg-type]


def test_every_line_of_the_part_keeps_its_limit_on_the_fake_device(lines):
    tell_stand_in(lines, "cpu")
    found = told(lines)
    assert [(line.name, line.text) for line in found if line.status != "ok"] == []
    assert len(found) == 5 and found[2].facts["frames_per_s"] > 0


def test_nothing_is_left_on_the_device():
    part, driver = small()
    for step in part.steps():
        assert not step.call().missed
    gc.collect()
    driver.require_clean()


def test_an_output_is_its_inputs_one_behind_the_other_each_repeated():
    promise = spec(
        "g", {"x": ("n",), "a": (2,), "k": (1,)}, {"y": (7,), "z": (2,)}, dtypes={"k": "int64", "z": "float16"}
    )
    x, a = np.arange(3, dtype="f4"), np.array([8, 9], "f4")
    made = copied(promise, x=x, a=a, k=np.array([1]))
    assert made["y"].tolist() == [0, 1, 2, 8, 9, 8, 9]
    assert made["z"].tolist() == [0, 0]  # nothing of its type goes in


def test_a_run_that_does_not_wait_for_its_inputs_is_found(monkeypatch, tmp_path):
    """By the fake device here; on a real one by the numbers, where it happens."""
    promise = spec("g", {"x": ("n",)}, {"y": ("n",)})
    backend, plan = open_stand_in(FakeDriver())
    session = backend.load(promise, plan(promise, tmp_path))
    given = {"x": backend.upload(np.zeros(9, "f4"))}
    monkeypatch.setattr(cuda_order.Stream, "after", lambda stream, mark: None)
    with pytest.raises(Race):
        session.run(given)


def test_runs_that_are_not_captured_and_wrong_numbers_miss_the_limit(monkeypatch):
    part, _ = small()

    def refuse(session, shape, stream):
        session.uncaptured = "the driver says no"

    monkeypatch.setattr(TrtSession, "_try_to_capture", refuse)
    found = part.graph()
    assert found.missed == "it was not captured"
    assert found.text == "20 runs, 0 wrong; not captured: the driver says no"
    monkeypatch.undo()
    monkeypatch.setattr("tests.gpu.part_stand_in.copied", lambda promise, x, a: {"y": x})
    found = part.graph()
    assert found.missed == "its numbers are wrong" and found.text == "20 runs, 20 wrong; captured at two shapes"


@pytest.mark.gpu
def test_every_line_of_the_part_keeps_its_limit_on_a_real_device(lines):
    tell_stand_in(lines, "cuda")
    assert [(line.name, line.text) for line in told(lines) if line.status != "ok"] == []


def test_the_part_loads_nothing_that_a_gpu_machine_may_lack():
    code = "import sys, tests.gpu.part_stand_in; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "typer", "rich", "av", "pytest", "diffusers", "tensorrt", "onnxruntime"} & set(loaded)
