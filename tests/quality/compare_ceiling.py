"""How near each graph comes to what the CPU can multiply: docs/performance.md has what this prints.

    python -m tests.quality.compare_ceiling --bundles BEFORE AFTER --threads 2

The ceiling is the fastest of large products and convolutions in oneDNN, by PyTorch, in float32 and where the CPU has it
in bf16, measured in the same run. A graph's share is the arithmetic that its record counts, over its fastest call of
several by turns, at the sizes that its promise calls usual. BEFORE's graphs run on ONNX Runtime, AFTER's on ONNX
Runtime and on OpenVINO. Schemas of bundles may differ: of BEFORE no more than graphs, sizes and counts is read.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import openvino
import torch

from engines.spec import NetworkSpec
from export.plans.openvino_plan import any_inputs, keep_reshapes

GRAPHS = ("denoiser", "live_denoiser", "vae_decoder", "tiny_decoder", "motion", "vae_encoder", "appearance")
Run = Callable[[], Any]


def fastest_s(runs: dict[str, Run], turns: int) -> dict[str, float]:
    """Seconds of the fastest call of each, one after the other in turn, after two calls that do not count."""
    for run in runs.values():
        run(), run()
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(turns):
        for name, run in runs.items():
            start_s = time.perf_counter()
            run()
            found[name].append(time.perf_counter() - start_s)
    return {name: min(times) for name, times in found.items()}


def ceilings(turns: int) -> dict[str, float]:
    """GFLOP/s of the fastest large product or convolution, by dtype."""
    found = {}
    for name, dtype in {"float32": torch.float32, "bf16": torch.bfloat16}.items():
        square, wide = torch.randn(2048, 2048, dtype=dtype), torch.randn(8, 128, 64, 64, dtype=dtype)
        wide = wide.to(memory_format=torch.channels_last)
        kernel = torch.randn(128, 128, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
        flops = {"product": 2 * 2048**3, "convolution": 2 * 9 * 128 * 128 * 8 * 64 * 64}
        with torch.inference_mode():
            runs: dict[str, Run] = {
                "product": partial(torch.matmul, square, square),
                "convolution": partial(torch.nn.functional.conv2d, wide, kernel, padding=1),
            }
            speeds = {what: flops[what] / s / 1e9 for what, s in fastest_s(runs, turns).items()}
        print(f"ceiling, {name}: " + ", ".join(f"{what} {speed:.0f} GFLOP/s" for what, speed in speeds.items()))
        found[name] = max(speeds.values())
    return found


def graph_runs(bundle: Path, name: str, threads: int, *, on_openvino: bool) -> tuple[float, dict[str, Run]]:
    """GFLOP of one call at its usual sizes, and a call of it by each engine."""
    record = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["graphs"][name]
    spec = NetworkSpec.from_json(record["spec"])
    sizes = {dim: limits.opt for dim, limits in spec.ranges.items()}
    inputs = any_inputs(spec, sizes)
    counted = record["flops"]["call"] * math.prod(sizes.values())  # of one row of one frame
    path = next(bundle / file for file in record["files"] if file.endswith(".onnx"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Asleep where they wait: else one session's threads take the cores from the next one's call.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    runs: dict[str, Run] = {"ONNX Runtime": lambda: session.run(None, inputs)}
    if on_openvino:
        core = openvino.Core()
        model = core.read_model(path)
        keep_reshapes(openvino, model)
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        for label, precision in {"OpenVINO": "f32", "OpenVINO bf16": "bf16"}.items():
            if precision == "f32" or has_bf16:
                hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
                request = core.compile_model(model, "CPU", hints).create_infer_request()
                runs[label] = partial(request.infer, inputs)
    return counted / 1e9, runs


def main() -> None:
    parser = argparse.ArgumentParser(description="Each graph's share of what the CPU can multiply, before and after.")
    parser.add_argument("--bundles", type=Path, nargs=2, required=True, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    most = ceilings(asked.turns)
    for name in GRAPHS:
        runs: dict[str, Run] = {}
        gflop = {}
        for when, bundle in zip(("before", "after"), asked.bundles, strict=True):
            with suppress(KeyError):  # a graph that BEFORE has not
                counted, found = graph_runs(bundle, name, asked.threads, on_openvino=when == "after")
                runs |= {f"{when}, {engine}": run for engine, run in found.items()}
                gflop[when] = counted
        for label, seconds in fastest_s(runs, asked.turns).items():
            done = gflop[label.partition(",")[0]]
            share = done / seconds / most["bf16" if "bf16" in label else "float32"]
            print(
                f"{name:14} {label:22} {done:6.2f} GFLOP {1e3 * seconds:8.1f} ms {done / seconds:6.0f} GFLOP/s "
                f"{share:4.0%}",
                flush=True,
            )
        del runs
        gc.collect()


if __name__ == "__main__":
    main()
