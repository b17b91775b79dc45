"""What raters answer: one small file each, whole at any moment, and who may go on with it.

A rater is a number and a random token that only their browser has; of that the file keeps the SHA-256. No name and no
address is kept. An answer is on the disk before the rater hears of it. The first answer to a trial stands, and trials
come in the rater's own order, so whatever a browser sends twice or too late changes nothing.

One process at a time may take answers: it holds a lock on the folder. Reading needs none.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import threading
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from engines.errors import HpTrtError, InputError
from engines.fields import Field, read_json
from engines.foreign import foreign
from engines.part_file import sweep_below, write_whole
from engines.safe_output import check_place, refusing
from hp_trt.measure.study.orders import order, rows
from hp_trt.measure.study.plan import RATERS, Plan, read_plan

QUESTIONS = ("movement", "quality", "smoothness")
LEAST_GRADE, MOST_GRADE = 1, 5
MOST_RATERS = 10_000
SCHEMA = 1
_MOST_BYTES = 1 << 20
_LONGEST_S = 86_400
_FILE = re.compile(r"\d{5}\.json")
_TOKEN_BYTES = 24


class UnknownRater(HpTrtError):
    """A token that no rater of this study has."""


class OutOfTurn(HpTrtError):
    """An answer to a trial that has another one, or is not the rater's next."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The grades of one trial, in the order of `QUESTIONS`, and the seconds that it took, where the browser said so."""

    trial: str
    grades: tuple[int, ...]
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {"trial": self.trial, "grades": list(self.grades), "seconds": self.seconds}


@dataclass(frozen=True, kw_only=True)
class Rater:
    """One rater, with what they have answered so far in the order in which they did."""

    number: int
    row: int  # of the square that their order is made of
    token_sha256: str
    answers: Sequence[Answer] = field(default=())

    @cached_property
    def graded(self) -> Mapping[str, Answer]:
        """Their answers by trial."""
        return {answer.trial: answer for answer in self.answers}

    def trials(self, plan: Plan) -> Sequence[str]:
        """All trials in this rater's order."""
        turns = order(
            rater=self.number,
            row=self.row,
            items=len(plan.items),
            contenders=len(plan.contenders),
            seed=plan.seed,
        )
        return [plan.items[item].results[plan.contenders[contender]] for item, contender in turns]


class Raters:
    """The raters of the study in the folder `study`, for as long as answers are taken; threads may share it.

    Raises InputError where it is no study, is damaged, or another process takes its answers, OutputError where answers
    cannot be written. `close` lets it go.
    """

    def __init__(self, study: Path) -> None:
        self.study, self.plan = study, read_plan(study)
        with refusing(study / RATERS):
            (study / RATERS).mkdir(exist_ok=True)  # what copies folders may leave out an empty one
        check_place(study / RATERS / f"{0:05}.json")
        self._turn = threading.Lock()
        self._let_go = weakref.finalize(self, os.close, _locked(study))
        try:
            sweep_below(study / RATERS)  # of a process that was killed
            self._raters = {rater.token_sha256: rater for rater in read_raters(study, self.plan)}
        except BaseException:
            self.close()
            raise

    def join(self) -> str:
        """The token of a new rater. Raises InputError where there are enough, OutputError where none can be kept."""
        with self._turn:
            if len(self._raters) >= MOST_RATERS:
                raise InputError(f"this study has {MOST_RATERS} raters, and takes no more")
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            number = max((rater.number for rater in self._raters.values()), default=0) + 1
            self._keep(Rater(number=number, row=self._free_row(), token_sha256=_hashed(token)))
            return token

    def next_trial(self, token: str) -> tuple[int, str | None]:
        """How many trials the rater has answered, and the next one; None: that was all. Raises UnknownRater."""
        with self._turn:
            return self._next(self._known(token))

    def answer(self, token: str, trial: str, grades: Mapping[str, Any], seconds: Any = None) -> tuple[int, str | None]:
        """Keep an answer, and tell what `next_trial` does then. `grades`: of each question, 1 to 5.

        Raises UnknownRater, OutOfTurn, InputError for grades that are none, OutputError where the disk refuses.
        """
        given = Answer(trial=trial, grades=_grades(grades), seconds=_seconds(seconds))
        with self._turn:
            rater = self._known(token)
            known = rater.graded.get(trial)
            if known is not None:
                if known.grades != given.grades:
                    raise OutOfTurn("this clip has your grades already, and the first ones stand; go on with the next")
                return self._next(rater)
            if trial != self._next(rater)[1]:
                raise OutOfTurn("this clip is not your next one; load the page again")
            rater = replace(rater, answers=(*rater.answers, given))
            self._keep(rater)
            return self._next(rater)

    def close(self) -> None:
        """Take no more answers. Twice is fine."""
        self._let_go()

    def _next(self, rater: Rater) -> tuple[int, str | None]:
        left = (trial for trial in rater.trials(self.plan) if trial not in rater.graded)
        return len(rater.graded), next(left, None)

    def _known(self, token: str) -> Rater:
        rater = self._raters.get(_hashed(token))
        if rater is None:
            raise UnknownRater("this browser's place in the study is not known here; begin anew")
        return rater

    def _keep(self, rater: Rater) -> None:
        about = {
            "schema": SCHEMA,
            "study": self.plan.id,
            "rater": rater.number,
            "row": rater.row,
            "token_sha256": rater.token_sha256,
            "answers": [answer.to_json() for answer in rater.answers],
        }
        path = self.study / RATERS / f"{rater.number:05}.json"
        with refusing(path, left="The answers before it are kept"):
            write_whole(path, json.dumps(about).encode())
        self._raters[rater.token_sha256] = rater

    def _free_row(self) -> int:
        """The row that fewest raters have who answer, and of these rows the one that fewest have at all."""
        raters = self._raters.values()
        answering, joined = Counter(r.row for r in raters if r.answers), Counter(r.row for r in raters)
        return min(range(rows(len(self.plan.contenders))), key=lambda row: (answering[row], joined[row], row))


def read_raters(study: Path, plan: Plan) -> Iterator[Rater]:
    """Every rater of the study, in the order in which they came. Raises InputError where a file is damaged."""
    folder = study / RATERS
    if not os.path.lexists(folder):
        return
    with foreign(f"{folder} cannot be read", "take the folder as hp-trt study made it"):
        names = sorted(path.name for path in folder.iterdir() if _FILE.fullmatch(path.name))
    trials = {trial for trial, _, _ in plan.trials()}
    for name in names:
        with foreign(f"{folder / name} is damaged", "move it away, and the study goes on without that rater"):
            rater = _rater_of(read_json(folder / name, most_bytes=_MOST_BYTES), plan, trials)
            if rater.number != int(name.partition(".")[0]):
                raise ValueError(f"it is of rater {rater.number}")
        yield rater


def _rater_of(entry: Field, plan: Plan, trials: set[str]) -> Rater:
    entry["schema"].whole(SCHEMA, SCHEMA)
    if entry["study"].text() != plan.id:
        raise ValueError("it is of another study")
    answers = []
    for given in entry["answers"].listed(most=len(trials)):
        grades = given["grades"].listed(least=len(QUESTIONS), most=len(QUESTIONS))
        seconds = given["seconds"]
        answers.append(
            Answer(
                trial=given["trial"].choice(sorted(trials)),
                grades=tuple(grade.whole(LEAST_GRADE, MOST_GRADE) for grade in grades),
                seconds=None if seconds.found is None else seconds.number(0, _LONGEST_S),
            )
        )
    if len({answer.trial for answer in answers}) < len(answers):
        raise ValueError("a trial is answered twice")
    return Rater(
        number=entry["rater"].whole(1, 99_999),
        row=entry["row"].whole(0, rows(len(plan.contenders)) - 1),
        token_sha256=entry["token_sha256"].text(most=64),
        answers=tuple(answers),
    )


def _grades(given: Mapping[str, Any]) -> tuple[int, ...]:
    """Raises InputError unless each question has one of the five grades."""
    if not isinstance(given, Mapping) or set(given) != set(QUESTIONS):
        raise InputError(f"needed are grades for {', '.join(QUESTIONS)}, each from {LEAST_GRADE} to {MOST_GRADE}")
    try:
        return tuple(Field(given[question], question).whole(LEAST_GRADE, MOST_GRADE) for question in QUESTIONS)
    except ValueError as error:
        raise InputError(f"{error}; give each question one of the five grades") from error


def _seconds(given: Any) -> float | None:
    if given is None:
        return None
    try:
        return round(float(Field(given, "seconds").number(0, _LONGEST_S)), 1)
    except ValueError as error:
        raise InputError(f"{error}, of a day at most; leave them out where they are not known") from error


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _locked(study: Path) -> int:
    """The folder's descriptor, locked until it is closed or the process ends. Raises InputError."""
    folder = study / RATERS
    with foreign(f"{folder} cannot be opened", "take the folder as hp-trt study made it"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise InputError(f"{study} is served by another process already; use that one, or end it first") from None
        except OSError:  # a file system without locks, where nobody can know
            return handle
    return handle
