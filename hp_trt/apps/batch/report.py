"""The report of a batch, in its folder: report.json for programs, report.md for people, report.png at a glance."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.part_file import write_whole
from engines.safe_output import refusing
from hp_trt.apps.batch.outcome import Outcome, State
from hp_trt.apps.batch.pairs import Pair

FORMAT, SCHEMA = "hp-trt batch", 1
JSON, PAGE, SHEET = "report.json", "report.md", "report.png"
_WORDS: Mapping[State, str] = {
    "made": "made now",
    "there": "done before",
    "failed": "failed",
    "waiting": "not begun: the batch ended before",
}
_HEADS = "larger | |", "---|---|"  # of a table whose clips are enlarged


def count(outcomes: Mapping[str, Outcome]) -> dict[str, int]:
    """How many clips came to what."""
    found = Counter(outcome.state for outcome in outcomes.values())
    return {state: found[state] for state in _WORDS}


def count_enlarged(outcomes: Mapping[str, Outcome]) -> dict[str, int]:
    """The same of the larger clips."""
    found = Counter(outcome.enhanced_state for outcome in outcomes.values())
    return {state: found[state] for state in _WORDS}


def write_report(
    out: Path,
    pairs: Sequence[Pair],
    outcomes: Mapping[str, Outcome],
    *,
    about: Mapping[str, Any],
    passed_over: Mapping[str, Mapping[str, int]],
    shown: int,
) -> None:
    """Write both texts whole into the folder `out`. `about`: what they were made with; `shown`: how many clips
    report.png shows, 0 without one. Raises OutputError."""
    told: dict[str, Any] = {"format": FORMAT, "schema": SCHEMA, **about, "clips": len(pairs), **count(outcomes)}
    told |= {"passed_over": {what: dict(found) for what, found in passed_over.items() if found}}
    told |= {"sheet": SHEET if shown else None}
    if "enlarging" in about:
        told["enlarged"] = count_enlarged(outcomes)
    rows = [
        {"portrait": str(pair.portrait), "driver": str(pair.driver), **pair.options, **outcomes[pair.out].to_json()}
        for pair in pairs
    ]
    text = json.dumps(told | {"rows": rows}, indent=1) + "\n"
    page = _page(pairs, outcomes, told, shown)
    for name, content in ((JSON, text), (PAGE, page)):
        with refusing(out / name):
            write_whole(out / name, content.encode(errors="replace"))


def _page(pairs: Sequence[Pair], outcomes: Mapping[str, Outcome], told: Mapping[str, Any], shown: int) -> str:
    lines = ["# Report of a batch", "", f"{len(pairs)} clips: {_states(told)}.", ""]
    lines += [f"- {name}: {_plain(value)}" for name, value in told.items() if name in ("bundle", "licence", "profile")]
    if larger := told.get("enlarging"):
        lines[2] += f" Enlarged {larger['scale']} times: {_states(told['enlarged'])}."
        lines.append(f"- enlarged by: {_plain(larger['bundle'])}, licence: {_plain(larger['licence'])}")
    for what, found in told["passed_over"].items():
        lines.append(f"- passed over in {what}: " + ", ".join(f"{n} {_plain(ending)}" for ending, n in found.items()))
    if shown:
        some = "" if shown == told["made"] + told["there"] else f"{shown} of the clips, "
        lines += ["", f"![{some}each with its portrait and frames of it]({SHEET})"]
    if bad := [pair for pair in pairs if outcomes[pair.out].has_failed]:
        lines += ["", "## Failed", "", "| clip | of | by | why |", "|---|---|---|---|"]
        lines += [_row(pair, str(outcomes[pair.out].error)) for pair in bad]
    lines += _notes(outcomes)
    heads = "| clip | of | by | | frames | s |", "|---|---|---|---|---:|---:|"
    lines += [
        "",
        "## Clips",
        "",
        *(f"{head} {more}" if larger else head for head, more in zip(heads, _HEADS, strict=True)),
    ]
    for pair in pairs:
        one = outcomes[pair.out]
        row = _row(pair, _WORDS[one.state], one.frames or "", one.seconds or "")
        if one.enhanced is not None and one.enhanced_state is not None:
            row += f" {_plain(one.enhanced)} | {_WORDS[one.enhanced_state]} |"
        lines.append(row)
    return "\n".join(lines) + "\n"


def _states(counts: Mapping[str, Any]) -> str:
    """How many came to what, in words."""
    return ", ".join(f"{counts[state]} {words}" for state, words in _WORDS.items() if counts[state]) or "none"


def _notes(outcomes: Mapping[str, Outcome]) -> list[str]:
    """What is to be known of clips that were made, with those that it is about."""
    found: dict[str, list[str]] = {}
    for out, outcome in outcomes.items():
        for note in outcome.notes:
            found.setdefault(note, []).append(out)
    made = sum(outcome.state == "made" for outcome in outcomes.values())
    lines = [
        f"- {'all' if len(outs) == made > 1 else ', '.join(map(_plain, outs))}: {_plain(note)}"
        for note, outs in found.items()
    ]
    return ["", "## Notes", "", *lines] if lines else []


def _row(pair: Pair, *cells: object) -> str:
    return "| " + " | ".join(_plain(cell) for cell in (pair.out, pair.portrait.name, pair.driver.name, *cells)) + " |"


def _plain(value: object) -> str:
    """In a cell: a name of a stranger's makes no other one."""
    text = str(value).replace("\\", "\\\\")
    for letter in "|[]<>`*_":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())
