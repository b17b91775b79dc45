"""What a build tells whoever watches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Step = Literal["reuse", "load", "reference", "export", "calibrate", "quantize", "plan", "parity", "done"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One line of a build, for a bar or a log."""

    graph: str
    step: Step
    number: int  # of this graph, from 1
    of: int
    what: Literal["graph", "plan"] = "graph"
    seconds: float = 0.0  # since this graph or plan began
    parity: float | None = None  # worst error over rms, with "done" and "reuse"
    phase: str = ""  # the builder's own word, with "plan"
    fraction: float | None = None  # of the phase that is done, with "plan"


def announcer(
    tell: Callable[[Progress], None], *, what: Literal["graph", "plan"], graph: str, number: int, of: int
) -> Callable[..., None]:
    """`announce(step, **more)`: passes a `Progress` of this graph or plan to `tell`, timed from now."""
    start_s = time.perf_counter()

    def announce(step: Step, **more: Any) -> None:
        seconds = time.perf_counter() - start_s
        tell(Progress(what=what, graph=graph, step=step, number=number, of=of, seconds=seconds, **more))

    return announce
