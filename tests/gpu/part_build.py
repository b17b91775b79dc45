"""Builds the plans of one family that only its GPU can build, in a process of their own.

A TensorRT library keeps to the first logger that is alive in a process: with a runtime open, what the builder says, the
reason of a failure too, would go to the runtime's. What an earlier process of the same check has done is left as it is.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from tests.gpu.artefacts import Artefact, run_announced
from tests.gpu.lines import Found, Lines
from tests.gpu.plans import build
from tests.gpu.sizes import Size


def tell_build(lines: Lines, family: str, size: Size, work: Path, graphs: tuple[str, ...]) -> None:
    section, plans = f"build, {size.name}", [Artefact(work, name, family) for name in graphs]
    left = {f"{family} plan, {plan.graph}": plan for plan in plans if not plan.done}
    lines.plan(section, list(left))
    for name, plan in left.items():
        run_announced(lines, section, name, partial(_build, lines, Artefact(work, plan.graph), plan), plan)


def _build(lines: Lines, graph: Artefact, plan: Artefact) -> Found:
    graph.wait(time.time() + lines.left_s - 1)
    return build(plan, graph, "")
