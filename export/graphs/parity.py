"""Does an exported graph compute what its network computes? Asked after every export, answered in the manifest.

The reference is the torch module in float32. Inputs are random but the same on both sides, at the smallest, the
usual and the largest size of every run-time dimension: a dimension that tracing fixed by mistake shows here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from engines.backend import Backend, Session
from engines.errors import ParityError
from export.graphs.graph import Graph

# Errors are relative to the rms of the expected output. fp32: two orders of summation through a deep network differ by
# about 1e-5. fp16: rounding alone leaves a reduced UNet 0.013 rms and 0.06 at worst (golden README), the pocket
# denoiser 0.0016 and 0.0073 (measured); a wrong graph is off by 1.
# A graph that chooses codes draws another patch of a face where two codes are as good as each other: of its 4096 codes
# of 16 faces one or two, and the rest is the same to 2e-3 (golden README).
TOLERANCES = {"fp32": {"max": 5e-5}, "fp16": {"rms": 0.03, "max": 0.2}, "codes": {"rms": 0.05}}
LARGEST_TRIED = 64  # a range may end at 100 000 frames; that end is not worth its minutes


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One try: the inputs, and what the float32 module gave for them."""

    sizes: Mapping[str, int]
    inputs: Mapping[str, np.ndarray]
    outputs: tuple[np.ndarray, ...]


def sizes_to_try(graph: Graph) -> list[dict[str, int]]:
    """The usual sizes, then every named dimension at its ends, the others as usual."""
    usual = graph.opt_sizes()
    tries = [usual]
    for name, limits in graph.spec.ranges.items():
        for size in (limits.min, limits.max):
            if size <= LARGEST_TRIED and {**usual, name: size} not in tries:
                tries.append({**usual, name: size})
    return tries


def sizes_of_an_export(graph: Graph) -> list[dict[str, int]]:
    """As `sizes_to_try`, without the usual sizes where a single dimension is tried on both sides of its usual size: the
    graph was traced there, and what tracing fixed shows elsewhere. Of pocket's denoiser a third of the time."""
    usual, *ends = sizes_to_try(graph)
    return ends if len(graph.spec.ranges) == 1 and len(ends) == 2 else [usual, *ends]


def expectations(
    graph: Graph, module: nn.Module, device: str = "cpu", *, sizes: Sequence[Mapping[str, int]] | None = None
) -> list[Expected]:
    """Run the float32 module, which is on `device`, at these `sizes`, by default every one of `sizes_to_try`. Keep the
    results before the module is halved."""
    return list(_expectations(graph, module, device, sizes_to_try(graph) if sizes is None else sizes))


def _expectations(
    graph: Graph, module: nn.Module, device: str, tries: Sequence[Mapping[str, int]]
) -> Iterator[Expected]:
    for seed, sizes in enumerate(tries):
        inputs = graph.example(sizes, seed=seed)
        # Tokens in half precision are given to the reference in float32: the same values, and the only dtype it knows.
        wide = [t.float() if t.is_floating_point() else t for t in inputs.values()]
        outputs = run_network(module, wide, device)
        yield Expected(
            sizes=sizes,
            inputs={k: t.numpy() for k, t in inputs.items()},
            outputs=tuple(o.float().cpu().numpy() for o in outputs),
        )


def run_network(module: nn.Module, inputs: Sequence[Tensor], device: str) -> tuple[Tensor, ...]:
    """What the module, which is on `device`, gives there."""
    with torch.no_grad(), torch.device(device):  # networks make constants of their own
        outputs = module(*(t.to(device) for t in inputs))
    return outputs if isinstance(outputs, tuple) else (outputs,)


def precision_of(graph: Graph) -> str:
    """Which of the TOLERANCES a graph is held to."""
    if graph.chooses_codes:
        return "codes"
    return "fp16" if graph.half or any(t.dtype == "float16" for t in graph.spec.outputs) else "fp32"


def less_a_level(made: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What to hold `made` against. Pixels, which are uint8, are truncated: what lies beside a level in the one may have
    reached it in the other, so the reference comes a level nearer."""
    if made.dtype != np.uint8:
        return reference
    return np.clip(made.astype(np.float32), reference - np.float32(1), reference + np.float32(1))


def relative_errors(made: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """The "max" and the "rms" error, over the rms of the reference; of pixels without the last level."""
    error = made.astype(np.float64) - less_a_level(made, reference)
    scale = float(np.sqrt(np.mean(np.square(reference, dtype=np.float64)))) or 1.0
    return {"max": float(np.abs(error).max()) / scale, "rms": float(np.sqrt(np.mean(error**2))) / scale}


def check(graph: Graph, session: Session, backend: Backend, expected: list[Expected]) -> dict[str, float]:
    """Run `session` on every try; return the worst "max" and "rms" error, relative to the output's rms.

    Raises ParityError that names the graph, the sizes and the error when a limit is passed.
    """
    precision = precision_of(graph)
    limits = TOLERANCES[precision]
    worst = {"max": 0.0, "rms": 0.0}
    for one in expected:
        made = session.run({name: backend.upload(array) for name, array in one.inputs.items()})
        for tensor, reference in zip(graph.spec.outputs, one.outputs, strict=True):
            found = relative_errors(backend.download(made[tensor.name]), reference)
            for kind, limit in limits.items():
                if not found[kind] <= limit:  # NaN too
                    raise ParityError(
                        f"{graph.name} disagrees with its network: {kind} error {found[kind]:.3g} of {tensor.name}'s "
                        f"rms at {dict(one.sizes)}, limit {limit} for {precision}; the graph was not kept. "
                        "Please report this with the versions that `hp-trt doctor` prints"
                    )
            worst = {kind: max(worst[kind], found[kind]) for kind in worst}
    return worst
