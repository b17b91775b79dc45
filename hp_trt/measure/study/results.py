"""What a study says: the grades, a mean for each contender and question, what lies between two contenders, and how far
raters agree. Made from the folder alone, which may be read while it is served."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.safe_output import check_outputs, safe_output
from hp_trt.measure.study.agreement import alpha
from hp_trt.measure.study.intervals import Mean, interval, means
from hp_trt.measure.study.plan import Plan, read_plan
from hp_trt.measure.study.raters import QUESTIONS, Rater, read_raters


@dataclass(frozen=True, kw_only=True)
class Between:
    """How much better one contender is than another, on the grades' scale."""

    one: str
    other: str
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the answers to one question say."""

    name: str
    means: Mapping[str, Mean | None]  # by contender; None: no answer
    between: Sequence[Between]
    agreement: float | None  # Krippendorff's alpha; None: nothing can be said


@dataclass(frozen=True, kw_only=True)
class Results:
    """All of it. A rater is `complete` who has graded every result."""

    plan: Plan
    raters: Sequence[Rater]  # with at least one answer
    questions: Sequence[Question]

    @property
    def answers(self) -> int:
        return sum(len(rater.answers) for rater in self.raters)

    @property
    def complete(self) -> int:
        trials = len(self.plan.items) * len(self.plan.contenders)
        return sum(len(rater.answers) == trials for rater in self.raters)


def read_results(study: Path) -> Results:
    """The results of the folder `study` as it stands. Raises InputError: no study, damaged, no answers."""
    plan = read_plan(study)
    raters = [rater for rater in read_raters(study, plan) if rater.answers]
    if not raters:
        raise InputError(f"{study} has no answers so far; let people grade: hp-trt study serve {study}")
    grades = grades_of(plan, raters)
    questions = [_question(name, plan, grades[..., number]) for number, name in enumerate(QUESTIONS)]
    return Results(plan=plan, raters=raters, questions=questions)


def grades_of(plan: Plan, raters: Sequence[Rater]) -> np.ndarray:
    """(raters, items, contenders, questions) float, NaN where there is no grade."""
    places = {
        item.results[contender]: (i, c)
        for i, item in enumerate(plan.items)
        for c, contender in enumerate(plan.contenders)
    }
    grades = np.full((len(raters), len(plan.items), len(plan.contenders), len(QUESTIONS)), np.nan)
    for number, rater in enumerate(raters):
        for answer in rater.answers:
            grades[(number, *places[answer.trial])] = answer.grades
    return grades


def _question(name: str, plan: Plan, grades: np.ndarray) -> Question:
    found, drawn = means(grades)
    of = dict(zip(plan.contenders, found, strict=True))
    between = []
    for (c, one), (d, other) in combinations(enumerate(plan.contenders), 2):
        a, b = of[one], of[other]
        if a is not None and b is not None:
            low, high = (None, None) if a.low is None or b.low is None else interval(drawn[:, c] - drawn[:, d])
            between.append(Between(one=one, other=other, difference=a.value - b.value, low=low, high=high))
    agreement = alpha(grades.reshape(len(grades), -1))
    return Question(name=name, means=of, between=between, agreement=agreement)


def write_results(results: Results, *, answers: Path | None, table: Path | None) -> None:
    """Write the answers and the table as CSV, where a file is named. Raises OutputError; each file appears whole."""
    for path, lines in ((answers, _answer_lines(results)), (table, _table_lines(results))):
        if path is not None:
            text = io.StringIO(newline="")
            csv.writer(text, lineterminator="\n").writerows(lines)
            with safe_output(path) as part:
                part.write_text(text.getvalue(), encoding="utf-8", newline="")


def check_results(study: Path, *, answers: Path | None, table: Path | None) -> None:
    """Raises OutputError and InputError where a file cannot be written, or lies in the study."""
    outputs = {"the answers": answers, "the table": table}
    check_outputs(outputs, {"the study": study}, suffixes=(".csv",))


def _answer_lines(results: Results) -> list[list[Any]]:
    """A line an answer: who, the place in their order, of what, the grades."""
    of = {trial: (item.name, contender) for trial, item, contender in results.plan.trials()}
    lines: list[list[Any]] = [["rater", "place", "item", "contender", *QUESTIONS, "seconds"]]
    for rater in results.raters:
        for place, answer in enumerate(rater.answers, 1):
            seconds = "" if answer.seconds is None else answer.seconds
            lines.append([rater.number, place, *of[answer.trial], *answer.grades, seconds])
    return lines


def _table_lines(results: Results) -> list[list[Any]]:
    """A line a mean, then a line a difference: those have a contender in `against`."""
    lines: list[list[Any]] = [["question", "contender", "against", "mean", "low", "high", "answers", "agreement"]]
    for question in results.questions:
        agreement = _number(question.agreement)
        for name, mean in question.means.items():
            if mean is not None:
                numbers = [_number(value) for value in (mean.value, mean.low, mean.high)]
                lines.append([question.name, name, "", *numbers, mean.answers, agreement])
        for pair in question.between:
            numbers = [_number(value) for value in (pair.difference, pair.low, pair.high)]
            lines.append([question.name, pair.one, pair.other, *numbers, "", ""])
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def facts(results: Results) -> dict[str, Any]:
    """The table for programs."""
    return {
        "raters": len(results.raters),
        "complete": results.complete,
        "answers": results.answers,
        "questions": {
            question.name: {
                "agreement": question.agreement,
                "means": {name: None if mean is None else vars(mean) for name, mean in question.means.items()},
                "differences": [vars(pair) for pair in question.between],
            }
            for question in results.questions
        },
    }
