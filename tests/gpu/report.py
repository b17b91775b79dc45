"""report.json and report.md, written anew after each line: a check that is stopped leaves what it measured."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.gpu import built, summary
from tests.gpu.lines import Line, strict
from tests.gpu.timeline import draw

FORMAT, SCHEMA = "hp-trt gpu check", 1


@dataclass(kw_only=True)
class Report:
    """What was found so far. `about`: date, commit, device asked for, sizes, minutes."""

    folder: Path
    about: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    finished: bool = False
    exit_code: int | None = None  # of the command, once it is finished
    _start_s: float = field(default_factory=time.perf_counter)

    def add(self, line: Line) -> None:
        """Another try at what did not run takes its place."""
        same = (line.section, line.name)
        self.lines = [old for old in self.lines if old.status != "not run" or (old.section, old.name) != same]
        self.lines.append(line)
        self.write()

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.about["seconds"] = round(time.perf_counter() - self._start_s, 1)
        _place(self.folder / "report.json", json.dumps(self.to_json(), indent=1, default=str) + "\n")
        _place(self.folder / "report.md", self.to_markdown())

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "schema": SCHEMA,
            **self.about,
            "finished": self.finished,
            "exit_code": self.exit_code,
            "summary": strict(summary.to_json(self.lines)),
            "builds": [asdict(one) | {"total_s": one.total_s} for one in built.built(self.lines)],
            "lines": [line.to_json() for line in self.lines],
        }

    def to_markdown(self) -> str:
        found = summary.to_json(self.lines)
        device = next((line.text for line in self.lines if line.name == "device"), "not asked yet")
        parts = [
            "# GPU check",
            "\n".join(f"- {key}: {value}" for key, value in {**self.about, "device": device}.items())
            + ("" if self.finished else "\n- **stopped before its end: this is what was measured until then**"),
            "## Frames a second",
            _ways(summary.ways(self.lines)),
            _verdict(summary.best(summary.ways(self.lines))),
            _beside(self.lines),
            _builds(self.lines),
            *(
                f"Timeline of {line.section}, {line.name}:\n\n```\n{draw(line.facts['timeline'])}\n```"
                for line in self.lines
                if line.facts.get("timeline")
            ),
            f"## Lines\n\n{len(found['failed'])} failed, {len(found['missed'])} missed their limit.",
            *(_section(name, self.lines) for name in dict.fromkeys(line.section for line in self.lines)),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"


def _ways(found: Sequence[summary.Way]) -> str:
    if not found:
        return "Nothing was measured."
    rows = [
        "| size | way | step | decode a chunk | TFLOP/s | of ceiling | GiB | estimated fps | x | measured fps | x |",
        "|" + "---|" * 11,
    ]
    for way in found:
        cells = (
            way.size,
            way.name,
            _number(way.step_s, 1e3, " ms"),
            _number(way.decode_s, 1e3, " ms"),
            _number(way.flops_per_s, 1e-12),
            _number(way.of_ceiling, 100, " %"),
            _number(way.peak_bytes, 1 / 2**30),
            _number(way.estimated_fps),
            _number(way.estimated_ratio),
            _number(way.measured_fps),
            _number(way.measured_ratio),
        )
        rows.append("| " + " | ".join(cells) + " |")
    rows.append(
        f"\nEstimated: {summary.FRAMES} frames at {summary.STEPS} steps, from the medians of a step and of a chunk. "
        "Measured: a whole synthetic clip, see its line. x: times the released algorithm in eager PyTorch, same run."
    )
    return "\n".join(rows)


def _verdict(found: Sequence[summary.Best]) -> str:
    """A sentence for each size; only one of them has a limit."""
    said = []
    for one in found:
        what = f"Best ratio at {one.size}: {one.ratio:.2f}, {one.way}, by {one.source}"
        if one.size == summary.RATIO_SIZE:
            kept = "kept" if one.ratio >= summary.RATIO_NEEDED else "NOT kept"
            said.append(f"{what}; at least {summary.RATIO_NEEDED} is needed: {kept}.")
        else:
            said.append(f"{what}; it decides nothing.")
    if not any(one.size == summary.RATIO_SIZE for one in found):
        said.append(f"No ratio was measured at {summary.RATIO_SIZE}, where {summary.RATIO_NEEDED} is needed.")
    return "\n".join(f"- {one}" for one in said)


def _beside(lines: Sequence[Line]) -> str:
    """Which times were taken while the CPU was also busy otherwise."""
    timed = [line for line in lines if line.beside and {"median_s", "frames_per_s"} & line.facts.keys()]
    said = "; ".join(f"{line.section}: {line.name}" for line in timed)
    return f"Measured while graphs were exported or plans built on other cores: {said}." if said else ""


def _builds(lines: Sequence[Line]) -> str:
    table = built.table(lines)
    return f"## Exports and builds\n\n{table}" if table else ""


def _section(section: str, lines: Sequence[Line]) -> str:
    rows = [f"### {section}", "", "| line | | found | s |", "|---|---|---|---|"]
    for line in lines:
        if line.section == section:
            text = line.text.replace("|", "\\|")
            rows.append(f"| {line.name} | {line.status} | {text} | {line.seconds:.1f} |")
    return "\n".join(rows)


def _number(value: float | None, scale: float = 1, unit: str = "") -> str:
    return "" if value is None else f"{value * scale:.4g}{unit}"


def _place(path: Path, text: str) -> None:
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(text, encoding="utf-8")
    os.replace(hidden, path)
