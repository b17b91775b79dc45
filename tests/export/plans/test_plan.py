"""Plans, really built by TensorRT for RTX on a CPU; what that cannot show, with recorded calls."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import threading
from types import SimpleNamespace

import onnx
import pytest

from engines import families, gpu
from engines.errors import EngineMismatch, InternalError, OutputError
from engines.gpu import NoGpu
from engines.plans import PlanOptions, Target
from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.hunyuanportrait.presets import HUNYUANPORTRAIT, POCKET
from export.plans import attention, plan
from export.plans.attention import attention_line
from export.plans.plan import build_plan, make_config
from tests.export.hunyuanportrait.half_graphs import NAMES, half_graphs, half_onnx
from tests.export.plans.parsed import parsed, promised
from tests.export.tiny import TINY

RTX = families.RTX
# 16 transformers or 4, of two blocks, each with self-attention and both cross-attentions; the middle of each half of
# the VAE.
ATTENTIONS = {
    "pocket": {"denoiser": 96, "appearance": 24, "motion": 6, "vae_decoder": 1, "vae_encoder": 1},
    "tiny": {"denoiser": 24, "appearance": 2, "motion": 1, "vae_decoder": 1, "vae_encoder": 1},
}


@pytest.fixture(scope="module")
def trt():
    return pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")


def target(**options) -> Target:
    return Target(
        family=RTX.name,
        version="1.7.1.116",
        capabilities=("8.9",),
        platform="linux-x86_64",
        options=PlanOptions(**options),
    )


def build(onnx_path, spec, out, **more):
    return build_plan(RTX, spec=spec, onnx=onnx_path, out=out, **{"target": target(), **more})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "preset", [pytest.param(TINY, id="tiny"), pytest.param(POCKET, id="pocket", marks=pytest.mark.heavy)]
)
def test_every_graph_builds_and_is_what_its_spec_promises(trt, onnx_cache, tmp_path, preset, name):
    path, spec = half_onnx(onnx_cache, name, preset), half_graphs(preset)[name].spec
    phases = []
    report = build(path, spec, tmp_path / f"{name}.plan", on_progress=lambda *step: phases.append(step))

    assert parsed(trt, path) == (promised(spec.inputs), promised(spec.outputs))
    assert [p.name for p in tmp_path.iterdir()] == [f"{name}.plan"]
    weights = path.with_name(path.name + ".data").stat().st_size
    assert (tmp_path / f"{name}.plan").stat().st_size > 0.9 * weights
    assert ("Building engine", 6, 6) in phases
    assert report.layers_from == "network" and report.layers
    assert report.attention["count"] == ATTENTIONS[preset.name].get(name, 0)
    # No kernels are made for fp32, nor for a picture alone under a single head; their maps are small, and the others
    # are all fused.
    taken_apart = name in ("appearance", "motion", "vae_encoder")
    assert report.attention["fused"] == (0 if taken_apart else report.attention["count"])
    assert report.warnings == ((attention_line(report.attention),) if taken_apart else ())


@pytest.fixture
def small(onnx_cache):
    return half_onnx(onnx_cache, "step_embedding"), half_graphs()["step_embedding"].spec


@pytest.fixture
def attentive(onnx_cache):
    return half_onnx(onnx_cache, "vae_encoder"), half_graphs()["vae_encoder"].spec


@pytest.mark.parametrize(
    "options",
    [
        {"weight_streaming": True},
        {"optimization_level": 0},
        {"workspace_bytes": 1 << 30},
        {"max_aux_streams": 0, "tiling_optimization_level": 1},
    ],
)
def test_options_that_a_cpu_can_build_give_a_plan(trt, small, tmp_path, options):
    build(*small, tmp_path / "p.plan", target=target(**options))
    assert (tmp_path / "p.plan").stat().st_size > 0


def test_a_plan_is_built_for_several_capabilities_at_once(trt, attentive, tmp_path):
    both = dataclasses.replace(target(), capabilities=("8.6", "12.0"))
    build(*attentive, tmp_path / "both.plan", target=both)
    build(*attentive, tmp_path / "one.plan")
    assert (tmp_path / "both.plan").stat().st_size > (tmp_path / "one.plan").stat().st_size


@pytest.mark.parametrize(
    ("batch", "heads", "queries", "width", "fused"),
    [
        (6, 2, 7, 64, 1),
        (6, 2, 7, 160, 1),
        (6, 2, 7, 32, 1),
        (1, 2, 7, 32, 1),
        (6, 1, 7, 32, 1),
        (6, 2, 1, 64, 0),
        (1, 1, 7, 64, 0),
    ],
)
def test_an_attention_builds_with_a_fused_kernel_or_without(trt, tmp_path, batch, heads, queries, width, fused):
    # Left unmarked, TensorRT for RTX 1.7 gives no plan of the last two. One is the coarsest level at 64 pixels, a
    # cell; the other is pocket's appearance network.
    spec = ask(tmp_path / "ask.onnx", batch, heads, queries, width)
    report = build(tmp_path / "ask.onnx", spec, tmp_path / "ask.plan")
    assert (report.attention["count"], report.attention["fused"]) == (1, fused)


def ask(path, batch=1, heads=1, queries=70, width=64) -> NetworkSpec:
    """A graph of one attention, of 64 keys."""

    def value(name, count):
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT16, [batch, heads, count, width])

    node = onnx.helper.make_node("Attention", ["q", "k", "v"], ["y"], name="ask")
    ends = [value("q", queries), value("k", 64), value("v", 64)], [value("y", queries)]
    graph = onnx.helper.make_graph([node], "g", *ends)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)]), path)
    tensors = [
        TensorSpec(name=n, dims=(batch, heads, count, width), dtype="float16")
        for n, count in (("q", queries), ("k", 64), ("v", 64), ("y", queries))
    ]
    return NetworkSpec(name="ask", inputs=tuple(tensors[:3]), outputs=tuple(tensors[3:]))


def test_an_attention_that_turns_out_to_have_no_kernel_does_not_cost_the_build(trt, tmp_path, monkeypatch):
    """As on a card that nobody has tried: the rules say that it has one, the real compiler says that it has none."""
    for module in (plan, attention):
        monkeypatch.setattr(module, "is_fused", lambda dtype, query, rtx: True)
    report = build(tmp_path / "ask.onnx", ask(tmp_path / "ask.onnx"), tmp_path / "ask.plan")
    assert (tmp_path / "ask.plan").stat().st_size > 0
    assert report.attention["loose"] == 1
    [warning] = report.warnings
    assert warning.startswith("an attention has no fused kernel, so all of them may be taken apart: ")
    assert "not supported by a dedicated kernel" in warning


class Refusing:
    """A TensorRT for RTX whose network is one attention, and whose builder refuses with `says` until it is marked.
    `builds`: of each, whether it was marked."""

    def __init__(self, says: str, *, marked_too: bool = False) -> None:
        self.builds: list[bool] = []
        shapes = {"q": (1, 1, 70, 64), "k": (1, 1, 64, 64), "v": (1, 1, 64, 64), "y": (1, 1, 70, 64)}
        tensors = [SimpleNamespace(name=n, shape=s, dtype=SimpleNamespace(name="HALF")) for n, s in shapes.items()]
        logger = type("ILogger", (), {"__init__": lambda self: None})
        flags = ("TF32", "VERSION_COMPATIBLE", "WEIGHT_STREAMING", "REFIT", "STRIP_PLAN", "REQUIRE_USER_ALLOCATION")

        class Layer:
            name, type, num_outputs = "ask", SimpleNamespace(name="ATTENTION_INPUT"), 0

        def network(flag):
            layer = Layer()
            layer.attention = SimpleNamespace(get_input=lambda i: tensors[i], decomposable=False)
            return SimpleNamespace(
                layer=layer,
                num_layers=1,
                get_layer=lambda i: layer,
                num_inputs=3,
                get_input=lambda i: tensors[i],
                num_outputs=1,
                get_output=lambda i: tensors[3],
            )

        def serialized(network, config, logger):
            self.builds.append(network.layer.attention.decomposable)
            if self.builds[-1] and not marked_too:
                return b"plan"
            logger.log(1, says)
            return None

        self.module = SimpleNamespace(
            __version__="1.7.1.116",
            ILogger=logger,
            IProgressMonitor=logger,
            NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=0),
            LayerType=SimpleNamespace(ATTENTION_INPUT=Layer.type, CONSTANT="CONSTANT"),
            IAttentionInputLayer=Layer,
            BuilderFlag=SimpleNamespace(**dict.fromkeys(flags)),
            ComputeCapability=SimpleNamespace(SM89="SM89"),
            PreviewFeature=FAKE.PreviewFeature,
            ProfilingVerbosity=FAKE.ProfilingVerbosity,
            OnnxParser=lambda network, logger: SimpleNamespace(parse_from_file=lambda path: True),
            Builder=lambda logger: SimpleNamespace(
                create_network=network,
                create_builder_config=Recorder,
                build_serialized_network=lambda network, config: serialized(network, config, logger),
            ),
        )


@pytest.mark.parametrize(
    ("says", "marked_too", "builds"),
    [
        ("Attention operation was not supported by a dedicated kernel", False, [False, True]),
        ("CHECK(composite_op->is_decomposable()) failed", False, [False, True]),
        ("Attention operation: something else is wrong", True, [False, True]),
        ("no implementation within workspace limit", False, [False]),
    ],
)
def test_a_build_that_fails_over_attention_is_done_once_more_with_all_of_them_marked(
    tmp_path, monkeypatch, says, marked_too, builds
):
    refusing = Refusing(says, marked_too=marked_too)
    monkeypatch.setattr(families, "load", lambda family: refusing.module)
    for module in (plan, attention):
        monkeypatch.setattr(module, "is_fused", lambda dtype, query, rtx: True)
    spec = ask(tmp_path / "ask.onnx")
    if builds == [False] or marked_too:
        with pytest.raises(EngineMismatch, match=f"ask: tensorrt-rtx 1.7.1.116 built no plan: {re.escape(says)}"):
            build(tmp_path / "ask.onnx", spec, tmp_path / "ask.plan")
    else:
        report = build(tmp_path / "ask.onnx", spec, tmp_path / "ask.plan")
        assert report.warnings == (f"an attention has no fused kernel, so all of them may be taken apart: {says}",)
    assert refusing.builds == builds


def renamed(spec, **changes):
    first, *rest = spec.inputs
    return dataclasses.replace(spec, inputs=(dataclasses.replace(first, **changes), *rest))


@pytest.mark.parametrize("changes", [{"name": "times"}, {"dtype": "float16"}, {"dims": ("steps", 1)}])
def test_a_graph_that_is_not_what_its_spec_promises_is_our_own_mistake(trt, small, tmp_path, changes):
    path, spec = small
    with pytest.raises(
        InternalError, match=r"step_embedding: the network's inputs are .*'timesteps'.*its spec promises"
    ):
        build(path, renamed(spec, **changes), tmp_path / "p.plan")
    assert not list(tmp_path.iterdir())


def test_an_output_of_another_type_is_found_too(trt, small, tmp_path):
    path, spec = small
    wrong = dataclasses.replace(spec, outputs=(dataclasses.replace(spec.outputs[0], dtype="float16"),))
    with pytest.raises(InternalError, match="the network's outputs are"):
        build(path, wrong, tmp_path / "p.plan")


def one_node(path, operator, domain="", dtype=onnx.TensorProto.FLOAT, opset=23) -> NetworkSpec:
    node = onnx.helper.make_node(operator, ["x"], ["y"], name="the_node", domain=domain)
    values = [onnx.helper.make_tensor_value_info(name, dtype, [2, 3]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("ours", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets), path)
    dtype_name = str(onnx.helper.tensor_dtype_to_np_dtype(dtype))
    tensors = [TensorSpec(name=name, dims=(2, 3), dtype=dtype_name) for name in ("x", "y")]
    return NetworkSpec(name="small", inputs=(tensors[0],), outputs=(tensors[1],))


@pytest.mark.parametrize(("operator", "domain"), [("Frobnicate", "ours"), ("Det", "")])
def test_an_operator_the_family_does_not_know_is_named_with_its_node_and_the_way_out(trt, tmp_path, operator, domain):
    spec = one_node(tmp_path / "small.onnx", operator, domain)
    with pytest.raises(EngineMismatch) as caught:
        build(tmp_path / "small.onnx", spec, tmp_path / "p.plan")
    message = str(caught.value)
    assert message.startswith("small: tensorrt-rtx 1.7") and f"node the_node ({operator})" in message
    assert message.endswith("build it for onnxruntime and report this") and "\n" not in message


def test_a_builder_without_room_to_work_says_so(trt, attentive, tmp_path):
    with pytest.raises(
        EngineMismatch, match=r"^vae_encoder: tensorrt-rtx .* built no plan: .*; allow a larger workspace$"
    ):
        build(*attentive, tmp_path / "p.plan", target=target(workspace_bytes=1000))
    assert not list(tmp_path.iterdir())


def test_a_plan_that_cannot_be_written_leaves_nothing(trt, small, tmp_path):
    (tmp_path / "p.plan").mkdir()
    with pytest.raises(OutputError, match=r"p\.plan is a folder; give a file name"):
        build(*small, tmp_path / "p.plan")
    assert [p.name for p in tmp_path.iterdir()] == ["p.plan"]


def test_ctrl_c_ends_the_build_and_leaves_nothing(trt, attentive, tmp_path):
    def interrupt(phase, done, of):
        if phase == "Building engine" and done == 0:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        build(*attentive, tmp_path / "p.plan", on_progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_a_failing_progress_bar_ends_the_build_with_its_own_error(trt, attentive, tmp_path):
    with pytest.raises(ZeroDivisionError):
        build(*attentive, tmp_path / "p.plan", on_progress=lambda *step: 1 / 0)
    assert not list(tmp_path.iterdir())


def test_tensorrt_is_not_touched_without_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(
        gpu, "find_gpu", lambda index=0: NoGpu(found="no usable device", fix="install the NVIDIA driver")
    )
    monkeypatch.setattr(families, "load", lambda family: pytest.fail("the library was loaded"))
    with pytest.raises(EngineMismatch, match="this needs an NVIDIA GPU, found: no usable device"):
        build_plan(
            families.TENSORRT,
            spec=NetworkSpec(name="small", inputs=(), outputs=()),
            onnx=tmp_path / "small.onnx",
            out=tmp_path / "p.plan",
            target=dataclasses.replace(target(), family="tensorrt"),
        )


class Recorder:
    """Takes any attribute, and writes down calls."""

    def __init__(self) -> None:
        self.calls = []

    def __getattr__(self, name):
        return lambda *args: self.calls.append((name, *args))


class RecordingBuilder:
    def __init__(self) -> None:
        self.config, self.profile = Recorder(), Recorder()

    def create_builder_config(self):
        return self.config

    def create_optimization_profile(self):
        return self.profile


FAKE = SimpleNamespace(
    BuilderFlag=SimpleNamespace(
        TF32="TF32",
        VERSION_COMPATIBLE="VERSION_COMPATIBLE",
        WEIGHT_STREAMING="WEIGHT_STREAMING",
        REFIT="REFIT",
        STRIP_PLAN="STRIP_PLAN",
    ),
    PreviewFeature=SimpleNamespace(RUNTIME_ACTIVATION_RESIZE_10_10="RUNTIME_ACTIVATION_RESIZE_10_10"),
    ProfilingVerbosity=SimpleNamespace(DETAILED="DETAILED"),
    HardwareCompatibilityLevel=SimpleNamespace(AMPERE_PLUS="AMPERE_PLUS"),
    MemoryPoolType=SimpleNamespace(WORKSPACE="WORKSPACE"),
    TilingOptimizationLevel=SimpleNamespace(NONE="NONE", FAST="FAST", MODERATE="MODERATE", FULL="FULL"),
)
WIDE = NetworkSpec(
    name="wide",
    inputs=(TensorSpec(name="x", dims=("rows", 4), dtype="float32"), TensorSpec(name="a", dims=(1,), dtype="float32")),
    outputs=(TensorSpec(name="y", dims=("rows", 4), dtype="float32"),),
    ranges={"rows": DimRange(min=1, opt=2, max=3)},
)


def test_tensorrts_own_options_reach_its_builder():
    builder = RecordingBuilder()
    options = {"version_compatible": True, "hardware_compatible": True, "strip": True}
    wanted = dataclasses.replace(
        target(**options, workspace_bytes=5, optimization_level=2, max_aux_streams=3, tiling_optimization_level=1),
        family="tensorrt",
        version="11.4.0",
    )
    config = make_config(FAKE, builder, WIDE, wanted)
    flags = {call[1] for call in config.calls if call[0] == "set_flag"}
    assert flags == {"VERSION_COMPATIBLE", "REFIT", "STRIP_PLAN"}
    assert ("clear_flag", "TF32") in config.calls
    assert ("set_preview_feature", "RUNTIME_ACTIVATION_RESIZE_10_10", True) in config.calls
    assert ("set_memory_pool_limit", "WORKSPACE", 5) in config.calls
    assert config.hardware_compatibility_level == "AMPERE_PLUS"
    assert config.builder_optimization_level == 2
    assert (config.max_aux_streams, config.tiling_optimization_level) == (3, "FAST")
    assert not [call for call in config.calls if "compute_capability" in call[0]]


def test_the_profile_holds_min_opt_and_max_of_what_is_free():
    builder = RecordingBuilder()
    make_config(FAKE, builder, WIDE, dataclasses.replace(target(), family="tensorrt"))
    assert builder.profile.calls == [("set_shape", "x", [1, 4], [2, 4], [3, 4])]


def test_an_engine_that_this_gpu_opens_tells_its_layers(monkeypatch):
    information = json.dumps({"Layers": [{"Name": "mha", "LayerType": "kgen", "Outputs": [{"Dimensions": [2, 3]}]}]})
    inspector = SimpleNamespace(get_engine_information=lambda form: information)
    engine = SimpleNamespace(create_engine_inspector=lambda: inspector)
    fake = SimpleNamespace(
        Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=lambda blob: engine),
        LayerInformationFormat=SimpleNamespace(JSON="JSON"),
    )
    here = gpu.Gpu(index=0, name="GPU", capability="8.9", total_bytes=1, driver_cuda=(13, 0))
    monkeypatch.setattr(plan, "find_gpu", lambda index=0: here)
    assert plan.engine_information(fake, None, b"plan", target(), 0) == information
    other = dataclasses.replace(target(), capabilities=("12.0",))
    assert plan.engine_information(fake, None, b"plan", other, 0) is None  # built for another GPU


@pytest.mark.full_size
@pytest.mark.usefixtures("quick_weights")
@pytest.mark.parametrize(("name", "fused"), [pytest.param("denoiser", 96, marks=pytest.mark.heavy), ("vae_decoder", 0)])
def test_the_full_size_networks_build_for_a_card_that_is_not_here(trt, onnx_cache, tmp_path, name, fused):
    """25 frames, 512 pixels, every parameter random. The decoder's heads are 512 wide: no kernel is made for that."""
    path, spec = half_onnx(onnx_cache, name, HUNYUANPORTRAIT), half_graphs(HUNYUANPORTRAIT)[name].spec
    try:
        report = build(path, spec, tmp_path / f"{name}.plan")
        weights = path.with_name(path.name + ".data").stat().st_size
    finally:
        onnx_cache.discard(path)
    assert weights <= (tmp_path / f"{name}.plan").stat().st_size < 1.1 * weights
    assert report.peak_bytes > weights  # of a small graph memory that other builds gave back may do
    (tmp_path / f"{name}.plan").unlink()
    assert report.attention["fused"] == fused
    assert bool(report.warnings) == (name == "vae_decoder")
