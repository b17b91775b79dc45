"""One ONNX graph to one plan, for TensorRT and TensorRT for RTX alike.

Networks are strongly typed: the graph decides every precision. Sizes known only at run time get one optimisation
profile, their `DimRange`. The plan is written under another name first and renamed: whatever happens, nothing
half-written is left.

A builder may end the whole process: TensorRT for RTX 1.7 crashed on two attentions with one query (see
`export.graphs.shared_queries`). Finished plans are the caller's to keep before the next is begun.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from engines import families
from engines.errors import EngineMismatch, InternalError
from engines.families import Family
from engines.gpu import Gpu, find_gpu, require_gpu
from engines.part_file import write_whole
from engines.plans import PlanOptions, Target
from engines.safe_output import refusing
from engines.spec import NetworkSpec
from export.plans.attention import (
    attention_line,
    engine_layers,
    find_attention,
    is_fused,
    is_small,
    no_kernel,
    read_engine,
    summary,
)
from export.plans.plan_watch import OnProgress, make_logger, make_monitor, run_watched, use_device
from export.plans.timing_cache import load_timing_cache, save_timing_cache

DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT64": "int64",
    "INT32": "int32",
    "UINT8": "uint8",
}
INSTEAD = "build it for onnxruntime and report this"
KNOWN = "has Int64 binding."  # a warning at each int64 input: ours have an int64 binding


@dataclass(frozen=True, kw_only=True)
class PlanReport:
    """How a plan was built."""

    seconds: float
    peak_bytes: int  # the most that this process's resident memory rose between reading the graph and having the plan
    attention: dict[str, Any]  # export.plans.attention.summary
    layers: tuple[dict[str, Any], ...]  # name, type, outputs: a list of shape and dtype
    layers_from: str  # "engine", where this GPU could open it; else "network": before the builder fused anything
    warnings: tuple[str, ...] = field(default=())


def build_plan(
    family: Family,
    *,
    spec: NetworkSpec,
    onnx: Path,
    out: Path,
    target: Target,
    timing_cache: Path | None = None,
    on_progress: OnProgress | None = None,
    log: Callable[[str], None] | None = None,
    device_id: int = 0,
) -> PlanReport:
    """Build `onnx` for `target` into the file `out`. `log` gets each line that the builder warns with.

    Raises EngineMismatch when the family cannot build it, InternalError when the graph is not what `spec` promises,
    OutputError when the plan cannot be written, and KeyboardInterrupt once the builder has stopped.
    """
    start = time.perf_counter()
    if not family.builds_without_gpu:
        require_gpu(device_id)  # without a driver, the library ends the process
    trt = families.load(family)
    found = find_attention(onnx, spec, rtx=family.name == families.RTX.name)
    logger, monitor = make_logger(trt, log), make_monitor(trt, on_progress)

    def work(all_loose: bool) -> tuple[Any, list[dict[str, Any]]]:
        if isinstance(find_gpu(device_id), Gpu):
            use_device(device_id)  # CUDA's choice is a thread's own
        builder = trt.Builder(logger)
        network = read_network(trt, family, builder, logger, spec, onnx, found, all_loose=all_loose)
        config = make_config(trt, builder, spec, target)
        config.progress_monitor = monitor
        cache = load_timing_cache(family, trt, config, timing_cache)
        plan = builder.build_serialized_network(network, config)
        if plan is not None and not monitor.stop.is_set():
            save_timing_cache(family, trt, cache, timing_cache)
        return plan, network_layers(trt, network)

    (plan, layers), peak = run_watched(lambda: work(False), monitor.stop)
    slow: list[str] = []
    if plan is None and not monitor.stop.is_set() and no_kernel(logger.errors):
        slow = [f"an attention has no fused kernel, so all of them may be taken apart: {logger.errors[0]}"]
        found = [replace(a, loose=a.kind == "fused") for a in found]
        logger.errors.clear()
        (plan, layers), again = run_watched(lambda: work(True), monitor.stop)
        peak = max(peak, again)
    if monitor.error is not None:
        raise monitor.error
    if plan is None:
        raise EngineMismatch(_failure(family, trt, spec, logger.errors))
    _write(plan, out)
    attention, layers_from = summary(found), "network"
    information = engine_information(trt, logger, plan, target, device_id)
    if information is not None and (shown := engine_layers(information)):
        attention, layers, layers_from = read_engine(information, found), shown, "engine"
    slow += [attention_line(attention)] if attention["score_maps"] else []
    return PlanReport(
        seconds=round(time.perf_counter() - start, 2),
        peak_bytes=peak,
        attention=attention,
        layers=tuple(layers),
        layers_from=layers_from,
        warnings=(*slow, *(line for line in dict.fromkeys(logger.warnings) if not line.endswith(KNOWN))),
    )


def read_network(
    trt: ModuleType, family: Family, builder, logger, spec: NetworkSpec, onnx: Path, found, *, all_loose: bool = False
):
    """The parsed network, held against `spec`, its attentions marked. Its parser dies before it: the other way crashes.

    `found`: its attentions, `all_loose`: of which none has to be fused.

    Raises EngineMismatch with the node that the parser does not take, InternalError for another network than promised.
    """
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    _parse(parser, family, trt, spec, onnx)
    _check(network, spec)
    marked = _mark_attention(trt, network, rtx=family.name == families.RTX.name, all_loose=all_loose)
    expected = sum(a.kind == "decomposable" or a.loose for a in found)
    if marked != expected:
        raise InternalError(f"{spec.name}: {marked} attentions need no fused kernel, its graph said {expected}")
    return network


def make_config(trt: ModuleType, builder, spec: NetworkSpec, target: Target):
    """The builder's configuration: the profile of `spec`, the options of `target`."""
    options: PlanOptions = target.options
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 graphs are the fp32 islands: they mean it
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # A run then needs the activations of its own shapes, not those of the profile's largest.
    config.set_preview_feature(trt.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10, True)
    wanted = {
        trt.BuilderFlag.VERSION_COMPATIBLE: options.version_compatible,
        trt.BuilderFlag.WEIGHT_STREAMING: options.weight_streaming,
        trt.BuilderFlag.REFIT: options.strip,  # for any weights of the same shapes
        trt.BuilderFlag.STRIP_PLAN: options.strip,
    }
    for flag in (flag for flag, on in wanted.items() if on):
        config.set_flag(flag)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.max_aux_streams is not None:
        config.max_aux_streams = options.max_aux_streams
    if options.tiling_optimization_level is not None:
        config.tiling_optimization_level = (
            trt.TilingOptimizationLevel.NONE,
            trt.TilingOptimizationLevel.FAST,
            trt.TilingOptimizationLevel.MODERATE,
            trt.TilingOptimizationLevel.FULL,
        )[options.tiling_optimization_level]
    if target.family == families.RTX.name:  # RTX only: it compiles for capabilities, not for the GPU at hand
        if not options.weight_streaming:  # excludes the flag, and so capture as CUDA graphs, which needs it
            config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        config.num_compute_capabilities = len(target.capabilities)
        for i, capability in enumerate(target.capabilities):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}"), i)
    if spec.ranges:
        profile = builder.create_optimization_profile()
        for promised in spec.inputs:
            sizes = [
                [getattr(spec.ranges[d], at) if isinstance(d, str) else d for d in promised.dims]
                for at in ("min", "opt", "max")
            ]
            if any(isinstance(d, str) for d in promised.dims):
                profile.set_shape(promised.name, *sizes)
        config.add_optimization_profile(profile)
    return config


def network_layers(trt: ModuleType, network) -> list[dict[str, Any]]:
    """The network's layers as small dicts, without its constants."""
    layers = []
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        if layer.type == trt.LayerType.CONSTANT:
            continue
        outputs = []
        for j in range(layer.num_outputs):
            tensor = layer.get_output(j)
            if tensor is not None:
                outputs.append({"shape": list(tensor.shape), "dtype": _dtype(tensor)})
        layers.append({"name": layer.name, "type": layer.type.name, "outputs": outputs})
    return layers


def _parse(parser, family: Family, trt: ModuleType, spec: NetworkSpec, onnx: Path) -> None:
    if parser.parse_from_file(str(onnx)):
        return
    reasons = []
    for i in range(parser.num_errors):
        error = parser.get_error(i)
        node = f"node {error.node_name() or '?'} ({error.node_operator() or '?'}): " if error.node_operator() else ""
        reasons.append(node + " ".join(error.desc().split()))
    raise EngineMismatch(
        f"{spec.name}: {family.name} {trt.__version__} cannot read {onnx.name}: "
        f"{reasons[0] if reasons else 'no reason'}; {INSTEAD}"
    )


def _check(network, spec: NetworkSpec) -> None:
    """Names, dtypes and shapes of the network against the promise; the order may differ, we bind by name."""
    for what, count, get, promised in (
        ("inputs", network.num_inputs, network.get_input, spec.inputs),
        ("outputs", network.num_outputs, network.get_output, spec.outputs),
    ):
        made = {}
        for i in range(count):
            tensor = get(i)
            made[tensor.name] = (tuple(tensor.shape), _dtype(tensor))
        needed = {t.name: (tuple(-1 if isinstance(d, str) else d for d in t.dims), t.dtype) for t in promised}
        if made != needed:
            raise InternalError(f"{spec.name}: the network's {what} are {made}, its spec promises {needed}")


def _mark_attention(trt: ModuleType, network, *, rtx: bool, all_loose: bool) -> int:
    """Allow the attentions that have no fused kernel or need none to be taken apart; how many these are."""
    marked = 0
    for i in range(network.num_layers):
        layer = network.get_layer(i)
        if layer.type != trt.LayerType.ATTENTION_INPUT:
            continue
        layer.__class__ = trt.IAttentionInputLayer  # get_layer gives plain ILayers
        attention = layer.attention
        tensor = attention.get_input(0)
        query, keys = tuple(tensor.shape), attention.get_input(1).shape[2]
        if all_loose or not is_fused(_dtype(tensor), query, rtx=rtx) or is_small(query[2], keys):
            attention.decomposable = True
            marked += 1
    return marked


def _failure(family: Family, trt: ModuleType, spec: NetworkSpec, errors: list[str]) -> str:
    """One line for a build that gave no plan."""
    reason = errors[0] if errors else "it gave no reason"
    if re.search("within workspace limit", " ".join(errors)):
        way_out = "allow a larger workspace"
    elif re.search(r"out of memory|OutOfMemory", " ".join(errors), re.IGNORECASE):
        way_out = "close other programs on the GPU, or build a smaller --size or fewer --frames"
    else:
        way_out = INSTEAD
    return f"{spec.name}: {family.name} {trt.__version__} built no plan: {reason}; {way_out}"


def _write(plan, out: Path) -> None:
    with refusing(out):
        write_whole(out, plan)


def engine_information(trt: ModuleType, logger, plan, target: Target, device_id: int) -> str | None:
    """What the inspector tells of a serialized `plan`'s layers: JSON. None where this machine's GPU cannot open it:
    TensorRT must not be asked without a GPU, or on another than the plan is for."""
    gpu = find_gpu(device_id)
    if not isinstance(gpu, Gpu) or gpu.capability not in target.capabilities:
        return None
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        return None
    inspector = engine.create_engine_inspector()
    return inspector.get_engine_information(trt.LayerInformationFormat.JSON)


def _dtype(tensor) -> str:
    return DTYPES.get(tensor.dtype.name, tensor.dtype.name)
