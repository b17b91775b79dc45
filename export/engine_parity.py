"""Does a built engine compute what its network computes? PyTorch, ONNX Runtime and the engine on the same inputs.

The judge is the network in float32 where the build has its weights, else the exported graph on ONNX Runtime, which was
compared with the network when it was exported. The comparing is Polygraphy's: its signal-to-noise ratio is the error's
rms over the output's, in decibels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.backend import Backend, Session
from engines.errors import ParityError
from engines.spec import NetworkSpec
from export.parity import TOLERANCES


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one runner made of the inputs of one try."""

    runner: str  # "torch" | "onnxruntime" | the engine's family
    sizes: Mapping[str, int]
    outputs: Mapping[str, np.ndarray]


def run_session(
    session: Session, backend: Backend, inputs: Mapping[str, np.ndarray], *, runner: str, sizes: Mapping[str, int]
) -> Run:
    """One try on a graph or an engine."""
    made = session.run({name: backend.upload(array) for name, array in inputs.items()})
    return Run(runner=runner, sizes=sizes, outputs={name: backend.download(buffer) for name, buffer in made.items()})


def compare_runs(spec: NetworkSpec, precision: str, tries: Sequence[Sequence[Run]]) -> dict[str, float]:
    """Hold the last run of each try against every other run of it; the first is the judge.

    Returns the worst "max" and "rms" error against the judge, relative to the output's rms, and "rms_NAME" against
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


def _errors(judge: Run, engine: Run) -> dict[str, dict[str, float]]:
    """By output: "max" and "rms" error of the engine, over the judge's rms."""
    from polygraphy.comparator import Comparator, IterationResult, RunResults, SimpleCompareFunc, SnrCompareFunc
    from polygraphy.logger import G_LOGGER

    results = RunResults()
    for run in (judge, engine):
        wide = {name: array.astype(np.float32) for name, array in run.outputs.items()}
        results.append((run.runner, [IterationResult(wide, runner_name=run.runner)]))
    # The limits are ours: they are relative to the rms, which Polygraphy's own are not.
    measures = [SnrCompareFunc(snr_threshold=0), SimpleCompareFunc(check_error_stat="max", atol=0, rtol=0)]
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
        noise, simple = Comparator.compare_accuracy(results, comparisons=[(0, 1)], compare_func=measures)
    pair = (judge.runner, engine.runner)
    errors = {}
    for name, reference in judge.outputs.items():
        scale = float(np.sqrt(np.mean(np.square(reference, dtype=np.float64)))) or 1.0
        snr_db = noise[pair][0][name].snr
        errors[name] = {"max": float(simple[pair][0][name].max_absdiff) / scale, "rms": float(10 ** (-snr_db / 20))}
    return errors
