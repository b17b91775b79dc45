"""From a plan's bytes to an engine that is what the manifest promises.

A plan is code: whoever calls this has checked its hash. TensorRT says why it refuses a plan only to its logger, so the
logger here keeps the last error. `trt` is the family's module, `engines.families.load`. Names that only TensorRT for
RTX has are used in functions whose names end in `_rtx`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engines.errors import EngineMismatch
from engines.families import Family
from engines.plans import ENGINES
from engines.spec import NetworkSpec, TensorSpec


def make_logger(trt: Any) -> Any:
    """A logger that prints nothing. `last_error()` is the last line of the last error, or an empty text; `forget()`
    comes before something new is tried."""

    class Logger(trt.ILogger):  # a class of the module that was loaded, so it cannot stand outside
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._last = ""

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self._last = msg.strip()

        def forget(self) -> None:
            self._last = ""

        def last_error(self) -> str:
            return self._last.splitlines()[-1] if self._last else ""

    return Logger()


def open_engine(
    family: Family,
    trt: Any,
    runtime: Any,
    logger: Any,
    path: Path,
    spec: NetworkSpec,
    content: memoryview | None = None,
) -> Any:
    """The engine of a plan, of `content` where its bytes were read already. Raises EngineMismatch when it was built for
    another GPU, version or driver, or when its inputs and outputs are not those of `spec`."""
    rebuild = _rebuild(family, spec, path)
    try:
        plan = path.read_bytes() if content is None else content
    except OSError as error:
        raise EngineMismatch(f"{path} cannot be read: {error.strerror}; {rebuild}") from error
    logger.forget()
    if family.name == "tensorrt-rtx" and (reason := _invalid_rtx(trt, runtime, plan)):
        raise EngineMismatch(f"{path} does not run here: {reason}{_told(logger)}; {rebuild}")
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineMismatch(
            f"{path} does not load in {family.name} {trt.__version__}: {logger.last_error() or 'no reason given'}; "
            f"it needs the GPU kind, the version and the driver it was built for: {rebuild}"
        )
    wrong = _differences(trt, engine, spec)
    if wrong:
        raise EngineMismatch(f"{path} is not what its manifest promises: {'; '.join(wrong)}; {rebuild}")
    return engine


def refit(family: Family, trt: Any, engine: Any, logger: Any, weights: Path, spec: NetworkSpec, path: Path) -> None:
    """Give the engine of the plan `path` the weights of a graph (.onnx). Raises EngineMismatch when they do not fit."""
    rebuild = _rebuild(family, spec, path)
    if not engine.refittable:
        raise EngineMismatch(f"{path} takes no weights from {weights.name}; build it with --strip: {rebuild}")
    logger.forget()
    refitter = trt.Refitter(engine, logger)
    parser_refitter = trt.OnnxParserRefitter(refitter, logger)
    refitted, why = False, ""
    # The parser's answer is what counts: TensorRT for RTX may not list all that is missing.
    if not parser_refitter.refit_from_file(str(weights)):
        why = "; ".join(parser_refitter.get_error(i).desc() for i in range(parser_refitter.num_errors))
    elif missing := refitter.get_missing_weights():
        why = f"it lacks {len(missing)} of the plan's weights, the first is {missing[0]}"
    elif not (refitted := refitter.refit_cuda_engine()):
        why = logger.last_error()
    # It works on the refitter and must go first, but not before the weights that it holds are in the engine. Left
    # alone, locals go in the order in which they came.
    del parser_refitter
    if not refitted:
        raise EngineMismatch(f"{weights} does not fit {path.name}: {why or 'no reason given'}; {rebuild}")


def _invalid_rtx(trt: Any, runtime: Any, plan: bytes | memoryview) -> str:
    """Why this plan does not run on this machine; empty where it does."""
    validity, found = runtime.get_engine_validity(plan)
    if validity != trt.EngineValidity.INVALID:
        return ""
    reasons = trt.EngineInvalidityDiagnostics.__members__.items()
    return ", ".join(r.lower().replace("_", " ") for r, bit in reasons if int(found) & int(bit)) or "it is not valid"


def _told(logger: Any) -> str:
    return f" ({logger.last_error()})" if logger.last_error() else ""


def _differences(trt: Any, engine: Any, spec: NetworkSpec) -> list[str]:
    """Between the engine's inputs and outputs and the promise; no run-time size may be narrower than promised."""
    dtypes = {
        trt.DataType.FLOAT: "float32",
        trt.DataType.HALF: "float16",
        trt.DataType.INT64: "int64",
        trt.DataType.INT32: "int32",
        trt.DataType.UINT8: "uint8",
        trt.DataType.BOOL: "bool",
    }
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    wrong = []
    for kind, has, promises in (
        ("inputs", inputs, spec.inputs),
        ("outputs", [name for name in names if name not in inputs], spec.outputs),
    ):
        needs = [promised.name for promised in promises]
        if sorted(has) != sorted(needs):
            wrong.append(f"its {kind} are {', '.join(sorted(has))}, needs {', '.join(sorted(needs))}")
            continue
        for promised in promises:
            dtype = engine.get_tensor_dtype(promised.name)
            shape = tuple(engine.get_tensor_shape(promised.name))
            if dtypes.get(dtype, str(dtype)) != promised.dtype or shape != _shape(promised):
                wrong.append(
                    f"{promised.name} is {shape} {dtypes.get(dtype, dtype)}, needs {_shape(promised)} {promised.dtype}"
                )
            elif kind == "inputs" and (narrow := _too_narrow(engine, promised, spec)):
                wrong.append(narrow)
    return wrong


def _too_narrow(engine: Any, promised: TensorSpec, spec: NetworkSpec) -> str:
    if not any(isinstance(dim, str) for dim in promised.dims):
        return ""
    low, _, high = (tuple(shape) for shape in engine.get_tensor_profile_shape(promised.name, 0))
    for dim, least, most in zip(promised.dims, low, high, strict=True):
        if isinstance(dim, str) and not (least <= spec.ranges[dim].min and spec.ranges[dim].max <= most):
            needs = f"{spec.ranges[dim].min} to {spec.ranges[dim].max}"
            return f"{promised.name} takes {dim} from {least} to {most}, needs {needs}"
    return ""


def _shape(promised: TensorSpec) -> tuple[int, ...]:
    return tuple(dim if isinstance(dim, int) else -1 for dim in promised.dims)


def _rebuild(family: Family, spec: NetworkSpec, path: Path) -> str:
    """The command, with the bundle that `path` lies in."""
    bundle = next((str(p.parent) for p in path.parents if p.name == ENGINES), "BUNDLE")
    return f"python -m export.build_engines --family {family.name} --bundle {bundle} --only {spec.name}"
