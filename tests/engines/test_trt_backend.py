"""What a plan needs, what a plan is, and what is said when it does not fit."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engines import families, gpu, trt_backend
from engines.checked_files import read_checked
from engines.errors import EngineMismatch, InputError
from engines.file_record import hash_file
from engines.gpu import Gpu, NoGpu
from engines.runtime_cache import kernel_file
from engines.trt_backend import open_trt_backend
from engines.trt_plan import make_logger, open_engine
from tests.engines.fake_cuda import Misuse
from tests.engines.fake_trt import EngineInvalidityDiagnostics as Diagnostics
from tests.engines.fake_trt import FakePlan
from tests.engines.trt_cases import AXPY, axpy, case, numbers
from tests.fakes import spec

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
REBUILD = "python -m export.build_engines --family tensorrt --bundle BUNDLE --only axpy"


def plan(**facts):
    return FakePlan(spec=AXPY, formula=axpy, **facts)


def test_a_backend_says_what_it_runs_on(tmp_path):
    with case(tmp_path) as c:
        assert c.backend.name == "tensorrt"
        assert c.backend.device == "fake GPU, tensorrt 11.4.0"
        assert c.backend.asynchronous


def test_a_plan_that_does_not_load_says_why_and_how_to_build_it(tmp_path):
    with case(tmp_path) as c, pytest.raises(EngineMismatch) as error:
        c.load(plan(refuses="The engine plan file is not compatible with this version of TensorRT"))
    assert "is not compatible with this version of TensorRT; it needs the GPU kind" in str(error.value)
    assert REBUILD in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_names_the_bundle_that_the_plan_lies_in(tmp_path):
    folder = tmp_path / "hp" / "engines" / "tensorrt-0123" / "axpy-4567"
    folder.mkdir(parents=True)
    with case(folder) as c, pytest.raises(EngineMismatch, match=f"--bundle {tmp_path / 'hp'} --only axpy"):
        c.load(plan(refuses="another GPU"))


def test_a_plan_that_is_missing_says_so(tmp_path):
    with case(tmp_path) as c, pytest.raises(EngineMismatch, match="cannot be read: No such file"):
        c.backend.load(AXPY, tmp_path / "none.plan")


def test_a_plan_that_was_read_already_is_not_read_again(tmp_path):
    with case(tmp_path) as c:
        path = c.plan(plan())
        c.backend.prepare(path, memoryview(path.read_bytes()))
        path.write_bytes(b"somebody else was here".ljust(path.stat().st_size))
        c.run(c.backend.load(AXPY, path), 3)
        with pytest.raises(KeyError):  # once only; the fake knows no such plan
            c.backend.load(AXPY, path)


def test_runs_tell_no_profiler_the_names_of_their_layers(tmp_path):
    with case(tmp_path) as c:
        session = c.load()
        c.run(session, 3)
        assert c.trt.made.verbosities == [c.trt.ProfilingVerbosity.NONE]


def test_rtx_says_before_loading_what_is_wrong(tmp_path):
    bad = plan(invalid=Diagnostics.UNSUPPORTED_CC | Diagnostics.OLD_CUDA_DRIVER)
    with case(tmp_path, rtx=True) as c:
        with pytest.raises(EngineMismatch, match="does not run here: unsupported cc, old cuda driver; python -m"):
            c.load(bad)
        assert c.trt.made.loaded == []
        c.run(c.load(), 3)


def test_the_real_rtx_is_asked_before_it_deserialises(tmp_path):
    """As far as a machine without a GPU goes: its logger takes ours, and it knows nonsense."""
    if not families.is_installed(families.RTX):
        pytest.skip("needs tensorrt-rtx")
    trt = families.load(families.RTX)
    logger, path = make_logger(trt), tmp_path / "axpy.plan"
    path.write_bytes(b"not a plan at all")
    read = read_checked(path, hash_file(path), "mend")
    for content in (None, read):  # it takes our memory as it takes bytes
        with pytest.raises(EngineMismatch, match=r"axpy\.plan does not run here: malformed engine"):
            open_engine(families.RTX, trt, trt.Runtime(logger), logger, path, AXPY, content)


def test_rtx_captures_only_what_it_can(tmp_path):
    for capturable in (True, False):
        with case(tmp_path, rtx=True, captured=True) as c:
            session = c.load(plan(capturable=capturable))
            for _ in range(3):
                c.run(session, 3)
            assert c.driver.calls["graph_launch"] == (2 if capturable else 0)
            told = ("axpy runs without a CUDA graph: TensorRT says that it cannot be captured",)
            assert c.backend.notes == (() if capturable else told)


@pytest.mark.parametrize(
    ("promised", "what"),
    [
        (spec("axpy", {"x": ("rows", 4)}, {"y": ("rows", 4)}, most=8), "its inputs are a, x, needs x"),
        (spec("axpy", {"x": ("rows", 4), "a": (1,)}, {"z": ("rows", 4)}, most=8), "its outputs are y, needs z"),
        (
            spec("axpy", {"x": ("rows", 5), "a": (1,)}, {"y": ("rows", 4)}, most=8),
            r"x is \(-1, 4\) float32, needs \(-1, 5\) float32",
        ),
        (
            spec("axpy", {"x": ("rows", 4), "a": (1,)}, {"y": ("rows", 4)}, dtypes={"y": "float16"}, most=8),
            r"y is \(-1, 4\) float32, needs \(-1, 4\) float16",
        ),
        (
            spec("axpy", {"x": ("rows", 4), "a": (1,)}, {"y": ("rows", 4)}, most=9),
            "x takes rows from 1 to 8, needs 1 to 9",
        ),
    ],
)
def test_a_plan_of_another_graph_is_refused_with_every_difference(tmp_path, promised, what):
    with case(tmp_path) as c, pytest.raises(EngineMismatch, match=what):
        c.backend.load(promised, c.plan(plan()))


def test_weights_that_do_not_fit_are_refused_before_the_plan_is_loaded(tmp_path):
    with case(tmp_path, total_bytes=200_000) as c:
        with pytest.raises(
            EngineMismatch, match=r"the weights of axpy .* --weight-streaming and run with --weight-budget 0\.0 "
        ):
            c.load(plan(weight_bytes=300_000))
        assert c.trt.made.loaded == []


def test_activations_that_do_not_fit_are_refused(tmp_path):
    with (
        case(tmp_path, total_bytes=2_000_000_000) as c,
        pytest.raises(
            EngineMismatch,
            match=r"the activations of axpy need 3\.00 GB of GPU memory, 2\.00 of 2\.00 GB are free on fake GPU, .* "
            r"--weight-streaming and run with a --weight-budget that leaves 0\.93 GiB more$",
        ),
    ):
        c.load(plan(arena_bytes=3_000_000_000))


def rows_squared(rows):
    return 100_000 * rows * rows


def test_activations_are_those_of_the_shapes_that_run_not_of_the_largest_that_might(tmp_path):
    """The largest would need 6.4 MB."""
    with case(tmp_path, total_bytes=2_000_000) as c:
        session = c.load(plan(arena_bytes=rows_squared))
        assert c.backend._arenas["denoise"].size < 200_000
        for rows in (2, 3, 1, 3):
            c.run(session, rows)
        assert 900_000 <= c.backend._arenas["denoise"].size < 1_000_000
        assert c.driver.peak_bytes < 1_600_000


@pytest.mark.parametrize("captured", [False, True])
def test_shapes_whose_activations_do_not_fit_are_refused_when_they_come_and_the_others_go_on(tmp_path, captured):
    with case(tmp_path, total_bytes=2_000_000, captured=captured) as c:
        session = c.load(plan(arena_bytes=rows_squared))
        for _ in range(3):
            c.run(session, 3)
        with pytest.raises(EngineMismatch, match=r"the activations of axpy need 0\.01 GB of GPU memory"):
            c.run(session, 8)
        for _ in range(3):
            c.run(session, 3)
            c.run(session, 2)


def test_a_plan_that_does_not_say_what_its_shapes_need_is_given_as_much_as_the_largest(tmp_path):
    """Built before such plans were asked for: 0 is no answer."""
    with case(tmp_path) as c:
        session = c.load(plan(arena_bytes=rows_squared, resizes=False))
        assert c.backend._arenas["denoise"].size >= rows_squared(8)
        c.run(session, 2)


def test_memory_that_was_given_for_other_shapes_is_found_out(tmp_path):
    """The rule that the session keeps, broken on purpose."""
    with case(tmp_path) as c:
        session = c.load(plan(arena_bytes=rows_squared))
        c.run(session, 2)
        session._context.set_input_shape("x", (5, 4))
        with pytest.raises(Misuse, match="no device memory"):
            session._context.execute_async_v3(c.backend.current.handle)
        session._context.update_device_memory_size_for_shapes()
        with pytest.raises(Misuse, match="for 2500000"):
            session._context.set_device_memory(c.backend._arenas["denoise"].address, 400_000)


def test_an_arena_that_grows_counts_what_it_gives_back(tmp_path):
    with case(tmp_path, total_bytes=1_000_000) as c:
        c.load(plan(arena_bytes=500_000))
        c.load(plan(arena_bytes=800_000))
        assert c.driver.used_bytes < 900_000


def test_idle_memory_counts_as_free(tmp_path):
    with case(tmp_path, total_bytes=1_000_000) as c:
        c.backend.zeros((800_000,), "uint8")
        c.load(plan(arena_bytes=800_000))


def test_weights_may_stay_in_host_memory(tmp_path):
    with case(tmp_path, captured=True, weight_budget_bytes=10_000) as c:
        session = c.load(plan(streamable_bytes=50_000))
        assert c.trt.made.budgets == [10_000]
        for _ in range(3):
            c.run(session, 3)
        assert c.driver.calls["capture_begin"] == 0  # what streams in is not captured
        small = c.load(plan(streamable_bytes=5_000))
        assert c.trt.made.budgets == [10_000, 5_000]
        for _ in range(3):
            c.run(small, 3)
        assert c.driver.calls["capture_begin"] == 1


def test_of_weights_that_do_not_fit_as_many_stay_as_tensorrt_says(tmp_path):
    large = plan(weight_bytes=2_000_000, streamable_bytes=1_999_000)
    with case(tmp_path, total_bytes=1_000_000) as c, pytest.raises(EngineMismatch, match="the weights of axpy need"):
        c.load(large)
    with case(tmp_path, total_bytes=1_000_000, captured=True, automatic_budget=True) as c:
        session = c.load(large)
        assert c.trt.made.budgets == [(1_000_000 - 1000) // 2]
        for _ in range(3):
            c.run(session, 1)
        assert c.driver.calls["capture_begin"] == 0
        assert c.backend.notes == ()  # nothing was refused
        c.load(plan(streamable_bytes=0))
        assert len(c.trt.made.budgets) == 1


def test_a_stripped_plan_takes_its_weights_from_the_graph(tmp_path):
    graph = tmp_path / "axpy.onnx"
    graph.write_bytes(b"graph")
    with case(tmp_path) as c:
        session = c.backend.load(AXPY, c.plan(plan(refittable=True)), graph)
        c.run(session, 3)
        with pytest.raises(EngineMismatch, match=r"axpy\.onnx does not fit axpy\.plan: no weight called conv_in"):
            c.backend.load(AXPY, c.plan(plan(refittable=True, weights_fit=False)), graph)
        with pytest.raises(EngineMismatch, match=r"axpy\.plan takes no weights from axpy\.onnx; build it with --strip"):
            c.backend.load(AXPY, c.plan(plan()), graph)


@pytest.mark.parametrize("fit", [True, False])
def test_what_reads_the_weights_goes_before_what_takes_them(tmp_path, fit):
    graph = tmp_path / "axpy.onnx"
    graph.write_bytes(b"graph")
    with case(tmp_path) as c:
        with nullcontext() if fit else pytest.raises(EngineMismatch, match="does not fit"):
            c.backend.load(AXPY, c.plan(plan(refittable=True, weights_fit=fit)), graph)
        assert c.driver.problems == []


def test_the_weights_of_a_stripped_plan_count(tmp_path):
    graph, data = tmp_path / "axpy.onnx", tmp_path / "axpy.onnx.data"
    graph.write_bytes(b"graph")
    data.write_bytes(bytes(300_000))
    with case(tmp_path, total_bytes=200_000) as c, pytest.raises(EngineMismatch, match="the weights of axpy need"):
        c.backend.load(AXPY, c.plan(plan(refittable=True)), graph)


def test_closing_closes_sessions_and_is_fine_twice(tmp_path):
    with case(tmp_path, captured=True, trace=True) as c:
        session = c.load()
        for _ in range(3):
            session.run({"x": c.backend.upload(numbers(3)), "a": c.backend.upload(np.ones(1, np.float32))})
        c.backend.close()
        c.backend.close()
        session.close()


def test_spans_name_the_graphs(tmp_path):
    with case(tmp_path, captured=True, trace=True) as c:
        session = c.load()
        for _ in range(3):
            c.run(session, 3)
        spans = [span for span in c.backend.spans() if span.name == "axpy"]
        assert [span.stream for span in spans] == ["denoise"] * 3
        assert all(a.start_s + a.seconds <= b.start_s for a, b in pairwise(spans))


HERE = Gpu(index=0, name="fake GPU", capability="8.9", total_bytes=1 << 30, driver_cuda=(13, 0))


def ran_with_kernels(folder, gpu=HERE, rows=(2, 2, 2, 3), refuses=False):
    """What a process compiled that kept its kernels beside the bundle `folder`, and the notes it left."""
    folder.mkdir(exist_ok=True)
    kept = kernel_file(folder, "1.7.1", gpu)
    with case(folder, rtx=True, captured=True, kernels=kept) as c:
        c.trt.made.refuses_kernels = refuses
        session = c.load()
        for count in rows:
            c.run(session, count)
    return c.trt.made.compiled, [note for note in c.backend.notes if "kernels" in note], kept.path


def test_kernels_are_compiled_once_for_all_contexts_and_processes(tmp_path):
    compiled, notes, path = ran_with_kernels(tmp_path / "bundle")
    assert compiled == ["axpy [('rows', 2)]", "axpy [('rows', 3)]"] and notes == []
    assert path.parent == tmp_path / "bundle.cache"  # the bundle stays as it was built
    again, notes, _ = ran_with_kernels(tmp_path / "bundle", rows=(2, 3, 4))
    assert again == ["axpy [('rows', 4)]"] and notes == []
    assert ran_with_kernels(tmp_path / "bundle", rows=(2, 3, 4))[0] == []


def test_without_a_place_to_keep_them_contexts_share_kernels_all_the_same(tmp_path):
    with case(tmp_path, rtx=True) as c:
        first, second = c.load(), c.load()
        for session in (first, second):
            c.run(session, 2)
    assert c.trt.made.compiled == ["axpy [('rows', 2)]"]


def test_another_gpu_version_or_driver_has_a_file_of_its_own(tmp_path):
    others = [replace(HERE, name="other"), replace(HERE, capability="12.0"), replace(HERE, driver_cuda=(13, 1))]
    paths = {kernel_file(tmp_path, "1.7.1", gpu).path for gpu in (HERE, *others)}
    assert len(paths | {kernel_file(tmp_path, "1.7.2", HERE).path}) == 5


@pytest.mark.parametrize("harm", ["cut", "altered", "foreign", "another's", "a folder"])
def test_kernels_that_are_not_ours_or_not_whole_are_set_aside_and_compiled_again(tmp_path, harm):
    _, _, path = ran_with_kernels(tmp_path / "bundle")
    good = path.read_bytes()
    if harm == "another's":
        path.write_bytes(good.replace(b"fake GPU", b"last GPU"))
    elif harm == "a folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({"cut": good[:-1], "altered": good[:-1] + b"?", "foreign": b"\xff" * 5000}[harm])
    compiled, [note], _ = ran_with_kernels(tmp_path / "bundle")
    assert len(compiled) == 2
    assert path.with_name(f"{path.name}.aside").exists() and "were set aside as" in note
    assert path.read_bytes() == good
    assert ran_with_kernels(tmp_path / "bundle")[:2] == ([], [])


def test_kernels_that_the_library_refuses_are_set_aside(tmp_path):
    ran_with_kernels(tmp_path / "bundle")
    compiled, [note], path = ran_with_kernels(tmp_path / "bundle", refuses=True)
    assert len(compiled) == 2 and "TensorRT for RTX refuses them" in note
    assert path.exists() and path.with_name(f"{path.name}.aside").exists()


def test_a_place_that_cannot_be_written_is_a_note_and_no_error(tmp_path):
    (tmp_path / "bundle.cache").write_text("a file where the folder would be")
    compiled, [note], _ = ran_with_kernels(tmp_path / "bundle")
    assert len(compiled) == 2
    assert note == (
        f"the kernels that TensorRT for RTX compiles cannot be kept in {tmp_path / 'bundle.cache'}: File exists"
    )


def test_without_a_gpu_the_library_is_not_touched(monkeypatch):
    monkeypatch.setattr(gpu, "find_gpu", lambda index=0: NoGpu(found="no driver", fix="install one"))
    monkeypatch.setattr(families, "load", lambda family: pytest.fail("touched"))
    with pytest.raises(EngineMismatch, match="this needs an NVIDIA GPU, found: no driver; install one"):
        open_trt_backend("tensorrt")


def test_a_family_without_plans_is_not_opened_here():
    with pytest.raises(InputError, match="onnxruntime runs graphs, not plans"):
        open_trt_backend("onnxruntime")
    with pytest.raises(InputError, match="did you mean tensorrt"):
        open_trt_backend("tensort")


def test_importing_the_backend_loads_neither_cuda_nor_tensorrt():
    assert trt_backend.__name__ in sys.modules
    import subprocess

    code = "import sys, engines.trt_backend; print([m for m in sys.modules if m.split('.')[0] in ('cuda', 'tensorrt')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
