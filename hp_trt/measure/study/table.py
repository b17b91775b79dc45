"""A study's results for people: a row for each contender, a column for each question."""

from __future__ import annotations

from rich.console import Console

from hp_trt.interface.tables import print_table
from hp_trt.measure.study.results import Between, Results

_FEW = 10  # raters or items, below which an interval is a rough one


def show(results: Results, console: Console) -> None:
    """Print means with their intervals, differences, agreement, and what they are of."""
    questions = results.questions
    rows = []
    for name in results.plan.contenders:
        found = [question.means[name] for question in questions]
        cells = ["-" if mean is None else _cell(f"{mean.value:.2f}", mean.low, mean.high) for mean in found]
        rows.append((name, *cells, str(max((0 if mean is None else mean.answers) for mean in found))))
    agreement = ["-" if question.agreement is None else f"{question.agreement:.2f}" for question in questions]
    headings = ["contender", *(question.name for question in questions), "answers"]
    print_table(console, headings, [*rows, ("agreement", *agreement, "")])
    console.print()
    of = [{(pair.one, pair.other): pair for pair in question.between} for question in questions]
    pairs = [(f"{one} - {other}", *(_difference(each.get((one, other))) for each in of)) for one, other in of[0]]
    if pairs:
        print_table(console, ["difference", *headings[1:-1]], pairs)
        console.print()
    for line in _lines(results):
        console.print(line, markup=False, soft_wrap=True)


def _difference(pair: Between | None) -> str:
    if pair is None:
        return "-"
    return _cell(f"{pair.difference:+.2f}", pair.low, pair.high, sign="+")


def _cell(value: str, low: float | None, high: float | None, *, sign: str = "") -> str:
    return value if low is None or high is None else f"{value} [{low:{sign}.2f}, {high:{sign}.2f}]"


def _lines(results: Results) -> list[str]:
    raters, items = len(results.raters), len(results.plan.items)
    found = [
        f"{results.answers} answers of {raters} raters, {results.complete} of whom graded everything; {items} clips of "
        f"{len(results.plan.contenders)} contenders, grades from 1 (bad) to 5 (excellent)"
    ]
    if min(raters, items) < 2:
        found.append("intervals need at least two raters and two clips")
    else:
        found.append("in brackets 95 %, if other people graded other clips: raters and clips drawn anew")
        if min(raters, items) < _FEW:
            found.append(f"with fewer than {_FEW} raters or clips intervals are rough")
    found.append("agreement is Krippendorff's alpha for ordered grades: 1 all say the same, 0 as if by chance")
    return found
