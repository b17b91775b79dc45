"""What a build tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Step = Literal["reuse", "load", "judge", "export", "plan", "parity", "done"]


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
