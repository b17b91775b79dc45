"""Sessions on a device that fails on unordered access, on graphs that outlive what they use, on double captures."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from engines import trt_session
from engines.errors import InternalError
from tests.engines.fake_cuda import Misuse, Race
from tests.engines.fake_trt import FakePlan
from tests.engines.trt_cases import AXPY, axpy, case, numbers
from tests.fakes import spec

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")


def test_a_run_binds_by_name_and_computes(tmp_path):
    with case(tmp_path) as c:
        session = c.load()
        c.run(session, 3)
        c.run(session, 5)
        assert c.trt.made.contexts == 1
        assert c.driver.calls["graph_launch"] == 0


def test_outputs_are_written_where_asked(tmp_path):
    with case(tmp_path) as c:
        session, backend = c.load(), c.backend
        inputs = {"x": backend.upload(numbers(3)), "a": backend.upload(np.ones(1, np.float32))}
        whole = backend.zeros((5, 4), "float32")
        middle = backend.view(whole, 1, 4)
        assert session.run(inputs, {"y": middle})["y"] is middle
        found = backend.download(whole)
        np.testing.assert_array_equal(found[1:4], numbers(3) + 1)
        assert not found[[0, 4]].any()


@pytest.mark.parametrize("captured", [False, True])
def test_buffers_that_tensorrt_would_not_take_are_taken(tmp_path, captured):
    """Views begin anywhere; TensorRT wants multiples of 256 bytes, and the fake one insists."""
    with case(tmp_path, captured=captured) as c:
        session, backend = c.load(), c.backend
        numbers_of_steps = backend.upload(np.arange(4, dtype=np.float32))
        x, out = backend.upload(numbers(6)), backend.empty((6, 4), "float32")
        for step in range(4):
            inputs = {"x": backend.view(x, 1, 4), "a": backend.view(numbers_of_steps, step, step + 1)}
            session.run(inputs, {"y": backend.view(out, 2, 5)})
            np.testing.assert_array_equal(backend.download(out)[2:5], step * numbers(6)[1:4] + 1)


@pytest.mark.parametrize("captured", [False, True])
def test_outputs_that_nobody_wants_have_an_address_and_stay_on_the_device(tmp_path, captured):
    two = spec(
        "two",
        {"x": ("rows", 4)},
        {"whole": ("rows", 4), "pixels": ("rows", 4)},
        dtypes={"pixels": "uint8"},
        most=8,
        repeated=captured,
    )

    def formula(x):
        return {"whole": 2 * x, "pixels": x.astype(np.uint8)}

    with case(tmp_path) as c:
        session, backend = c.backend.load(two, c.plan(FakePlan(spec=two, formula=formula))), c.backend
        for step in range(4):
            x = np.full((3, 4), step + 0.5, np.float32)
            pixels = backend.empty((3, 4), "uint8")
            before = c.driver.calls["memcpy_async"]
            made = session.run({"x": backend.upload(x)}, {"pixels": pixels})
            assert made == {"pixels": pixels}
            np.testing.assert_array_equal(backend.download(pixels), np.full((3, 4), step))
            if captured:  # the upload, the input and what is wanted on the device, the download
                assert c.driver.calls["memcpy_async"] - before == 4
        found = session.run({"x": backend.upload(x)})
        np.testing.assert_array_equal(backend.download(found["whole"]), 2 * x)


def test_wrong_inputs_and_outputs_are_refused(tmp_path):
    with case(tmp_path) as c:
        session, backend = c.load(), c.backend
        good = {"x": backend.upload(numbers(3)), "a": backend.upload(np.ones(1, np.float32))}
        with pytest.raises(ValueError, match="axpy: missing a"):
            session.run({"x": good["x"]})
        with pytest.raises(ValueError, match=r"the buffer for y is \(4, 4\) float32, needs \(3, 4\) float32"):
            session.run(good, {"y": backend.empty((4, 4), "float32")})


def test_a_shape_is_run_once_then_captured_then_launched(tmp_path):
    with case(tmp_path, captured=True) as c:
        session = c.load()
        counts = []
        for a in range(5):
            c.run(session, 3, a)
            counts.append((c.driver.calls["capture_begin"], c.driver.calls["graph_launch"]))
        assert counts == [(0, 0), (1, 1), (1, 2), (1, 3), (1, 4)]
        for a in range(3):
            c.run(session, 5, a)  # another shape, another graph with a context of its own
        assert c.driver.calls["capture_begin"] == 2
        assert c.trt.made.contexts == 2
        c.run(session, 3)
        assert c.driver.calls["capture_begin"] == 2


def test_the_shapes_used_last_are_kept(tmp_path):
    with case(tmp_path, captured=True) as c:
        session = c.load()
        for rows in (1, 2, 3, 4):
            c.run(session, rows)
            c.run(session, rows)
        c.run(session, 1)
        c.run(session, 5)  # 2 goes
        captures, held = c.driver.calls["capture_begin"], c.backend.pool.held_bytes
        for rows in (1, 3, 4):
            c.run(session, rows)
            c.run(session, rows)
        assert c.driver.calls["capture_begin"] == captures
        for rows in (2, 2, 6, 6, 7, 7, 8, 8, 2, 2):
            c.run(session, rows)
        assert c.driver.calls["executable_destroy"] > 0
        assert c.backend.pool.held_bytes == held


def test_a_grown_arena_lets_go_of_graphs_that_knew_the_old_one(tmp_path):
    with case(tmp_path, captured=True) as c:
        session = c.load(FakePlan(spec=AXPY, formula=axpy, arena_bytes=100_000))
        for _ in range(3):
            c.run(session, 3)
        big = spec("big", {"x": (1,)}, {"y": (1,)})
        other = c.load(FakePlan(spec=big, formula=lambda x: {"y": x}, arena_bytes=1_000_000))
        other.run({"x": c.backend.upload(np.ones(1, np.float32))})
        for _ in range(3):
            c.run(session, 3)
        assert c.driver.calls["capture_begin"] == 2
        assert c.driver.used_bytes < 1_500_000  # the first arena is gone


def test_sessions_on_two_streams_take_turns_in_one_arena(tmp_path):
    """The fake engine scribbles over its activations and the device judges who did so when."""
    with case(tmp_path, captured=True) as c:
        plain = spec("plain", {"x": ("rows", 4)}, {"y": ("rows", 4)})
        one, two = c.load(), c.load(FakePlan(spec=plain, formula=lambda x: {"y": -x}))
        x, a = c.backend.upload(numbers(3)), c.backend.upload(np.ones(1, np.float32))
        pending = []
        for _ in range(4):
            pending.append(c.backend.fetch(one.run({"x": x, "a": a})["y"]))
            with c.backend.stream("decode"):
                pending.append(c.backend.fetch(two.run({"x": x})["y"]))
        for i, arrived in enumerate(pending):
            np.testing.assert_array_equal(arrived.wait(), -numbers(3) if i % 2 else numbers(3) + 1)


def test_without_a_mark_on_the_arena_that_would_be_a_race(tmp_path):
    with case(tmp_path) as c:
        plain = spec("plain", {"x": ("rows", 4)}, {"y": ("rows", 4)})
        one, two = c.load(), c.load(FakePlan(spec=plain, formula=lambda x: {"y": -x}))
        x, a = c.backend.upload(numbers(3)), c.backend.upload(np.ones(1, np.float32))
        kept = one.run({"x": x, "a": a})
        one._arena.memory.writer = None
        with c.backend.stream("decode"), pytest.raises(Race, match=r"plain .* and axpy at"):
            two.run({"x": x})
        c.backend.synchronize()
        assert kept


def test_a_second_arena_lets_decoding_run_beside_denoising(tmp_path):
    decoder = spec("pictures", {"x": ("rows", 4)}, {"y": ("rows", 4)}, lane="decode")
    waits = {}
    for overlap in (False, "from the start", "later"):
        with case(tmp_path, overlap_decode=overlap == "from the start") as c:
            one, two = c.load(), c.load(FakePlan(spec=decoder, formula=lambda x: {"y": -x}))
            if overlap == "later":
                c.backend.overlap_decode()
            x, a = c.backend.upload(numbers(3)), c.backend.upload(np.ones(1, np.float32))
            with c.backend.stream("decode"):
                decoded = two.run({"x": x})
            denoised = one.run({"x": x, "a": a})
            denoise, decode = (c.backend.streams[name].handle for name in ("denoise", "decode"))
            waits[overlap] = c.driver.waits_for(denoise, decode)
            np.testing.assert_array_equal(c.backend.download(decoded["y"]), -numbers(3))
            np.testing.assert_array_equal(c.backend.download(denoised["y"]), numbers(3) + 1)
    assert waits == {False: True, "from the start": False, "later": False}


def test_graphs_that_knew_the_shared_arena_are_made_again_when_the_arenas_part(tmp_path):
    decoder = spec("pictures", {"x": ("rows", 4)}, {"y": ("rows", 4)}, lane="decode", repeated=True)
    with case(tmp_path) as c:
        two = c.backend.load(decoder, c.plan(FakePlan(spec=decoder, formula=lambda x: {"y": -x})))
        for run in range(6):
            if run == 3:
                c.backend.overlap_decode()
            np.testing.assert_array_equal(
                c.backend.download(two.run({"x": c.backend.upload(numbers(3))})["y"]), -numbers(3)
            )
        assert c.driver.calls["capture_begin"] == 2


def test_a_run_that_fails_says_why(tmp_path):
    with case(tmp_path) as c:
        session = c.load(FakePlan(spec=AXPY, formula=axpy, fails=True))
        with pytest.raises(InternalError, match="axpy failed in TensorRT: kernel 7 failed"):
            c.run(session, 3)


@pytest.mark.parametrize(
    ("forbids", "why"),
    [
        ("told", "axpy failed in TensorRT: operation not permitted when stream is capturing"),
        ("silent", "cudaStreamEndCapture failed: cudaErrorStreamCaptureInvalidated"),
    ],
)
@pytest.mark.parametrize("looks", [False, True])
def test_what_cannot_be_captured_runs_plainly_is_tried_once_a_shape_and_told_once(tmp_path, forbids, why, looks):
    """Also where TensorRT finds what the capture left in its own CUDA runtime, and blames the next run for it."""
    with case(tmp_path, captured=True) as c:
        session = c.load(FakePlan(spec=AXPY, formula=axpy, forbids_capture=forbids, looks=looks))
        c.run(session, 3)
        assert c.backend.notes == ()
        for rows in (3, 3, 5, 5, 5, 3):
            c.run(session, rows)
        assert c.driver.calls["capture_begin"] == 2
        assert c.driver.calls["graph_launch"] == 0
        assert c.backend.notes == (f"axpy runs without a CUDA graph: {why}",)


def test_a_graph_that_cannot_be_made_of_a_capture_is_none(tmp_path, monkeypatch):
    with case(tmp_path, captured=True) as c:
        session = c.load()
        monkeypatch.setattr(c.driver, "graph_instantiate", _no_graph)
        for _ in range(3):
            c.run(session, 3)
        assert c.backend.notes == ("axpy runs without a CUDA graph: cudaGraphInstantiate failed",)


def _no_graph(graph):
    raise InternalError("cudaGraphInstantiate failed")


def test_a_run_that_is_really_broken_is_no_matter_of_capturing(tmp_path):
    with case(tmp_path, captured=True) as c:
        session = c.load()
        c.run(session, 3)
        c.trt.made.broken = True
        with pytest.raises(InternalError, match="axpy failed in TensorRT"):
            c.run(session, 3)
        c.trt.made.broken = False
        c.run(session, 3)  # the stream was let go


def test_only_the_run_after_a_refused_capture_is_tried_again(tmp_path):
    with case(tmp_path, captured=True) as c:
        session = c.load(FakePlan(spec=AXPY, formula=axpy, forbids_capture="told", looks=True))
        for _ in range(3):
            c.run(session, 3)
        c.trt.made.last_error = "an illegal memory access was encountered"
        with pytest.raises(InternalError, match="axpy failed in TensorRT: an illegal memory access"):
            c.run(session, 3)


def test_closing_waits_for_the_last_run_and_is_fine_twice(tmp_path):
    with case(tmp_path, captured=True) as c:
        with c.load() as session:
            x, a = c.backend.upload(numbers(3)), c.backend.upload(np.ones(1, np.float32))
            for _ in range(3):
                last = session.run({"x": x, "a": a})["y"]
        session.close()
        with pytest.raises(InternalError, match="axpy is closed; load it again"):
            session.run({"x": x, "a": a})
        np.testing.assert_array_equal(c.backend.download(last), numbers(3) + 1)
        gc.collect()
        assert c.driver.used_bytes <= c.backend.pool.held_bytes  # the engine's weights are gone


@pytest.mark.parametrize("captured", [False, True])
def test_a_session_may_be_closed_with_its_last_run_under_way(tmp_path, captured):
    """Its context and its engine go only when the device is done with them; the fake ones would complain."""
    with case(tmp_path, captured=captured) as c:
        session = c.load()
        inputs = {"x": c.backend.upload(numbers(3)), "a": c.backend.upload(np.ones(1, np.float32))}
        y = session.run(inputs)["y"]
        session.close()
        del session
        gc.collect()
        assert c.driver.problems == []
        np.testing.assert_array_equal(c.backend.download(y), numbers(3) + 1)


def test_a_graph_that_loses_its_context_is_found(tmp_path):
    """The rule that the session keeps, broken on purpose."""
    with case(tmp_path, captured=True) as c:
        session = c.load()
        c.run(session, 3)
        c.run(session, 3)
        shape = next(iter(session._shapes.values()))
        with pytest.raises(Misuse, match="changed under its graph"):
            shape.context.set_input_shape("x", (4, 4))
        shape.context = None
        gc.collect()
        assert "its graph is not" in c.driver.problems.pop()


def test_the_bound_on_shapes_covers_rows_and_two_lengths_of_clips():
    assert trt_session._MOST_SHAPES >= 4
