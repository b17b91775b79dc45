"""OpenVINO behind the protocol, on graphs of a few nodes."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper

from engines.errors import BundleError, EngineMismatch, InputError
from engines.onnx_backend import OnnxSession
from engines.openvino_backend import OpenVinoBackend
from tests.engines.test_onnx_backend import ENDS, TWO, TWO_NODES, save
from tests.fakes import spec

MATRIX = spec("matrix", {"x": ("rows", 64), "by": (1,)}, {"y": ("rows", 64)}, most=9)
WEIGHTS = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
BY = np.array([2], np.float32)


@pytest.fixture(scope="module")
def backend() -> OpenVinoBackend:
    return OpenVinoBackend(threads=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory, backend) -> tuple[Path, Path]:
    """y = (x by) W, W from external data: the graph, and its plan."""
    folder = tmp_path_factory.mktemp("openvino")
    w = onnx.numpy_helper.from_array(WEIGHTS, "w")
    nodes = [helper.make_node("Mul", ["x", "by"], ["xb"]), helper.make_node("MatMul", ["xb", "w"], ["y"])]
    graph, plan = save(folder / "matrix.onnx", MATRIX, nodes, w), folder / "matrix.plan"
    backend.compile(graph, plan)
    return graph, plan


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 64)).astype(np.float32)


def compiled_two(backend: OpenVinoBackend, folder: Path) -> Path:
    """whole = x clipped to 0..255, pixels = whole truncated."""
    plan = folder / "two.plan"
    backend.compile(save(folder / "two.onnx", TWO, TWO_NODES, *ENDS), plan)
    return plan


def test_a_plan_computes_its_graph_at_any_size_in_any_order(backend, files):
    session = backend.load(MATRIX, files[1])
    for count in (1, 5, 9, 1, 2):
        x = rows(count, seed=count)
        made = session.run({"x": x, "by": BY})["y"]
        # Sums of 64 products in float32, in another order: 64 roundings of 6e-8 of values about 16.
        np.testing.assert_allclose(made, 2 * x.astype(np.float64) @ WEIGHTS, atol=1e-4)


def test_the_same_threads_give_the_same_bits_in_every_session(backend, files):
    x = rows(9)
    first, second = (backend.load(MATRIX, files[1]).run({"x": x, "by": BY})["y"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_two_calls_at_one_time_have_the_bits_of_one_after_the_other(backend, files):
    session, many = backend.load(MATRIX, files[1], calls=2), [rows(9, seed) for seed in range(16)]
    alone = [session.run({"x": x, "by": BY})["y"] for x in many]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda x: session.run({"x": x, "by": BY})["y"], many))
    np.testing.assert_array_equal(made, alone)


def test_calls_with_a_dimension_of_one_have_the_plan_to_themselves(backend, files):
    """OpenVINO 2026.4 gave noise for 25 frames to a plan whose first call had one."""
    session = backend.load(MATRIX, files[1])
    for count in (1, 3, 1, 9):
        session.run({"x": rows(count), "by": BY})
    assert {ones for ones, _ in session._requests} == {frozenset({"rows"}), frozenset()}


def test_outputs_are_written_where_they_were_asked_for_and_inputs_may_be_read_only(backend, files):
    session, whole, x = backend.load(MATRIX, files[1]), backend.zeros((6, 64), "float32"), rows(2)
    x.flags.writeable = False
    part = backend.view(whole, 2, 4)
    assert session.run({"x": x, "by": BY}, {"y": part})["y"] is part
    assert whole[2:4].any() and not whole[:2].any() and not whole[4:].any()


def test_what_is_not_wanted_is_not_written_even_where_it_once_was(backend, tmp_path):
    """OpenVINO goes on writing where it was told to once."""
    session = backend.load(TWO, compiled_two(backend, tmp_path))
    x = rows(2)
    kept = session.run({"x": x})["whole"]
    before = kept.copy()
    for count in (1, 2, 3):
        made = session.run({"x": 2 * rows(count)}, {"pixels": backend.empty((count, 64), "uint8")})
        assert set(made) == {"pixels"}
        np.testing.assert_array_equal(made["pixels"], (2 * rows(count)).clip(0, 255).astype(np.uint8))
    np.testing.assert_array_equal(kept, before)
    np.testing.assert_array_equal(session.run({"x": x})["whole"], before)


def test_bytes_that_were_checked_are_opened_in_the_place_of_the_file(backend, files, tmp_path):
    backend.prepare(tmp_path / "gone.plan", memoryview(bytearray(files[1].read_bytes())))
    session = backend.load(MATRIX, tmp_path / "gone.plan")
    assert session.run({"x": rows(1), "by": BY})["y"].shape == (1, 64)


def test_products_are_in_bf16_only_where_that_was_asked_for(backend, files):
    if not backend.has_bf16:
        pytest.skip("this CPU has no bf16")
    x, truth = rows(9), 2 * rows(9).astype(np.float64) @ WEIGHTS
    full, half = (backend.load(MATRIX, files[1], bf16=on).run({"x": x, "by": BY})["y"] for on in (False, True))
    assert np.abs(full - truth).max() < 1e-4
    # bf16 keeps 8 bits: each factor is off by up to 2^-9 of itself, a sum of 64 of them by far more than float32's.
    assert 1e-3 < np.sqrt(np.mean((half - truth) ** 2)) / np.std(truth) < 2e-2


def test_a_graph_that_is_no_plan_is_opened_by_onnx_runtime(backend, files):
    session = backend.load(MATRIX, files[0])
    assert isinstance(session, OnnxSession)
    np.testing.assert_allclose(session.run({"x": rows(3), "by": BY})["y"], 2 * rows(3) @ WEIGHTS, atol=1e-4)


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"", bytes.swapcase])
def test_a_plan_that_does_not_open_says_how_to_build_it_again(backend, files, tmp_path, damage):
    (tmp_path / "x.plan").write_bytes(damage(files[1].read_bytes()))
    with pytest.raises(EngineMismatch, match=r"x\.plan does not open in OpenVINO 20.*--family openvino"):
        backend.load(MATRIX, tmp_path / "x.plan")


def test_a_plan_of_another_graph_is_refused(backend, files):
    other = spec("matrix", {"x": ("rows", 64), "a": (1,)}, {"y": ("rows", 64)}, most=9)
    with pytest.raises(BundleError, match=r"has the inputs .*'by'.*, its manifest promises .*'a'"):
        backend.load(other, files[1])


def test_a_graph_that_openvino_cannot_compile_says_so(backend, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(EngineMismatch, match=r"does not compile .*x\.onnx"):
        backend.compile(tmp_path / "x.onnx", tmp_path / "x.plan")
    assert not (tmp_path / "x.plan").exists()


def test_without_openvino_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("engines.families.is_installed", lambda family: False)
    with pytest.raises(EngineMismatch, match=r"openvino is not installed; pip install '\.\[openvino\]'"):
        OpenVinoBackend()


def test_an_older_openvino_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(__version__="2024.6.0-17404", __spec__=object()))
    with pytest.raises(EngineMismatch, match=r"openvino 2024\.6\.0-17404 is installed, .* knows 2026\.4; pip install"):
        OpenVinoBackend()


@pytest.mark.parametrize(("threads", "beside"), [(1, False), (3, False), (4, True)])
def test_threads_are_counted_and_shared_as_with_onnx_runtime(threads, beside):
    assert OpenVinoBackend(threads=threads).concurrent == beside
    with pytest.raises(InputError, match="threads must be at least 1"):
        OpenVinoBackend(threads=0)
