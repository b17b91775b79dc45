from __future__ import annotations

import errno
import json
import os
import threading
from collections import Counter

import pytest

from engines import safe_output
from engines.errors import InputError, OutputError
from hp_trt.measure.study import raters as module
from hp_trt.measure.study.plan import read_plan
from hp_trt.measure.study.raters import OutOfTurn, Raters, UnknownRater, read_raters

FINE = {"movement": 4, "quality": 3, "smoothness": 5}


@pytest.fixture
def raters(study):
    found = Raters(study)
    yield found
    found.close()


def through(raters, token, grades=FINE, most=10_000):
    """Grade what comes next until nothing does; the trials, in order."""
    seen = []
    done, trial = raters.next_trial(token)
    while trial is not None and len(seen) < most:
        assert done == len(raters._known(token).answers)
        seen.append(trial)
        done, trial = raters.answer(token, trial, grades, 1.25)
    return seen


def files(study):
    return {name: (study / "raters" / name).read_text() for name in sorted(os.listdir(study / "raters"))}


def test_a_rater_grades_everything_once_and_nothing_of_them_is_kept_but_that(study, raters):
    token = raters.join()
    seen = through(raters, token)
    assert sorted(seen) == sorted(trial for trial, _, _ in raters.plan.trials())
    assert raters.next_trial(token) == (4, None)
    (name, text) = next(iter(files(study).items()))
    kept = json.loads(text)
    assert name == "00001.json" and set(kept) == {"schema", "study", "rater", "row", "token_sha256", "answers"}
    assert kept["answers"] == [{"trial": trial, "grades": [4, 3, 5], "seconds": 1.2} for trial in seen]
    assert token not in text and len(token) >= 32


def test_a_rater_goes_on_where_they_stopped_whoever_serves_the_study_then(study):
    first = Raters(study)
    token = first.join()
    seen = through(first, token, most=3)
    first.close()
    again = Raters(study)
    seen += through(again, token)
    again.close()
    assert len(set(seen)) == len(seen) == 4


def test_what_is_sent_twice_is_one_answer_and_the_first_stands(study, raters):
    token = raters.join()
    trial = raters.next_trial(token)[1]
    after = raters.answer(token, trial, FINE)
    before = files(study)
    assert raters.answer(token, trial, dict(FINE), 99) == after, "a browser that heard no answer"
    with pytest.raises(OutOfTurn, match="has your grades already, and the first ones stand"):
        raters.answer(token, trial, FINE | {"quality": 1})
    assert files(study) == before and raters.next_trial(token) == after


def test_nobody_grades_ahead_and_nobody_what_is_not_there(study, raters):
    token = raters.join()
    mine = raters.next_trial(token)[1]
    later = next(trial for trial, _, _ in raters.plan.trials() if trial != mine)
    for trial in (later, "0" * 16 + ".mp4", "../plan.json", ""):
        with pytest.raises(OutOfTurn, match="is not your next one"):
            raters.answer(token, trial, FINE)
    assert raters.next_trial(token) == (0, mine)


@pytest.mark.parametrize(
    "grades",
    [
        {},
        {"movement": 3, "quality": 3},
        FINE | {"taste": 3},
        FINE | {"quality": 0},
        FINE | {"quality": 6},
        FINE | {"quality": True},
        FINE | {"quality": 3.0},
        FINE | {"quality": "3"},
        FINE | {"quality": None},
        FINE | {"quality": [3]},
        [3, 3, 3],
        None,
    ],
)
def test_grades_that_are_none_are_refused_and_leave_nothing(study, raters, grades):
    token = raters.join()
    before = files(study)
    with pytest.raises(InputError, match=r"grade"):
        raters.answer(token, raters.next_trial(token)[1], grades)
    assert files(study) == before


@pytest.mark.parametrize("seconds", [-1, 1e9, float("nan"), "1", True, [1]])
def test_seconds_that_are_none_are_refused(raters, seconds):
    token = raters.join()
    with pytest.raises(InputError, match="seconds must be a number"):
        raters.answer(token, raters.next_trial(token)[1], FINE, seconds)


def test_strangers_are_not_known(raters):
    raters.join()
    for token in ("", "x", "ä" * 40, "\udc80", "1"):
        with pytest.raises(UnknownRater, match="begin anew"):
            raters.next_trial(token)


def test_orders_are_balanced_over_those_who_answer(raters):
    for number in range(5):  # two who look and leave
        token = raters.join()
        if number not in (1, 2):
            through(raters, token, most=1)
    answering = Counter(rater.row for rater in raters._raters.values() if rater.answers)
    assert max(answering.values()) - min(answering[row] for row in range(2)) <= 1


def test_many_threads_lose_no_answer_and_share_no_number(study, raters):
    def grade():
        through(raters, raters.join())

    threads = [threading.Thread(target=grade) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list(read_raters(study, raters.plan))
    assert [rater.number for rater in found] == list(range(1, 9))
    assert all(len(rater.answers) == 4 for rater in found)


def test_a_disk_that_fails_keeps_what_was_there_and_the_answer_may_come_again(study, raters, monkeypatch):
    token = raters.join()
    trial = raters.next_trial(token)[1]
    before = files(study)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", full)
        with pytest.raises(OutputError, match="The answers before it are kept"):
            raters.answer(token, trial, FINE)
    assert files(study) == before and raters.next_trial(token) == (0, trial)
    assert raters.answer(token, trial, FINE)[0] == 1


def test_two_processes_do_not_take_answers_of_one_study(study, raters):
    with pytest.raises(InputError, match="is served by another process already"):
        Raters(study)
    raters.close()
    Raters(study).close()


def test_a_folder_of_raters_that_was_left_out_is_made_and_a_link_is_not_followed(study, tmp_path):
    (study / "raters").rmdir()
    assert list(read_raters(study, read_plan(study))) == []
    first = Raters(study)
    first.join()
    first.close()
    (study / "raters").rename(tmp_path / "elsewhere")
    (study / "raters").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="raters cannot be opened"):
        Raters(study)
    assert os.listdir(tmp_path / "elsewhere") == ["00001.json"]


def test_a_study_whose_answers_cannot_be_written_is_not_served(study, monkeypatch):
    def refused(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(safe_output, "try_place", refused)
    with pytest.raises(OutputError, match="the file system is read-only"):
        Raters(study)


def test_a_full_study_says_so(raters, monkeypatch):
    monkeypatch.setattr(module, "MOST_RATERS", 1)
    raters.join()
    with pytest.raises(InputError, match="has 1 raters, and takes no more"):
        raters.join()


DAMAGED = {
    "no JSON": (lambda text: text[:-5], ""),
    "another study": (lambda text: text.replace('"study": "', '"study": "a'), "it is of another study"),
    "another number": (lambda text: text.replace('"rater": 1', '"rater": 2'), "it is of rater 2"),
    "a row that is none": (lambda text: text.replace('"row": 0', '"row": 2'), "row must be a whole number of 0 to 1"),
    "a grade that is none": (lambda text: text.replace("[4, 3, 5]", "[4, 3, 6]", 1), "answers[0].grades[2]"),
    "a grade too many": (lambda text: text.replace("[4, 3, 5]", "[4, 3, 5, 5]", 1), "answers[0].grades"),
    "a trial of nobody": (lambda text: text.replace('"trial": "', '"trial": "zz', 1), "answers[0].trial"),
    "a later schema": (lambda text: text.replace('"schema": 1', '"schema": 2'), "schema must be"),
    "twice": (
        lambda text: json.dumps((about := json.loads(text)) | {"answers": about["answers"][:2] + about["answers"][:1]}),
        "a trial is answered twice",
    ),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_file_says_which_and_what_to_do(study, raters, fault):
    through(raters, raters.join())
    raters.close()
    spoil, says = DAMAGED[fault]
    path = study / "raters" / "00001.json"
    text = path.read_text()
    assert spoil(text) != text
    path.write_text(spoil(text))
    with pytest.raises(InputError) as error:
        Raters(study)
    assert "00001.json is damaged" in str(error.value) and "move it away" in str(error.value)
    assert says in str(error.value)
    path.write_text(text)
    Raters(study).close()


def test_other_files_beside_the_raters_are_let_be(study):
    (study / "raters" / ".00002.json.0123456789abcdef.part").write_text("{")
    (study / "raters" / "notes.txt").write_text("mine")
    assert list(read_raters(study, read_plan(study))) == []
