"""The same parts in one engine family: each form exported, built and timed; and the denoiser for exactly 2 rows and 1.

Plans are built before any is opened, see `tests.gpu.part_build`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines import families
from engines.backend import Backend
from engines.plans import PlanOptions
from engines.spec import DimRange, NetworkSpec, TensorSpec
from tests.gpu.artefacts import Artefact
from tests.gpu.comparing import L2_LIMIT, read
from tests.gpu.levers import LEVERS, SIZES, by_row, inputs_of, module_of
from tests.gpu.lines import Found, Lines, NotRun, Step
from tests.gpu.part_family import open_backend, seconds_of

ROWS = (2, 1)  # of `exact` without guidance of its own motion, and of live mode


def tell_levers(lines: Lines, family: str, size: str, device: str, work: Path) -> None:
    part, section = LeversPart(lines, family, device, work), f"levers, {family}, {size}"
    forms = [(name, form) for name, lever in LEVERS.items() for form in lever.forms]
    lines.run_all(section, [Step(f"made, {name}, {form}", partial(part.make, name, form)) for name, form in forms])
    lines.run_all(section, [Step(f"{name}, {form}", partial(part.time, name, form)) for name, form in forms])
    part.close()


def tell_rows(lines: Lines, family: str, size: str, device: str, work: Path) -> None:
    """Of a family that has plans. In a process of its own: a build of the full size takes minutes."""
    part, section = LeversPart(lines, family, device, work), f"rows, {family}, {size}"
    lines.run_all(section, [Step(f"plan for exactly {rows}", partial(part.build_rows, rows)) for rows in ROWS])
    kinds = {"exactly": True, "1 to 3, run with": False}
    steps = [
        Step(f"plan for {kind} {rows}", partial(part.time_rows, rows, exactly=exactly))
        for rows in ROWS
        for kind, exactly in kinds.items()
    ]
    lines.run_all(section, [replace(step, name=f"step, {step.name}") for step in steps])
    part.close()


class LeversPart:
    """What was exported and built, and the backend that runs it."""

    def __init__(self, lines: Lines, family: str, device: str, work: Path) -> None:
        self._lines, self._family, self._device, self._work = lines, families.find(family), device, work
        self._made: dict[tuple[str, str], tuple[NetworkSpec, Path]] = {}
        self._rows: dict[int, NetworkSpec] = {}  # of the plans for exactly so many
        self._backend: Backend | None = None

    def make(self, name: str, form: str) -> Found:
        """Its graph, in half precision on a GPU, and the plan of it."""
        from export.graphs.trace import export_onnx

        lever, dtype = LEVERS[name], "float16" if self._device == "cuda" else "float32"
        shapes = lever.shapes(SIZES[self._device])
        module = by_row(module_of(lever, form, self._device)).to(getattr(torch, dtype))
        example = {k: torch.from_numpy(array) for k, array in self._given(name, dtype).items()}
        output = module(*example.values()).shape[1:]
        spec = NetworkSpec(
            name="".join(c if c.isalnum() else "_" for c in f"{name} {form}").lower(),
            inputs=tuple(TensorSpec(name=k, dims=("rows", *s), dtype=dtype) for k, s in shapes.items()),
            outputs=(TensorSpec(name="made", dims=("rows", *output), dtype=dtype),),
            ranges={"rows": DimRange(min=1, opt=2, max=3)},
        )
        graph = self._work / "levers" / f"{spec.name}.onnx"
        graph.parent.mkdir(parents=True, exist_ok=True)
        export_onnx(module, spec, example, graph)
        self._made[name, form] = spec, graph
        if not self._family.has_plans:
            return Found(text="exported")
        plan = graph.with_suffix(f".{self._family.name}.plan")
        report = self._build(spec, graph, plan)
        self._made[name, form] = spec, plan
        return Found(text=f"exported, and built in {report.seconds:.1f} s", facts={"seconds": report.seconds})

    def build_rows(self, rows: int) -> Found:
        graph = Artefact(self._work, "denoiser")
        spec = NetworkSpec.from_json(graph.wait(0)["spec"])
        narrow = replace(spec, ranges={**spec.ranges, "rows": DimRange(min=rows, opt=rows, max=rows)})
        report = self._build(narrow, graph.path, self._plan_of(rows))
        self._rows[rows] = narrow
        return Found(text=f"built in {report.seconds:.1f} s", facts={"seconds": report.seconds})

    def time(self, name: str, form: str) -> Found:
        """Of two rows; held against the same module in float32 on the CPU where that is quick, on a CPU's own sizes."""
        if (name, form) not in self._made:
            raise NotRun("it was not made: see its line")
        spec, path = self._made[name, form]
        return self._timed(
            spec, path, self._given(name, spec.inputs[0].dtype), self._expected(name) if self._device == "cpu" else None
        )

    def time_rows(self, rows: int, *, exactly: bool) -> Found:
        """The denoiser of so many rows, by the plan for exactly these or by the one for 1 to 3."""
        if exactly and rows not in self._rows:
            raise NotRun("its plan was not built: see its line")
        plan = Artefact(self._work, "denoiser", self._family.name)
        spec = (
            self._rows.get(rows) if exactly else NetworkSpec.from_json(Artefact(self._work, "denoiser").wait(0)["spec"])
        )
        assert spec is not None
        if not exactly:
            plan.wait(0)
        try:
            inputs, expected = read(self._work / "denoiser" / "reference.npz")
        except FileNotFoundError as error:
            raise NotRun("there are no inputs for it: see the reference's line") from error
        by_row = {t.name for t in spec.inputs if t.dims[0] == "rows"}
        given = {k: v[:rows] if k in by_row else v for k, v in inputs.items()}
        whole = all(len(inputs[name]) == rows for name in by_row)
        return self._timed(spec, self._plan_of(rows) if exactly else plan.path, given, expected if whole else None)

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()

    def _timed(self, spec: NetworkSpec, path: Path, given: Mapping[str, np.ndarray], expected: Any) -> Found:
        self._backend = self._backend or open_backend(self._family.name, self._device)
        session = self._backend.load(spec, path)
        try:
            seconds, clock = seconds_of(self._backend, session, given)
            made = session.run({k: self._backend.upload(v) for k, v in given.items()})
            output = self._backend.download(made[spec.outputs[0].name]).astype(np.float64)
        finally:
            session.close()
        median_s = statistics.median(seconds)
        said, missed = "", "" if np.isfinite(output).all() else "NaN or infinity"
        if expected is not None:
            apart = float(np.linalg.norm(output - expected) / np.linalg.norm(expected))
            said = f", relative L2 {apart:.1e}"
            missed = missed or ("" if apart < L2_LIMIT else f"needs less than {L2_LIMIT:g}")
        return Found(
            text=f"{median_s * 1e3:.4g} ms (median of {len(seconds)}) by {clock}{said}",
            facts={"median_s": median_s, "repeats": len(seconds), "clock": clock},
            missed=missed,
        )

    def _given(self, name: str, dtype: str) -> dict[str, np.ndarray]:
        """Of two rows, which are a size of their own."""
        given = inputs_of(LEVERS[name], self._device, 2)
        return {k: t.reshape(2, -1, *t.shape[1:]).numpy().astype(dtype) for k, t in given.items()}

    def _expected(self, name: str) -> np.ndarray:
        lever = LEVERS[name]
        form = by_row(module_of(lever, next(iter(lever.forms)), self._device)).double()
        made: np.ndarray = form(*(torch.from_numpy(a) for a in self._given(name, "float64").values())).numpy()
        return made

    def _build(self, spec: NetworkSpec, graph: Path, plan: Path) -> Any:
        from export.plans.plan import build_plan
        from export.plans.plan_target import plan_target

        return build_plan(
            self._family, spec=spec, onnx=graph, out=plan, target=plan_target(self._family, (), PlanOptions())
        )

    def _plan_of(self, rows: int) -> Path:
        return self._work / "denoiser" / f"{self._family.name}-rows{rows}.plan"
