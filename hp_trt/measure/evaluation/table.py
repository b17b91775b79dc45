"""An evaluation for people: a row for each measure, a group of columns for each bundle.

Made from the report's JSON data alone (`hp_trt.measure.evaluation.report`), so that a saved file can be shown again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from hp_trt.interface.tables import print_table


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the table and what it does not hold."""
    headings, rows = [title_of(report["protocol"]), "better"], []
    for column in report["columns"]:
        headings += [column["name"], "worst"] if column["kind"] == "bundle" else [column["name"]]
    for measure in report["measures"]:
        cells = [cell for column in report["columns"] for cell in _cells(column, measure)]
        if any(cells):
            name = measure["title"] + (f", {measure['unit']}" if measure["unit"] else "")
            rows.append((name, measure["better"], *(cell or "-" for cell in cells)))
    print_table(console, headings, rows, left=("better",))
    for line in lines(report):
        console.print(line, markup=False, soft_wrap=True)


def title_of(protocol: str) -> str:
    """What a protocol is called."""
    return {"talk": "speech", "enhance": "enlargement"}.get(protocol, f"{protocol}-reenactment")


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What is missing and why, and what was compared, a fact a line."""
    yield ""
    for measure in report["measures"]:
        whys: dict[str, list[str]] = {}
        for column in report["columns"]:
            if why := column["metrics"][measure["key"]]["why"]:
                whys.setdefault(why, []).append(column["name"])
        for why, names in whys.items():
            where = "" if len(names) == len(report["columns"]) else f" ({', '.join(names)})"
            yield f"{measure['title']}{where}: {why}"
    yield from source_lines(report)


def source_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What was compared, a fact a line."""
    source = report["source"]
    of = f"seeds {source['seeds'][0]}:{source['seeds'][1]}" if source["kind"] == "seeds" else source["folder"]
    if report.get("protocol") == "enhance":
        yield f"{len(report['clips'])} people, {of}, {report['frames']} frames of each, up to {report['size']} px"
    else:
        yield f"{len(report['clips'])} clips of {report['frames']} frames, {of}, compared at {report['size']} px"
    for column in report["columns"]:
        if column["kind"] == "bundle":
            yield (
                f"{column['name']}: {column['preset']} {column['precision']}, {column['weights']} weights, "
                f"{column['profile']}, {_chosen(column)}; {column['seconds']:.0f} s"
            )
    for note in report["notes"]:
        yield f"note: {note}"


def _chosen(column: Mapping[str, Any]) -> str:
    """What more a bundle was run with."""
    if (options := column.get("options")) is not None:
        return f"by {options['scale']}"
    return f"{column['sampling']['steps']} steps, seed {column['sampling']['seed']}"


def _cells(column: Mapping[str, Any], measure: Mapping[str, Any]) -> list[str]:
    """Empty where there is no number."""
    found = column["metrics"][measure["key"]]
    numbers = [found["mean"], found["worst"]] if column["kind"] == "bundle" else [found["mean"]]
    return ["" if number is None else f"{float(number):.{measure['digits']}f}" for number in numbers]
