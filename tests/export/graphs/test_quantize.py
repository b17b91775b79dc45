"""Post-training quantisation: what is rounded, what is left, how far it moves the numbers, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from engines import families
from engines.errors import InputError, NonFiniteError
from engines.onnx_backend import OPTIONS_OF_KIND
from engines.plans import PlanOptions
from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.blocks import GEGLU
from export.graphs.quantize import LARGEST, encode, quantize, scales
from export.graphs.trace import export_onnx
from export.hunyuanportrait.graphs import bundle_graphs
from export.plans.plan import build_plan
from export.plans.plan_target import plan_target
from export.weights.random import load_random
from tests.export.tiny import TINY

WIDTH, SIDE, FRAMES, GATED = 16, 8, 3, 1024
KINDS = list(LARGEST)


class Small(nn.Module):
    """One of each kind of product that a UNet has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(4, WIDTH, 3, padding=1)
        self.space = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.shortcut = nn.Conv2d(WIDTH, WIDTH, 1)
        self.time = nn.Conv2d(WIDTH, WIDTH, (3, 1), padding=(1, 0))
        self.volume = nn.Conv3d(WIDTH, WIDTH, (3, 1, 1), padding=(1, 0, 0))
        self.embedding = nn.Linear(8, WIDTH)
        self.tokens = nn.Linear(WIDTH, WIDTH, bias=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.gated = GEGLU(WIDTH, GATED)  # too large to be folded: its halves are a Split of one weight
        self.back = nn.Linear(GATED, WIDTH)
        self.conv_out = nn.Conv2d(WIDTH, 4, 3, padding=1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        x = self.conv_in(x.flatten(0, 1)) + self.embedding(emb)[:, :, None, None]
        x = self.shortcut(x) + self.space(torch.nn.functional.silu(x))
        by_frame = x.flatten(2).reshape(-1, FRAMES, WIDTH, SIDE * SIDE).transpose(1, 2)
        x = x + self.time(by_frame).transpose(1, 2).reshape(-1, WIDTH, SIDE, SIDE)
        volume = x.reshape(-1, FRAMES, WIDTH, SIDE, SIDE).transpose(1, 2)
        x = x + self.volume(volume).transpose(1, 2).reshape(-1, WIDTH, SIDE, SIDE)
        tokens = self.tokens(x.flatten(2).transpose(1, 2))
        tokens = tokens + self.back(self.gated(self.norm(tokens)))
        made = self.conv_out(x + tokens.transpose(1, 2).reshape(-1, WIDTH, SIDE, SIDE))
        return made.reshape(-1, FRAMES, 4, SIDE, SIDE)


SPEC = NetworkSpec(
    name="small",
    inputs=(
        TensorSpec(name="x", dims=("rows", FRAMES, 4, SIDE, SIDE), dtype="float32"),
        TensorSpec(name="emb", dims=(1, 8), dtype="float32"),
    ),
    outputs=(TensorSpec(name="y", dims=("rows", FRAMES, 4, SIDE, SIDE), dtype="float32"),),
    ranges={"rows": DimRange(min=1, opt=1, max=4)},
)


def sample(seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {
        "x": draw.standard_normal((2, FRAMES, 4, SIDE, SIDE), np.float32),
        "emb": draw.standard_normal((1, 8), np.float32),
    }


SAMPLES = [sample(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    example = {name: torch.from_numpy(array) for name, array in sample(0).items()}
    export_onnx(load_random(Small()).eval().requires_grad_(False), SPEC, example, path)
    return path


def one_linear(path: Path, weight: np.ndarray, *, squared: bool = False) -> Path:
    """y = x W with x (1, rows, K), or of x * x."""
    kind, (inner, outer) = helper.np_dtype_to_tensor_dtype(weight.dtype), weight.shape
    nodes = [helper.make_node("MatMul", ["xx" if squared else "x", "w"], ["y"], name="linear")]
    if squared:
        nodes.insert(0, helper.make_node("Mul", ["x", "x"], ["xx"], name="square"))
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("x", kind, [1, "rows", inner])],
        [helper.make_tensor_value_info("y", kind, [1, "rows", outer])],
        [numpy_helper.from_array(weight, "w")],
        value_info=[helper.make_tensor_value_info("xx", kind, [1, "rows", inner])] if squared else [],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    return path


def run(path: Path, inputs: Mapping[str, np.ndarray], kind: str = "") -> np.ndarray:
    return session(path, kind).run(None, dict(inputs))[0]


def session(path: Path, kind: str = "", optimized: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    for name, value in OPTIONS_OF_KIND.get(kind, {}).items():
        options.add_session_config_entry(name, value)
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def error(made: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((made - expected) ** 2) / np.mean(expected**2)))


def number(path: Path, name: str) -> np.ndarray:
    (tensor,) = [t for t in onnx.load(path).graph.initializer if t.name == name]
    return numpy_helper.to_array(tensor)


def weight_kinds(path: Path) -> dict[str, str]:
    """Operator and shape of every weight -> the type that it is stored in."""
    model = onnx.load(path, load_external_data=False)
    stored = {t.name: t for t in model.graph.initializer}
    producer = {name: node for node in model.graph.node for name in node.output}
    found = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm"):
            maker = producer.get(node.input[1])
            held = stored[maker.input[0] if maker is not None else node.input[1]]
            found[f"{node.op_type} {tuple(held.dims)}"] = TensorProto.DataType.Name(held.data_type)
    return found


TIME = f"Conv ({WIDTH}, {WIDTH}, 3, 1)"
LEFT_FLOAT = {
    f"Conv ({WIDTH}, 4, 3, 3)",  # the first
    f"Conv (4, {WIDTH}, 3, 3)",  # the last
    f"Conv ({WIDTH}, {WIDTH}, 1, 1)",
    TIME,
    f"Conv ({WIDTH}, {WIDTH}, 3, 1, 1)",
    f"Gemm ({WIDTH}, 8)",  # an embedding
}
LINEARS = {f"MatMul ({WIDTH}, {WIDTH})", f"MatMul ({WIDTH}, {GATED})", f"MatMul ({GATED}, {WIDTH})"}
SPACE = f"Conv ({WIDTH}, {WIDTH}, 3, 3)"


def test_linears_and_convolutions_in_space_are_int8_and_the_others_are_left(small, tmp_path):
    report = quantize(small, tmp_path / "q.onnx", kind="int8", samples=SAMPLES)
    kinds = weight_kinds(tmp_path / "q.onnx")
    assert {name for name, kind in kinds.items() if kind == "FLOAT"} == LEFT_FLOAT
    assert {name for name, kind in kinds.items() if kind == "INT8"} == {*LINEARS, SPACE}
    assert report.quantized == {"Conv": 1, "MatMul": 4}  # a GEGLU is two
    assert report.left == {
        "first or last convolution": 2,
        "shortcut": 1,
        "convolution along time": 2,
        "a row a frame or a step": 1,
    }
    assert report.samples == len(SAMPLES)


def test_onnx_runtimes_int8_has_linears_alone(small, tmp_path):
    report = quantize(small, tmp_path / "int8.onnx", kind="int8", samples=SAMPLES, for_tensorrt=False)
    kinds = weight_kinds(tmp_path / "int8.onnx")
    assert {weight for weight, stored in kinds.items() if stored == "INT8"} == LINEARS
    assert kinds[SPACE] == "FLOAT"
    assert report.left["convolution, not asked for"] == 1


def test_fp8_has_the_convolutions_along_time_too(small, tmp_path):
    report = quantize(small, tmp_path / "fp8.onnx", kind="fp8", samples=SAMPLES)
    kinds = weight_kinds(tmp_path / "fp8.onnx")
    assert {weight for weight, stored in kinds.items() if stored == "FLOAT8E4M3FN"} == {*LINEARS, SPACE, TIME}
    assert report.quantized == {"Conv": 2, "MatMul": 4}
    assert report.left["convolution along time"] == 1  # the one in three dimensions


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("for_tensorrt", [True, False])
def test_for_tensorrt_a_tensor_is_rounded_once_whoever_reads_it(small, tmp_path, kind, for_tensorrt):
    """The halves of a GEGLU read the same tokens."""
    report = quantize(small, tmp_path / "q.onnx", kind=kind, samples=SAMPLES, for_tensorrt=for_tensorrt)
    rounded = [node for node in onnx.load(tmp_path / "q.onnx").graph.node if node.op_type == "QuantizeLinear"]
    tensors = {node.input[0] for node in rounded}
    assert len(tensors) == sum(report.quantized.values()) - 1
    assert len(rounded) == len(tensors) + (0 if for_tensorrt else 1)


def three_convolutions(path: Path, width: int, kernel: tuple[int, int]) -> NetworkSpec:
    """In fp16: a thin one to `width` channels, a wide one with this kernel, a thin one back."""
    draw, nodes, weights, value = np.random.default_rng(0), [], [], "x"
    for i, (given, made, k) in enumerate([(8, width, (3, 3)), (width, width, kernel), (width, 8, (3, 3))]):
        weight = draw.standard_normal((made, given, *k)) / np.sqrt(given * k[0] * k[1])
        weights.append(numpy_helper.from_array(weight.astype(np.float16), f"w{i}"))
        nodes.append(
            helper.make_node("Conv", [value, f"w{i}"], [f"y{i}"], name=f"c{i}", pads=[k[0] // 2, k[1] // 2] * 2)
        )
        value = f"y{i}"
    half, sizes = TensorProto.FLOAT16, ["rows", 8, 32, 32]
    graph = helper.make_graph(
        nodes,
        "three",
        [helper.make_tensor_value_info("x", half, sizes)],
        [helper.make_tensor_value_info("y2", half, sizes)],
        weights,
        value_info=[helper.make_tensor_value_info(f"y{i}", half, ["rows", width, 32, 32]) for i in (0, 1)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    return NetworkSpec(
        name="three",
        inputs=(TensorSpec(name="x", dims=("rows", 8, 32, 32), dtype="float16"),),
        outputs=(TensorSpec(name="y2", dims=("rows", 8, 32, 32), dtype="float16"),),
        ranges={"rows": DimRange(min=1, opt=2, max=3)},
    )


@pytest.mark.parametrize("kernel", [(3, 3), (3, 1)])
@pytest.mark.parametrize("capability", ["8.9", "12.0"])
def test_tensorrt_for_rtx_builds_convolutions_in_fp8(tmp_path, capability, kernel):
    """Nobody can run them here. That the plan holds the wide one's weights in 8 bits is seen by its size."""
    if not families.is_installed(families.RTX):
        pytest.skip("needs TensorRT for RTX")
    spec = three_convolutions(tmp_path / "half.onnx", 768, kernel)
    x = np.random.default_rng(1).standard_normal((2, 8, 32, 32)).astype(np.float16)
    report = quantize(tmp_path / "half.onnx", tmp_path / "fp8.onnx", kind="fp8", samples=[{"x": x}])
    assert report.quantized == {"Conv": 1}
    sizes = {}
    for name in ("half", "fp8"):
        out, target = tmp_path / f"{name}.plan", plan_target(families.RTX, [capability], PlanOptions())
        made = build_plan(families.RTX, spec=spec, onnx=tmp_path / f"{name}.onnx", out=out, target=target)
        assert [layer["type"] for layer in made.layers].count("CONVOLUTION") == 3
        sizes[name] = out.stat().st_size
    saved = 768 * 768 * kernel[0] * kernel[1]  # a byte a weight; kernels themselves differ by some 100 kB
    assert sizes["half"] - sizes["fp8"] > 0.8 * saved


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_outputs_and_the_float_graph_stay_and_the_weights_shrink(small, tmp_path, kind):
    before = {file.name: file.read_bytes() for file in small.parent.iterdir()}
    target = tmp_path / "q.onnx"
    quantize(small, target, kind=kind, samples=SAMPLES)
    assert {file.name: file.read_bytes() for file in small.parent.iterdir()} == before
    made, given = (onnx.load(path, load_external_data=False).graph for path in (target, small))
    assert list(made.input) == list(given.input) and list(made.output) == list(given.output)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["q.onnx", "q.onnx.data"]
    # Of 56 000 weights 7 000 stay floats: (49 + 4 * 7) / (4 * 56).
    assert (tmp_path / "q.onnx.data").stat().st_size < 0.4 * (small.parent / "small.onnx.data").stat().st_size


@pytest.mark.parametrize("kind", KINDS)
def test_a_quantised_network_is_near_the_float_one_at_a_size_it_was_not_calibrated_at(small, tmp_path, kind):
    quantize(small, tmp_path / "q.onnx", kind=kind, samples=SAMPLES)
    inputs = sample(9)
    inputs["x"] = inputs["x"][:1]
    # Measured 0.017 and 0.031: four products in a row, each off by about 0.01 (int8: 4 sigma in 127 steps) or by 0.03
    # (fp8: three binary digits after the first). A wrong scale or axis gives about 1.
    assert error(run(tmp_path / "q.onnx", inputs, kind), run(small, inputs)) < 0.06


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_int8_product_is_off_by_half_a_step_of_each_factor_at_most(tmp_path, dtype):
    draw = np.random.default_rng(0)
    # Channels of very different sizes: one scale for all would round the small ones away.
    weight = (draw.standard_normal((32, 8)) * 4.0 ** np.arange(-4, 4)).astype(dtype)
    x = draw.standard_normal((1, 50, 32)).astype(dtype)
    source = one_linear(tmp_path / "one.onnx", weight)
    quantize(source, tmp_path / "q.onnx", kind="int8", samples=[{"x": x}])

    x_step, w_step = number(tmp_path / "q.onnx", "x.x_scale"), number(tmp_path / "q.onnx", "y.weight_scale")
    assert x_step.dtype == w_step.dtype == dtype
    wide_x, wide_w, half_x, half_w = (a.astype(np.float64) for a in (x[0], weight, x_step / 2, w_step / 2))
    allowed = np.abs(wide_x).sum(1)[:, None] * half_w + half_x * np.abs(wide_w).sum(0) + 32 * half_x * half_w
    off = np.abs(run(tmp_path / "q.onnx", {"x": x}, "int8")[0] - wide_x @ wide_w)
    # float16 rounds the scales and the result once more, by 2^-11 of up to 127 steps: 0.06 steps, an eighth of a half.
    assert (off <= allowed * (1.25 if dtype == "float16" else 1.001)).all()
    assert off.max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_follow_the_largest_magnitude_of_all_samples(tmp_path, kind):
    source = one_linear(tmp_path / "one.onnx", np.eye(4, dtype=np.float32))
    few, many = np.full((1, 2, 4), 0.5, np.float32), np.full((1, 7, 4), 0.25, np.float32)
    few[0, 1, 2] = -3.0
    quantize(source, tmp_path / "q.onnx", kind=kind, samples=iter([{"x": many}, {"x": few}, {"x": many}]))
    assert number(tmp_path / "q.onnx", "x.x_scale") == np.float32(3.0 / LARGEST[kind])
    # Beyond what was seen, values saturate; QuantizeLinear uses -128 too, a step further.
    assert run(tmp_path / "q.onnx", {"x": 10 * few}, kind).min() == pytest.approx(-3.0, rel=1.01 / 127)


def test_onnx_runtime_multiplies_integers_where_linears_share_an_input(small, tmp_path):
    """Only while each has a pair of its own, and equal pairs are not merged."""
    quantize(small, tmp_path / "q.onnx", kind="int8", samples=SAMPLES, for_tensorrt=False)
    session(tmp_path / "q.onnx", "int8", tmp_path / "optimized.onnx")
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx", load_external_data=False).graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 4
    assert "MatMul" not in kinds


@pytest.mark.xdist_group("tiny-build")
@pytest.mark.parametrize(("kind", "limit"), [("int8", 0.15), ("fp8", 0.25)])
def test_a_whole_denoiser_keeps_its_velocity(tiny_bundle, tmp_path, kind, limit):
    # Measured 0.08 and 0.15 on random weights and noise; the trained pocket denoiser has 0.03 and 0.02.
    source = tiny_bundle.path / tiny_bundle.manifest.graphs["denoiser"].main
    graph = bundle_graphs(TINY.architecture, size=TINY.size, frames=TINY.frames, motion_px=TINY.motion_px)["denoiser"]
    *seen, held_out = (
        {name: tensor.numpy() for name, tensor in graph.example({"rows": 2}, seed=seed).items()} for seed in range(4)
    )
    report = quantize(source, tmp_path / "q.onnx", kind=kind, samples=seen)
    assert report.quantized["MatMul"] > 100  # eight linears and two GEGLUs or more a transformer, and four of these
    assert 0.001 < error(run(tmp_path / "q.onnx", held_out, kind), run(source, held_out)) < limit


def test_numbers_are_rounded_to_the_nearest_and_saturate():
    values = np.array([0.0, 0.26, -0.24, 70.0, -70.0], np.float32)
    assert encode(values, np.float32(0.5), "int8").tolist() == [0, 1, 0, 127, -127]
    made = encode(np.array([1.0, 500.0, -500.0, 17.4], np.float32), np.float32(1.0), "fp8")
    assert made.dtype == ml_dtypes.float8_e4m3fn
    assert made.astype(np.float32).tolist() == [1.0, 448.0, -448.0, 18.0]  # steps of 2 from 16 on


def test_a_scale_is_never_zero_or_subnormal():
    for dtype in (np.dtype("float32"), np.dtype("float16")):
        assert scales(np.array([0.0, 1e-30]), dtype, "int8").min() >= np.finfo(dtype).tiny


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "found no samples"),
        ([{"x": np.full((1, 2, 4), np.nan, np.float32)}], "sample 1 holds NaN or infinity in x"),
        ([{"x": np.ones((1, 2, 4), np.float32)}, {"z": np.ones(3, np.float32)}], "sample 2 has the inputs .*'z'"),
        ([{"x": np.ones((1, 2, 4), np.float64)}], r"tensor\(double\).*the graph takes .*tensor\(float\)"),
    ],
)
def test_samples_that_cannot_be_used_are_refused_and_nothing_is_written(tmp_path, samples, message):
    source = one_linear(tmp_path / "one.onnx", np.eye(4, dtype=np.float32))
    with pytest.raises(InputError, match=message):
        quantize(source, tmp_path / "q.onnx", kind="int8", samples=samples)
    assert [file.name for file in tmp_path.iterdir()] == ["one.onnx"]


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="no quantisation 'int4'; choose one of int8, fp8"):
        quantize(tmp_path / "none.onnx", tmp_path / "q.onnx", kind="int4", samples=[])  # type: ignore[arg-type]


def test_a_graph_that_overflows_on_its_samples_is_refused(tmp_path):
    source = one_linear(tmp_path / "one.onnx", np.eye(4, dtype=np.float32), squared=True)
    with pytest.raises(NonFiniteError, match="xx is inf for sample 1"):
        quantize(source, tmp_path / "q.onnx", kind="int8", samples=[{"x": np.full((1, 2, 4), 1e30, np.float32)}])


def test_a_full_disk_leaves_no_half_written_file(tmp_path, monkeypatch):
    source = one_linear(tmp_path / "one.onnx", np.eye(4, dtype=np.float32))

    def fill(model, path, **more):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_ir, "save", fill)
    with pytest.raises(OSError, match="No space"):
        quantize(source, tmp_path / "q.onnx", kind="int8", samples=[{"x": np.ones((1, 2, 4), np.float32)}])
    assert [file.name for file in tmp_path.iterdir()] == ["one.onnx"]
