"""What moods do, for people: rows for each mood, columns for each bundle. Made from the report's JSON data alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from hp_trt.interface.tables import print_table
from hp_trt.measure.evaluation.table import source_lines

_TITLES = {"corners": "lip corners", "brows": "brows", "lids": "lids, 1 is closed"}


def show_moods(report: Mapping[str, Any], console: Console) -> None:
    """Print the table and what it does not hold."""
    headings, rows = ["moods, with less without", "asked"], []
    for column in report["columns"]:
        headings += [column["name"], "clips as asked"]
    for mood, offsets in report["moods"].items():
        found = [column["moods"][mood] for column in report["columns"]]
        for what, offset in offsets.items():
            cells = [cell for one in found for cell in _cells(one["seen"][what])]
            rows.append((f"{mood}: {_TITLES[what]}", f"{offset:+.2f}", *cells))
        changes = [cell for one in found for cell in (_signed(one["jaw"]["change"]), "")]
        rows.append((f"{mood}: how the jaw follows", "", *changes))
    print_table(console, headings, rows)
    for line in _lines(report):
        console.print(line, markup=False, soft_wrap=True)


def _cells(seen: Mapping[str, Any]) -> tuple[str, str]:
    return _signed(seen["shift"]), f"{seen['moved']} of {len(seen['clips'])}"


def _signed(number: float | None) -> str:
    return "-" if number is None else f"{number:+.3f}"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    jaws = [(column["name"], column["jaw"]["mean"]) for column in report["columns"]]
    told = ", ".join(f"{name} {'-' if jaw is None else f'{jaw:.3f}'}" for name, jaw in jaws)
    yield f"the jaw follows the speech, without a mood: {told}"
    yield from source_lines(report)
