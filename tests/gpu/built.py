"""What was exported and built at each size: seconds, and what was left out, with the reason.

A line of a build is called "export, GRAPH" or "FAMILY plan, GRAPH".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.gpu.lines import Line
from tests.gpu.sizes import SIZES


@dataclass(frozen=True, kw_only=True)
class Built:
    """Of one size: the exports, or one family's plans."""

    size: str
    what: str  # "export" | "tensorrt plan"
    seconds: Mapping[str, float]  # by graph, of those that were made
    left_out: Mapping[str, str]  # by graph: why not, and after how many seconds

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())


def built(lines: Sequence[Line]) -> list[Built]:
    found = []
    for size in SIZES:
        own: dict[str, dict[str, Line]] = {}
        for line in lines:
            what, named, graph = line.name.partition(", ")
            if line.section == f"build, {size}" and named:
                own.setdefault(what, {})[graph] = line
        for what, of in own.items():
            found.append(
                Built(
                    size=size,
                    what=what,
                    seconds={graph: line.seconds for graph, line in of.items() if line.status == "ok"},
                    left_out={graph: _why(line) for graph, line in of.items() if line.status != "ok"},
                )
            )
    return found


def table(lines: Sequence[Line]) -> str:
    rows = ["| size | what | s | of these | left out |", "|" + "---|" * 5]
    for one in built(lines):
        each = ", ".join(f"{graph} {seconds:.1f}" for graph, seconds in one.seconds.items())
        missing = "; ".join(f"{graph}: {why}" for graph, why in one.left_out.items()).replace("|", "\\|")
        rows.append(f"| {one.size} | {one.what} | {one.total_s:.1f} | {each} | {missing or 'nothing'} |")
    return "\n".join(rows) if len(rows) > 2 else ""


def _why(line: Line) -> str:
    begun = f" (after {line.seconds:.1f} s)" if line.seconds >= 1 else ""
    return f"{line.text}{begun}"
