"""ONNX Runtime behind the protocol, on graphs of a few nodes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines import onnx_backend
from engines.errors import BundleError, EngineMismatch, InputError
from engines.onnx_backend import OnnxBackend, OnnxSession, cuda_options
from engines.spec import NetworkSpec
from tests.engines.test_external_data import graph_with_weights_in
from tests.fakes import spec

ONNX_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
}
# whole = x clipped to 0..255, pixels = whole truncated.
TWO = spec("two", {"x": ("rows", 64)}, {"whole": ("rows", 64), "pixels": ("rows", 64)}, dtypes={"pixels": "uint8"})
TWO_NODES = [
    helper.make_node("Clip", ["x", "least", "most"], ["whole"]),
    helper.make_node("Cast", ["whole"], ["pixels"], to=TensorProto.UINT8),
]
ENDS = [onnx.numpy_helper.from_array(np.float32(end), name) for name, end in (("least", 0), ("most", 255))]


def save(path: Path, graph_spec: NetworkSpec, nodes: list[onnx.NodeProto], *initializers: onnx.TensorProto) -> Path:
    def infos(tensors):
        return [helper.make_tensor_value_info(t.name, ONNX_TYPES[t.dtype], list(t.dims)) for t in tensors]

    graph = helper.make_graph(nodes, "g", infos(graph_spec.inputs), infos(graph_spec.outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    onnx.save(model, path, save_as_external_data=bool(initializers), location=f"{path.name}.data", size_threshold=0)
    return path


@pytest.fixture
def backend():
    return OnnxBackend(threads=1)


AXPY = spec("axpy", {"x": ("rows", 4), "a": (1,)}, {"y": ("rows", 4)}, most=5)


@pytest.fixture
def axpy(backend, tmp_path):
    """y = a x + w, w from external data."""
    w = onnx.numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    nodes = [helper.make_node("Mul", ["x", "a"], ["ax"]), helper.make_node("Add", ["ax", "w"], ["y"])]
    return backend.load(AXPY, save(tmp_path / "axpy.onnx", AXPY, nodes, w))


def inputs(rows=3):
    return {"x": np.ones((rows, 4), np.float32), "a": np.array([2], np.float32)}


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_graphs_run_beside_each_other_whatever_their_threads(axpy, threads):
    backend = OnnxBackend(threads=threads)
    assert backend.concurrent
    given = [{"x": np.full((5, 4), k, np.float32), "a": np.array([k], np.float32)} for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(axpy.run, given))
    for one, inputs_of_it in zip(together, given, strict=True):
        np.testing.assert_array_equal(one["y"], axpy.run(inputs_of_it)["y"])


@pytest.mark.parametrize(("threads", "live", "spins"), [(2, False, "1"), (2, True, "0"), (4, True, "1")])
def test_only_live_graphs_on_few_threads_wait_asleep(monkeypatch, tmp_path, threads, live, spins):
    opened = []
    real = onnx_backend.ort.InferenceSession
    monkeypatch.setattr(
        onnx_backend.ort,
        "InferenceSession",
        lambda path, options, **k: opened.append(options) or real(path, options, **k),
    )
    backend = OnnxBackend(threads=threads)
    if live:
        backend.overlap_decode()
    node = helper.make_node("Mul", ["x", "a"], ["y"])
    backend.load(AXPY, save(tmp_path / "mul.onnx", AXPY, [node]))
    assert opened[0].get_session_config_entry("session.intra_op.allow_spinning") == spins


def test_a_graph_runs_by_name_with_its_external_data(axpy):
    for rows in (3, 1, 5):
        result = axpy.run(inputs(rows))["y"]
        np.testing.assert_array_equal(result, np.tile([2, 3, 4, 5], (rows, 1)))


def test_an_output_is_written_where_it_was_asked_for(backend, axpy):
    whole = backend.zeros((9, 4), "float32")
    part = backend.view(whole, 3, 6)
    assert axpy.run(inputs(), {"y": part})["y"] is part
    np.testing.assert_array_equal(whole[:, 0], [0, 0, 0, 2, 2, 2, 0, 0, 0])


def test_what_is_not_wanted_is_not_given(backend, tmp_path):
    session = backend.load(TWO, save(tmp_path / "two.onnx", TWO, TWO_NODES, *ENDS))
    x = np.linspace(-10, 300, 3 * 64, dtype=np.float32).reshape(3, 64)
    pixels = backend.empty((3, 64), "uint8")
    assert session.run({"x": x}, {"pixels": pixels}) == {"pixels": pixels}
    np.testing.assert_array_equal(pixels, x.clip(0, 255).astype(np.uint8))
    assert set(session.run({"x": x})) == {"whole", "pixels"}
    with pytest.raises(ValueError, match="two has no output frames; it has whole, pixels"):
        session.run({"x": x}, {"frames": pixels})


def test_inputs_that_are_kept_on_a_device_are_written_anew_and_stay_for_their_shape(axpy, tmp_path):
    """The CPU stands in for the device: its memory is told apart by its address."""
    kept = OnnxSession(AXPY, axpy._session, tmp_path, keep_inputs_on=("cpu", 0))
    places = []
    for rows, factor in ((3, 2.0), (3, -1.0), (5, 4.0), (5, 0.5)):
        given = {"x": np.full((rows, 4), factor, np.float32), "a": np.array([2], np.float32)}
        np.testing.assert_array_equal(kept.run(given)["y"], axpy.run(given)["y"])
        places.append([kept._kept[name].data_ptr() for name in ("x", "a")])
        assert given["x"].ctypes.data not in places[-1]
    assert places[0] == places[1] and places[2] == places[3]
    assert len({a for _, a in places}) == 1  # its shape never changed


def test_on_cuda_convolutions_lie_as_cudnn_wants_them_and_bits_are_not_asked_for():
    options = cuda_options(3)
    assert options["device_id"] == "3" and options["use_tf32"] == "0"
    assert options["prefer_nhwc"] == options["fuse_conv_bias"] == "1"
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    backend = OnnxBackend(threads=1)
    assert backend._options(1, "unet").use_deterministic_compute
    backend.provider = "cuda"  # there is none here to open it with
    assert not backend._options(1, "unet").use_deterministic_compute
    assert backend._provider_options() == [("CUDAExecutionProvider", cuda_options(0)), "CPUExecutionProvider"]


def test_a_fresh_output_is_the_callers_to_keep(axpy):
    first = axpy.run(inputs())["y"]
    axpy.run(inputs() | {"a": np.array([9], np.float32)})
    assert first[0, 0] == 2


def test_views_are_inputs_too(backend, axpy):
    x = backend.upload(np.arange(24, dtype=np.float32).reshape(6, 4))
    result = axpy.run({"x": backend.view(x, 2, 4), "a": np.ones(1, np.float32)})["y"]
    np.testing.assert_array_equal(result, x[2:4] + np.arange(4))


def test_the_same_inputs_give_the_same_bits(axpy):
    x = {"x": np.random.default_rng(0).standard_normal((5, 4), np.float32), "a": np.array([0.3], np.float32)}
    assert axpy.run(x)["y"].tobytes() == axpy.run(x)["y"].tobytes()


def test_float16_and_int64_pass_through(backend, tmp_path):
    kinds = {"x": "float16", "i": "int64", "y": "float16"}
    pick = spec("pick", {"x": ("n", 2), "i": (1,)}, {"y": (1, 2)}, dtypes=kinds)
    session = backend.load(pick, save(tmp_path / "pick.onnx", pick, [helper.make_node("Gather", ["x", "i"], ["y"])]))
    x = np.array([[1, 2], [3, 4]], np.float16)
    y = session.run({"x": x, "i": np.array([1])})["y"]
    assert y.dtype == np.float16
    assert y.tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x": np.ones((6, 4), np.float32)}, "x is .6, 4. float32"),
        ({"x": np.ones((3, 4), np.float64)}, "x is .3, 4. float64"),
        ({"z": np.ones(1, np.float32)}, "unknown z"),
    ],
)
def test_inputs_are_held_against_the_spec(axpy, wrong, message):
    with pytest.raises(ValueError, match=message):
        axpy.run(inputs() | wrong)


def test_an_output_buffer_of_the_wrong_shape_is_refused(backend, axpy):
    with pytest.raises(ValueError, match=r"the buffer for y is \(2, 4\) float32, needs \(3, 4\) float32, contiguous"):
        axpy.run(inputs(), {"y": backend.empty((2, 4), "float32")})


def test_take_gathers_with_repeats_and_into_a_leading_axis(backend):
    source = backend.upload(np.arange(12, dtype=np.float32).reshape(4, 3))
    for shape in ((3, 3), (1, 3, 3)):
        out = backend.empty(shape, "float32")
        backend.take(source, [3, 0, 0], out)
        np.testing.assert_array_equal(out.reshape(3, 3), source[[3, 0, 0]])


def test_uploads_and_downloads_are_copies(backend):
    array = np.zeros(3, np.float32)
    buffer = backend.upload(array)
    back = backend.download(buffer)
    buffer[:] = 1
    assert not array.any()
    assert not back.any()


def test_a_graph_that_is_not_what_the_manifest_promises_is_refused(backend, axpy, tmp_path):
    other = spec("axpy", {"x": ("rows", 4), "scale": (1,)}, {"y": ("rows", 4)})
    with pytest.raises(BundleError, match=r"has the inputs .*'a': 'float32'.*, its manifest promises .*'scale'"):
        backend.load(other, tmp_path / "axpy.onnx")


def test_a_file_that_is_no_graph_is_refused_in_one_line(backend, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineMismatch, match=r"x\.onnx does not load in ONNX Runtime .* on CPU, 1 thread: ") as caught:
        backend.load(AXPY, tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; install another 1.x of ONNX Runtime, 1.23 or later, or rebuild the bundle")


def test_a_provider_that_is_not_there_is_an_error_not_a_fall_back(monkeypatch):
    monkeypatch.setattr(onnx_backend.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(EngineMismatch, match=r"the cuda provider needs onnxruntime-gpu; found .* never install both"):
        OnnxBackend(provider="cuda")


def test_a_provider_that_did_not_load_is_an_error_not_a_fall_back(backend, axpy, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "provider", "cuda")
    monkeypatch.setattr(backend, "_provider_options", lambda: ["CPUExecutionProvider"])
    with pytest.raises(EngineMismatch, match=r"was asked for, ONNX Runtime .* loaded only CPUExecutionProvider"):
        backend.load(AXPY, tmp_path / "axpy.onnx")


def test_both_packages_at_once_is_explained(monkeypatch):
    class Distribution:
        def __init__(self, name):
            self.metadata = {"Name": name}

    both = [Distribution("onnxruntime"), Distribution("onnxruntime-gpu")]
    monkeypatch.setattr(onnx_backend.metadata, "distributions", lambda: both)
    monkeypatch.setattr(onnx_backend.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(EngineMismatch, match="are both installed, and one overwrites the other's files"):
        OnnxBackend(provider="cuda")


def test_wrong_options_are_the_users_mistake():
    with pytest.raises(InputError, match="threads must be at least 1, got 0"):
        OnnxBackend(threads=0)
    with pytest.raises(InputError, match="there is no provider 'gpu'; choose one of cpu, cuda"):
        OnnxBackend(provider="gpu")


def test_the_device_is_named_for_people():
    assert OnnxBackend(threads=2).device == "CPU, 2 threads"
    assert OnnxBackend().threads >= 1


def test_without_onnx_runtime_it_says_which_of_the_two_to_install():
    code = "import sys; sys.modules['onnxruntime'] = None; import engines.onnx_backend"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stderr.splitlines()[-1] == (
        "engines.errors.EngineMismatch: onnxruntime is not installed; pip install '.[cpu]' in a checkout of hp-trt, "
        "or '.[cuda]' for CUDA: the two share their files, never install both"
    )


@pytest.mark.parametrize(
    ("made", "promised"),
    [
        (("rows", 4), ("rows", 5)),
        ((3, 4), ("rows", 4)),
        (("rows", 4), ("rows", 4, 1)),
    ],
)
def test_a_graph_of_other_shapes_than_its_promise_is_refused_when_it_is_opened(backend, tmp_path, made, promised):
    graph = spec("same", {"x": made}, {"y": made})
    path = save(tmp_path / "same.onnx", graph, [helper.make_node("Identity", ["x"], ["y"])])
    backend.load(graph, path)
    with pytest.raises(BundleError, match=r"same\.onnx has x of .*, its manifest promises \["):
        backend.load(spec("same", {"x": promised}, {"y": promised}), path)


@pytest.mark.parametrize("place", ["/etc/hostname", "../w.data"])
def test_weights_that_lie_elsewhere_are_not_read(backend, tmp_path, place):
    (tmp_path / "g").mkdir()
    np.arange(4, dtype=np.float32).tofile(tmp_path / "w.data")
    onnx.save(graph_with_weights_in(place), tmp_path / "g" / "g.onnx")
    with pytest.raises(EngineMismatch, match=r"g\.onnx does not load"):
        backend.load(spec("g", {"x": (4,)}, {"y": (4,)}), tmp_path / "g" / "g.onnx")


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x0b:\x00", b"\xff" * 1000])
def test_a_file_that_is_no_graph_is_an_error_of_ours(backend, tmp_path, content):
    (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises((EngineMismatch, BundleError)) as caught:
        backend.load(AXPY, tmp_path / "g.onnx")
    assert "\n" not in str(caught.value)


def test_weights_beside_a_graph_are_mapped_and_never_held_twice(tmp_path):
    """In a process of its own: 64 MB that nothing lays out anew, so all that is held of them is mapped."""
    code = (
        "import sys; from pathlib import Path; import numpy as np, onnx; from onnx import helper\n"
        "from engines.onnx_backend import OnnxBackend; from tests.engines.test_onnx_backend import save\n"
        "from tests.fakes import spec\n"
        "def own(): return int(Path('/proc/self/status').read_text().split('RssAnon:')[1].split()[0]) / 1024\n"
        "promise = spec('large', {'x': ('rows', 1 << 24)}, {'y': ('rows', 1 << 24)}, most=2)\n"
        "w = onnx.numpy_helper.from_array(np.ones(1 << 24, np.float32), 'w')\n"
        "file = save(Path(sys.argv[1]), promise, [helper.make_node('Add', ['x', 'w'], ['y'])], w); del w\n"
        "backend = OnnxBackend(threads=1); before = own(); session = backend.load(promise, file)\n"
        "print(own() - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "large.onnx")], check=True, capture_output=True, text=True
    )
    assert float(ran.stdout) < 20  # MB; a copy would be 64
