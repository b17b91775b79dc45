from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from engines.errors import InputError, OutputError
from hp_trt.measure.study.raters import Raters
from hp_trt.measure.study.results import check_results, facts, read_results, write_results
from hp_trt.measure.study.table import show
from tests.hp_trt.measure.study.test_agreement import by_pairs

# What each rater thinks of each result: (movement, quality, smoothness).
THINKS = {
    ("anna", "exact"): [(5, 4, 5), (4, 4, 4), (5, 5, 5)],
    ("anna", "live"): [(2, 3, 1), (3, 3, 2), (1, 3, 2)],
    ("ben", "exact"): [(4, 4, 4), (5, 3, 5), (4, 4, 5)],
    ("ben", "live"): [(3, 2, 2), (2, 2, 1), (3, 3, 1)],
}


def grade(study, raters: int, *, leave: int | None = None):
    """As many raters answer as they think; the last one leaves after so many."""
    taking = Raters(study)
    of = {trial: (item.name, contender) for trial, item, contender in taking.plan.trials()}
    for number in range(raters):
        token = taking.join()
        done, trial = taking.next_trial(token)
        while trial is not None and not (number == raters - 1 and done == leave):
            named = dict(zip(("movement", "quality", "smoothness"), THINKS[of[trial]][number], strict=True))
            done, trial = taking.answer(token, trial, named, 2)
    taking.close()


def printed(results, width=100) -> str:
    out = io.StringIO()
    show(results, Console(file=out, width=width, highlight=False))
    return out.getvalue()


def test_a_table_is_of_what_raters_thought(study):
    grade(study, 3)
    results = read_results(study)
    for q, question in enumerate(results.questions):
        for contender in ("exact", "live"):
            own = [grades[q] for (_, who), all_ in THINKS.items() if who == contender for grades in all_]
            mean = question.means[contender]
            assert mean.value == pytest.approx(np.mean(own)) and mean.answers == 6
            assert 1 <= mean.low <= mean.value <= mean.high <= 5
        (pair,) = question.between
        assert (pair.one, pair.other) == ("exact", "live")
        assert pair.difference == pytest.approx(question.means["exact"].value - question.means["live"].value)
        assert 0 < pair.low <= pair.difference <= pair.high
        units = np.array([[grades[number][q] for grades in THINKS.values()] for number in range(3)], float)
        assert question.agreement == pytest.approx(by_pairs(units))
    text = printed(results)
    assert text.splitlines()[0].split() == ["contender", "movement", "quality", "smoothness", "answers"]
    assert text.splitlines()[1].startswith("exact      4.50 [")
    assert "exact - live  +2.17 [" in text and "12 answers of 3 raters, 3 of whom graded everything" in text
    assert "intervals are rough" in text


def test_half_a_study_counts_as_far_as_it_goes(study):
    grade(study, 2, leave=1)
    results = read_results(study)
    assert (results.answers, results.complete, len(results.raters)) == (5, 1, 2)
    assert sum(mean.answers for mean in results.questions[0].means.values()) == 5


def test_one_rater_has_means_and_no_intervals(study):
    grade(study, 1)
    text = printed(read_results(study))
    assert "[" not in text and "intervals need at least two raters and two clips" in text


def test_every_answer_and_the_table_go_into_files_that_a_spreadsheet_reads(study, tmp_path):
    grade(study, 3)
    results = read_results(study)
    write_results(results, answers=tmp_path / "a.csv", table=tmp_path / "t.csv")
    answers = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert list(answers[0]) == "rater place item contender movement quality smoothness seconds".split()
    found = {(int(line["rater"]) - 1, line["item"], line["contender"]): line for line in answers}
    assert len(answers) == len(found) == 12
    for (number, item, contender), line in found.items():
        given = tuple(int(line[name]) for name in ("movement", "quality", "smoothness"))
        assert given == THINKS[item, contender][number] and line["seconds"] == "2.0"
    assert sorted(int(line["place"]) for line in answers if line["rater"] == "2") == [1, 2, 3, 4]
    table = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [line["question"] for line in table if line["against"]] == ["movement", "quality", "smoothness"]
    (line,) = [
        line for line in table if line["question"] == "quality" and line["contender"] == "live" and not line["against"]
    ]
    assert line["mean"] == f"{np.mean([g[1] for (_, who), all_ in THINKS.items() if who == 'live' for g in all_]):.4f}"
    assert line["answers"] == "6"


def test_the_same_study_has_the_same_numbers_and_they_are_json(study):
    grade(study, 3)
    once, again = facts(read_results(study)), facts(read_results(study))
    assert json.dumps(once, allow_nan=False) == json.dumps(again)
    assert once["raters"] == 3 and once["questions"]["quality"]["means"]["live"]["answers"] == 6


def test_a_study_without_answers_says_what_to_do(study):
    taking = Raters(study)
    taking.join()
    taking.close()
    with pytest.raises(InputError, match="has no answers so far; let people grade: hp-trt study serve"):
        read_results(study)


def test_files_that_cannot_be_written_are_told_before_the_study_is_read(study, tmp_path):
    for answers, table, says in [
        (tmp_path / "a.txt", None, "the answers is written as .csv"),
        (study / "a.csv", None, "lies in"),
        (tmp_path / "x.csv", tmp_path / "x.csv", "would be one file"),
        (tmp_path / "no" / "x.csv", None, "is no folder"),
    ]:
        with pytest.raises((InputError, OutputError)) as error:
            check_results(study, answers=answers, table=table)
        assert says in str(error.value)
