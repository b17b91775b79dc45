"""Builds the plans of one family that only its GPU can build, in a process of their own.

A TensorRT library keeps to the first logger that is alive in a process: with a runtime open, what the builder says, the
reason of a failure too, would go to the runtime's. What an earlier process of the same check has done is left as it is.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from tests.gpu.kitchen import Dish, run_announced
from tests.gpu.lines import Found, Lines
from tests.gpu.plans import build
from tests.gpu.sizes import Size


def tell_build(lines: Lines, family: str, size: Size, work: Path, graphs: tuple[str, ...]) -> None:
    for name in graphs:
        graph, plan = Dish(work, name), Dish(work, name, family)
        if not plan.done:
            call = partial(_build, lines, graph, plan)
            run_announced(lines, f"build, {size.name}", f"{family} plan, {name}", call, plan)


def _build(lines: Lines, graph: Dish, plan: Dish) -> Found:
    graph.wait(time.time() + lines.left_s - 1)
    return build(plan, graph, "")
