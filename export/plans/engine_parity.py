"""Does a built engine compute what its network computes? PyTorch, ONNX Runtime and the engine on the same inputs.

The reference is the network in float32 where the build has its weights, else the exported graph on ONNX Runtime, which
was compared with the network when it was exported. The comparing is Polygraphy's: its signal-to-noise ratio is the
error's rms over the output's, in decibels.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines import families
from engines.backend import Backend, Session
from engines.errors import InputError, ParityError, how_to_install
from engines.manifest import GraphRecord, Manifest
from engines.plans import Target
from engines.spec import QUANTIZATIONS, NetworkSpec

if TYPE_CHECKING:  # torch: only comparing needs it
    from export.graphs.graph import Graph
    from export.graphs.parity import Expected


# Errors relative to the rms of the reference's output. fp16 as after the export (`export.graphs.parity`). fp32 is not
# held to what two CPUs agree on: a GPU sums in another order and has faster sines; a wrong engine is off by 1.
# bf16 has three bits fewer than fp16: pocket's graphs are off by 0.004 to 0.024 rms and by 0.24 at worst (measured).
TOLERANCES = {
    "fp32": {"rms": 1e-3, "max": 1e-2},
    "fp16": {"rms": 0.03, "max": 0.2},
    "bf16": {"rms": 0.1, "max": 1.0},
    "codes": {"rms": 0.1},  # where two codes are as good as each other, a GPU chooses another (export.graphs.parity)
}
# Work of one call that ONNX Runtime may do on a CPU to be a reference: some seconds; a full-size UNet takes hours.
MOST_ON_CPU_FLOP = 0.5e12

Try = tuple[Mapping[str, int], Mapping[str, np.ndarray]]  # sizes, inputs
Reference = Callable[[str], "list[Expected]"]  # a graph's name -> what its float32 network gives for its tries


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one runner made of the inputs of one try."""

    runner: str  # "torch" | "onnxruntime" | the engine's family
    sizes: Mapping[str, int]
    outputs: Mapping[str, np.ndarray]


def compare_engine(
    manifest: Manifest,
    record: GraphRecord,
    target: Target,
    *,
    plan: Path,
    onnx: Path,
    reference: Reference | None,
    device_id: int,
) -> dict[str, float]:
    """Run a graph and its plan at every size that `export.graphs.parity` tries, and the network where it is at hand.

    Returns what `compare_runs` returns, and raises what it raises.
    """
    from engines.trt_backend import open_trt_backend

    precision, tries, runs = other_runs(manifest, record, onnx, reference, device_id=device_id)
    # Built for a card that may be too small for all of the weights, so run as there: what TensorRT sees fit stays.
    streams = target.options.weight_streaming
    backend = open_trt_backend(target.family, device_id=device_id, automatic_budget=streams)
    try:
        session = backend.load(record.spec, plan, onnx if target.options.strip else None)
        for (s, inputs), made in zip(tries, runs, strict=True):
            made.append(run_session(session, backend, inputs, runner=target.family, sizes=s))
        session.close()
    finally:
        backend.close()
    return compare_runs(record.spec, precision, runs)


def other_runs(
    manifest: Manifest, record: GraphRecord, onnx: Path, reference: Reference | None, *, device_id: int
) -> tuple[str, list[Try], list[list[Run]]]:
    """What an engine is held against: which of the TOLERANCES, the tries, and of each try what others made of it, the
    network first where it is at hand, then ONNX Runtime where it can."""
    from export.graphs.parity import precision_of, sizes_to_try

    graph = graph_of(manifest, record)
    # An 8-bit graph is held against itself on ONNX Runtime: its network is another thing, and noise is no picture.
    expected = reference(record.name) if reference and graph.quantized is None else []
    if expected:
        tries: list[Try] = [(one.sizes, one.inputs) for one in expected]
    else:
        sizes = sizes_to_try(graph)
        tries = [(s, {k: t.numpy() for k, t in graph.example(s, seed).items()}) for seed, s in enumerate(sizes)]
    runs: list[list[Run]] = [[] for _ in tries]
    if _onnx_can_refer(record):
        runs = [[run] for run in _on_onnx_runtime(record, onnx, tries, device_id)]
    for one, made in zip(expected, runs, strict=bool(expected)):
        outputs = {tensor.name: array for tensor, array in zip(record.spec.outputs, one.outputs, strict=True)}
        made.insert(0, Run(runner="torch", sizes=one.sizes, outputs=outputs))
    return precision_of(graph), tries, runs


def not_as_before(before: Run, again: Run) -> bool:
    """Whether two runs of one engine on the same inputs differ in a bit."""
    return any(not np.array_equal(before.outputs[name], found) for name, found in again.outputs.items())


def why_no_reference(record: GraphRecord, by_network: bool) -> str:
    """Why nothing here can say what an engine should compute; empty when something can.

    `by_network`: its network will be run as well. Raises InputError when what the comparing takes is not installed,
    EngineMismatch when that is ONNX Runtime.
    """
    if missing := [name for name in ("torch", "polygraphy") if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"comparing engines takes {' and '.join(missing)}; {how_to_install('export')}, or build with --no-parity"
        )
    if by_network or _onnx_can_refer(record):
        return ""
    return (
        "ONNX Runtime has no CUDA here, and on a CPU this graph takes too long: pip uninstall onnxruntime, then pip "
        "install onnxruntime-gpu; or give the weights"
    )


def _onnx_can_refer(record: GraphRecord) -> bool:
    """Whether ONNX Runtime runs this graph in seconds."""
    return _onnx_has_cuda() or record.flops.get("call", 0) <= MOST_ON_CPU_FLOP


def _onnx_has_cuda() -> bool:
    return "CUDAExecutionProvider" in families.load(families.ONNXRUNTIME).get_available_providers()


def _on_onnx_runtime(record: GraphRecord, onnx: Path, tries: Sequence[Try], device_id: int) -> list[Run]:
    from engines.onnx_backend import OnnxBackend

    backend = OnnxBackend(provider="cuda" if _onnx_has_cuda() else "cpu", device_id=device_id)
    session = backend.load(record.spec, onnx)
    runs = [run_session(session, backend, inputs, runner="onnxruntime", sizes=sizes) for sizes, inputs in tries]
    session.close()  # before the engine opens: both at once would hold the weights twice
    backend.close()
    return runs


def graph_of(manifest: Manifest, record: GraphRecord) -> Graph:
    """The graph behind a record, for its example inputs. Raises InputError when this program makes another one."""
    from export.models import find_model

    model = find_model(manifest.preset)
    live = model.live_networks or None  # without a live mode there are none of these graphs, and asking is refused
    graphs = model.graphs(
        size=manifest.size,
        frames=manifest.frames,
        half=manifest.precision == "fp16",
        reuse=live is not None,
        live=live,
        quantize=() if live is None else QUANTIZATIONS,
    )
    if (graph := graphs.get(record.name)) is None or graph.spec != record.spec:
        raise InputError(
            f"the bundle's {record.name} is not what this program exports; export it again: "
            "the same command with --weights DIR or --random-weights"
        )
    return graph


def run_session(
    session: Session, backend: Backend, inputs: Mapping[str, np.ndarray], *, runner: str, sizes: Mapping[str, int]
) -> Run:
    """One try on a graph or an engine."""
    made = session.run({name: backend.upload(array) for name, array in inputs.items()})
    return Run(runner=runner, sizes=sizes, outputs={name: backend.download(buffer) for name, buffer in made.items()})


def compare_runs(spec: NetworkSpec, precision: str, tries: Sequence[Sequence[Run]]) -> dict[str, float]:
    """Hold the last run of each try against every other run of it; the first is the reference.

    Returns the worst "max" and "rms" error against the reference, relative to the output's rms, and "rms_NAME" against
    each other runner. Raises ParityError that names the engine, the sizes and the error when a limit is passed.
    """
    limits = TOLERANCES[precision]
    worst: dict[str, float] = {"max": 0.0, "rms": 0.0}
    for runs in tries:
        *others, engine = runs
        for number, other in enumerate(others):
            for output, found in _errors(other, engine).items():
                for kind, limit in limits.items():
                    if not found[kind] <= limit:  # NaN too
                        raise ParityError(
                            f"the {engine.runner} engine of {spec.name} disagrees with {other.runner}: {kind} error "
                            f"{found[kind]:.3g} of {output}'s rms at {dict(engine.sizes)}, limit {limit} for "
                            f"{precision}; the engine was not kept. Build it for another family, and please report "
                            "this with the versions that `hp-trt doctor` prints"
                        )
                if number == 0:
                    worst = {**worst, "max": max(worst["max"], found["max"]), "rms": max(worst["rms"], found["rms"])}
                else:
                    key = f"rms_{other.runner}"
                    worst[key] = max(worst.get(key, 0.0), found["rms"])
    return worst


def _errors(reference: Run, engine: Run) -> dict[str, dict[str, float]]:
    """By output: "max" and "rms" error of the engine, over the reference's rms."""
    from polygraphy.comparator import Comparator, IterationResult, RunResults, SimpleCompareFunc, SnrCompareFunc
    from polygraphy.logger import G_LOGGER

    from export.graphs.parity import less_a_level

    # Polygraphy refuses a view, as PyTorch gives of pixels: astype alone would keep its order.
    found = {name: np.ascontiguousarray(array, np.float32) for name, array in engine.outputs.items()}
    expected = {
        name: np.ascontiguousarray(less_a_level(engine.outputs[name], array.astype(np.float32)))
        for name, array in reference.outputs.items()
    }
    results = RunResults()
    for run, wide in ((reference, expected), (engine, found)):
        results.append((run.runner, [IterationResult(wide, runner_name=run.runner)]))
    # The limits are ours: they are relative to the rms, which Polygraphy's own are not.
    measures = [SnrCompareFunc(snr_threshold=0), SimpleCompareFunc(check_error_stat="max", atol=0, rtol=0)]
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL), np.errstate(all="ignore"):  # NaN is told in one line, by us
        noise, simple = Comparator.compare_accuracy(results, comparisons=[(0, 1)], compare_func=measures)
    pair = (reference.runner, engine.runner)
    errors = {}
    for name, output in reference.outputs.items():
        scale = float(np.sqrt(np.mean(np.square(output, dtype=np.float64)))) or 1.0
        snr_db = noise[pair][0][name].snr
        errors[name] = {"max": float(simple[pair][0][name].max_absdiff) / scale, "rms": float(10 ** (-snr_db / 20))}
    return errors
