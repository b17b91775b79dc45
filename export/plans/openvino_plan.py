"""A graph for the CPU here: compiled by OpenVINO, compared, and timed against ONNX Runtime; the faster one runs it.

This is where the choice is made, and the only place: the bundle's table says it from then on. Times are the fastest of
several calls, taken by turns, at the sizes that the graph's promise calls usual, with every core of this process.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.backend import Session
from engines.engine_choice import Engine, EngineChoice, faster
from engines.errors import EngineMismatch, ParityError
from engines.manifest import GraphRecord, Manifest
from engines.openvino_backend import OpenVinoBackend
from engines.spec import NetworkSpec
from export.plans.engine_parity import Reference, Run, compare_runs, not_as_before, other_runs, run_session

ENOUGH_S = 2.0  # of calls by turns, of one graph; of a full-size one a call takes longer
MOST_TURNS, LEAST_TURNS = 20, 3
LONG_S = 10.0  # of all that one turn takes: one such turn is enough


@dataclass(frozen=True, kw_only=True)
class OpenVinoPlan:
    """What became of one graph."""

    choice: EngineChoice
    parity: Mapping[str, float]  # as `compare_runs`, and "bf16_max", "bf16_rms" where the CPU has it


def build_openvino_plan(
    manifest: Manifest, record: GraphRecord, *, onnx: Path, out: Path, reference: Reference | None, compare: bool
) -> OpenVinoPlan:
    """Compile the graph into `out`, which is left only where the plan will be used.

    `compare`: with its network or with ONNX Runtime. Raises ParityError when what OpenVINO makes of the graph in its
    own precision is wrong; where it is wrong in bf16, or does not compile at all, the choice says so.
    """
    backend = OpenVinoBackend()
    try:
        backend.compile(onnx, out, keep_reshapes)
    except EngineMismatch as error:
        out.unlink(missing_ok=True)
        choice = EngineChoice(exported="onnxruntime", threads=backend.threads, why_not=str(error)[:1000])
        return OpenVinoPlan(choice=choice, parity=record.parity)
    spec = record.spec
    parity: dict[str, float] = {}
    why_not = "" if backend.has_bf16 else "this CPU has no products in bf16"
    with ExitStack() as opened:

        def opening(path: Path, **how: bool) -> Session:
            session = backend.load(spec, path, **how)
            opened.callback(session.close)
            return session

        sessions: dict[Engine, Session] = {"onnxruntime": opening(onnx), "openvino": opening(out)}
        if backend.has_bf16:
            sessions["openvino-bf16"] = opening(out, bf16=True)
        if compare:
            parity = _compare(manifest, record, backend, sessions["openvino"], "openvino", onnx, reference)
            try:
                if "openvino-bf16" in sessions:
                    found = _compare(manifest, record, backend, sessions["openvino-bf16"], "bf16", onnx, reference)
                    parity |= {f"bf16_{kind}": found[kind] for kind in ("max", "rms")}
            except ParityError as error:
                why_not = f"not in bf16: {error}"[:1000]
                sessions.pop("openvino-bf16").close()
        sizes = {name: limits.opt for name, limits in spec.ranges.items()}
        choice = faster(by_turns(spec, sessions, sizes), sizes=sizes, threads=backend.threads)
    if not choice.plan_is_used:
        out.unlink()
    return OpenVinoPlan(choice=replace(choice, why_not=why_not), parity=parity)


def keep_reshapes(openvino: Any, model: Any) -> None:
    """Hide pairs of Reshapes around a Transpose, where sizes are known only at run time, from a pass that reads them.

    OpenVINO 2026.4 looks for shuffled channels in Reshape, Transpose, Reshape, which a group norm over frames begins
    with, and ends with "Cannot get length of dynamic dimension". It wants the Transpose to have one reader: so the
    second Reshape's shape gets a zero that is made of the Transpose's sizes. No number changes.
    """
    op = openvino.opset13
    for node in model.get_ordered_ops():
        moved = node.input_value(0) if node.get_type_name() == "Reshape" else None
        if moved is None or moved.get_node().get_type_name() != "Transpose" or moved.get_partial_shape().is_static:
            continue
        if moved.get_node().input_value(0).get_node().get_type_name() == "Reshape":
            count = op.reduce_sum(op.shape_of(moved, "i64"), op.constant(np.array([0], np.int64)))
            zero = op.multiply(count, op.constant(np.int64(0)))
            node.input(1).replace_source_output(op.add(node.input_value(1), zero).output(0))


def by_turns(spec: NetworkSpec, sessions: Mapping[Engine, Session], sizes: Mapping[str, int]) -> dict[str, float]:
    """Milliseconds of each session's fastest call, one after the other in turn, the first call of each not counted."""
    inputs = any_inputs(spec, sizes)
    for session in sessions.values():
        session.run(inputs)
    seconds: dict[str, list[float]] = {engine: [] for engine in sessions}
    turns, spent_s = 0, 0.0
    while turns < MOST_TURNS and ((turns < LEAST_TURNS and spent_s < LONG_S) or spent_s < ENOUGH_S):
        for engine, session in sessions.items():
            start_s = time.perf_counter()
            session.run(inputs)
            seconds[engine].append(time.perf_counter() - start_s)
            spent_s += seconds[engine][-1]
        turns += 1
    return {engine: round(min(times) * 1e3, 3) for engine, times in seconds.items()}


def any_inputs(spec: NetworkSpec, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Numbers of the promised shapes and dtypes: normal ones, and zeros where the graph takes whole numbers."""
    draw = np.random.default_rng(0)
    made = {}
    for tensor in spec.inputs:
        shape = [sizes[dim] if isinstance(dim, str) else dim for dim in tensor.dims]
        drawn = draw.standard_normal(shape) if "float" in tensor.dtype else np.zeros(shape)
        made[tensor.name] = drawn.astype(tensor.dtype)
    return made


def _compare(
    manifest: Manifest,
    record: GraphRecord,
    backend: OpenVinoBackend,
    session: Session,
    runner: str,
    onnx: Path,
    reference: Reference | None,
) -> dict[str, float]:
    """As `compare_engine`; then all sizes again in the other order, which must give the same bits."""
    precision, tries, runs = other_runs(manifest, record, onnx, reference, device_id=0)
    made = [run_session(session, backend, inputs, runner=runner, sizes=sizes) for sizes, inputs in tries]
    for one, all_runs in zip(made, runs, strict=True):
        all_runs.append(one)
    found = compare_runs(record.spec, "bf16" if runner == "bf16" else precision, runs)
    _compare_again(record, backend, session, made, [inputs for _, inputs in tries])
    return found


def _compare_again(
    record: GraphRecord,
    backend: OpenVinoBackend,
    session: Session,
    made: Sequence[Run],
    inputs: Sequence[Mapping[str, np.ndarray]],
) -> None:
    for one, arrays in reversed(list(zip(made, inputs, strict=True))):
        again = run_session(session, backend, arrays, runner=one.runner, sizes=one.sizes)
        if not_as_before(one, again):
            raise ParityError(
                f"the {one.runner} engine of {record.name} gives other numbers at {dict(one.sizes)} after calls of "
                "other sizes; the engine was not kept. Please report this with the versions that `hp-trt doctor` prints"
            )
