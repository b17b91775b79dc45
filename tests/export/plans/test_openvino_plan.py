"""What becomes of a graph for a CPU: compiled, timed against ONNX Runtime, kept only where it is used."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from engines.backend import Session
from engines.engine_choice import ENGINES
from engines.errors import ParityError
from engines.manifest import GraphRecord
from engines.openvino_backend import OpenVinoBackend
from export.plans import openvino_plan
from export.plans.engine_parity import Run
from export.plans.openvino_plan import any_inputs, build_openvino_plan, by_turns, keep_reshapes
from tests.engines.bundles import manifest_of
from tests.engines.test_onnx_backend import save
from tests.fakes import spec

SQUARE = spec("square", {"x": ("rows", 4)}, {"y": ("rows", 4)}, most=5)
RECORD = GraphRecord(name="square", key="ab" * 32, spec=SQUARE, precision="fp32", parity={"max": 1e-6})
PARITY = {"max": 1e-5, "rms": 1e-6}


@pytest.fixture
def onnx_file(tmp_path):
    w = onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Mul", ["xw", "x"], ["y"])]
    return save(tmp_path / "square.onnx", SQUARE, nodes, w)


@pytest.fixture
def build(onnx_file, tmp_path, monkeypatch):
    """Build a plan on a machine where each engine takes so long."""

    def built(*, compare: bool = False, **ms: float):
        times = {name: ms.get(name.replace("-", "_"), 5.0) for name in ENGINES}
        monkeypatch.setattr(openvino_plan, "by_turns", lambda spec, sessions, sizes: {n: times[n] for n in sessions})
        made = build_openvino_plan(
            manifest_of(), RECORD, onnx=onnx_file, out=tmp_path / "square.plan", reference=None, compare=compare
        )
        return made, (tmp_path / "square.plan").exists()

    return built


def test_the_plan_stays_where_openvino_is_faster_and_goes_where_it_is_not(build):
    made, kept = build(onnxruntime=2, openvino=1)
    assert (made.choice.exported, kept) == ("openvino", True)
    made, kept = build(onnxruntime=1)
    assert (made.choice.exported, kept) == ("onnxruntime", False)
    assert made.choice.sizes == {"rows": SQUARE.ranges["rows"].opt}


def test_a_graph_that_does_not_compile_is_run_as_it_is_and_the_choice_says_why(build, onnx_file):
    onnx_file.write_bytes(b"no graph")
    made, kept = build()
    assert (made.choice.exported, made.parity, kept) == ("onnxruntime", RECORD.parity, False)
    assert "does not compile" in made.choice.why_not


def test_an_engine_that_is_wrong_is_refused_and_one_that_is_wrong_in_bf16_alone_has_no_bf16(build, monkeypatch):
    wrong: set[str] = {"bf16"}

    def compare(manifest, record, backend, session, runner, onnx, reference):
        if runner in wrong:
            raise ParityError(f"the {runner} engine disagrees")
        return PARITY

    monkeypatch.setattr(openvino_plan, "_compare", compare)
    made, _ = build(compare=True, openvino=1)
    assert made.parity == PARITY
    assert made.choice.bf16 is None
    wrong.add("openvino")
    with pytest.raises(ParityError, match="the openvino engine disagrees"):
        build(compare=True)


def test_every_session_is_closed_whatever_becomes_of_the_plan(build, monkeypatch):
    opened: list[Session] = []
    load = OpenVinoBackend.load

    def noted(*arguments, **how):
        opened.append(load(*arguments, **how))
        return opened[-1]

    def wrong(*arguments):
        raise ParityError("the engine disagrees")

    monkeypatch.setattr(OpenVinoBackend, "load", noted)
    build()
    monkeypatch.setattr(openvino_plan, "_compare", wrong)
    with pytest.raises(ParityError):
        build(compare=True)
    assert len(opened) >= 4  # with bf16, where this CPU has it, six
    for session in opened:
        with pytest.raises(AssertionError, match="is closed"):
            session.run({"x": np.ones((1, 4), np.float32)})


def test_a_group_norm_over_frames_that_are_counted_at_run_time_compiles(tmp_path):
    """Reshape, Transpose, Reshape: a pass of OpenVINO ends with "Cannot get length of dynamic dimension" at these."""
    promise = spec("norm", {"x": ("rows", 8, 2, 2)}, {"y": ("rows", 8, 2, 2)}, most=9)
    shapes = {"frames": [1, -1, 8, 4], "groups": [1, 4, -1], "back": [1, 8, -1, 4], "cells": [-1, 8, 2, 2]}
    constants = [onnx.numpy_helper.from_array(np.array(shape), name) for name, shape in shapes.items()]
    for name, fill in (("scale", 1), ("bias", 0)):
        constants.append(onnx.numpy_helper.from_array(np.full(4, fill, np.float32), name))
    nodes = [
        helper.make_node("Reshape", ["x", "frames"], ["of_frames"]),
        helper.make_node("Transpose", ["of_frames"], ["of_channels"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["of_channels", "groups"], ["grouped"]),
        helper.make_node("InstanceNormalization", ["grouped", "scale", "bias"], ["normed"]),
        helper.make_node("Reshape", ["normed", "back"], ["channels"]),
        helper.make_node("Transpose", ["channels"], ["moved"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["moved", "cells"], ["y"]),
    ]
    backend, file = OpenVinoBackend(threads=1), save(tmp_path / "norm.onnx", promise, nodes, *constants)
    backend.compile(file, tmp_path / "norm.plan", keep_reshapes)
    session = backend.load(promise, tmp_path / "norm.plan")
    for count in (3, 1, 9):
        x = np.random.default_rng(count).standard_normal((count, 8, 2, 2)).astype(np.float32)
        groups = x.reshape(count, 4, 2, 2, 2).transpose(1, 0, 2, 3, 4).reshape(4, -1).astype(np.float64)
        normed = (groups - groups.mean(1, keepdims=True)) / np.sqrt(groups.var(1, keepdims=True) + 1e-5)
        expected = normed.reshape(4, count, 2, 2, 2).transpose(1, 0, 2, 3, 4).reshape(x.shape)
        np.testing.assert_allclose(session.run({"x": x})["y"], expected, atol=1e-5)  # values about 1 in float32


class Timed:
    """A session that says when it ran."""

    def __init__(self, name: str, ran: list[str]) -> None:
        self.name, self.ran = name, ran

    def run(self, inputs, outputs=None):
        assert inputs["x"].shape == (3, 4)
        self.ran.append(self.name)
        return {}


def test_engines_are_timed_by_turns_after_a_call_that_does_not_count():
    ran: list[str] = []
    found = by_turns(SQUARE, {name: Timed(name, ran) for name in ENGINES}, {"rows": 3})
    assert set(found) == set(ENGINES)
    assert len(ran) % len(ENGINES) == 0 and len(ran) >= 4 * len(ENGINES)
    assert all(tuple(ran[i : i + 3]) == ENGINES for i in range(0, len(ran), 3))


def test_whole_numbers_are_zeros_and_the_same_every_time():
    promise = spec("x", {"x": ("rows", 4), "id": (1,)}, {"y": ("rows", 4)}, most=5)
    first, second = any_inputs(promise, {"rows": 2}), any_inputs(promise, {"rows": 2})
    np.testing.assert_array_equal(first["x"], second["x"])
    assert first["x"].dtype == np.float32


def test_a_result_that_depends_on_the_sizes_before_it_is_noticed():
    class Forgetful:
        def __init__(self) -> None:
            self.calls = 0

        def run(self, inputs, outputs=None):
            self.calls += 1
            return {"y": inputs["x"] * self.calls}

    from engines.host_memory import HostMemory

    x = np.ones((2, 4), np.float32)
    made = [Run(runner="openvino", sizes={"rows": 2}, outputs={"y": x})]
    session = Forgetful()
    openvino_plan._compare_again(RECORD, HostMemory(), session, made, [{"x": x}])
    with pytest.raises(ParityError, match=r"gives other numbers at \{'rows': 2\} after calls of other sizes"):
        openvino_plan._compare_again(RECORD, HostMemory(), session, made, [{"x": x}])
