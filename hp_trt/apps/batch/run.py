"""A batch from its folders to its report: what is done is passed over, what fails is listed, the rest goes on."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from engines.bundle import Bundle
from engines.errors import Busy, InputError
from engines.held import TOKEN, remove_left
from engines.safe_output import check_folder, refusing
from hp_trt.apps.batch.config import BatchConfig
from hp_trt.apps.batch.done import Recipes, forget_parts
from hp_trt.apps.batch.done_enlarged import EnlargedRecipes
from hp_trt.apps.batch.enlarging import check_names, check_room
from hp_trt.apps.batch.maker import Larger, Maker
from hp_trt.apps.batch.media_folder import Kind, MediaFolder, look_into
from hp_trt.apps.batch.outcome import Outcome, State, failed
from hp_trt.apps.batch.pairs import Pair, every_pair, read_pairs
from hp_trt.apps.batch.report import JSON, PAGE, SHEET, count, count_enlarged, write_report
from hp_trt.apps.batch.sheet import write_batch_sheet
from hp_trt.console import Reporter
from hp_trt.models import check_driver, find_model, profile_of
from hp_trt.provenance import run_seal
from hp_trt.provenance.sidecar import beside

_LOCK = ".hp-trt-batch.lock"
_ELSEWHERE = sys.maxsize  # what the machines of a cluster have free is told by each, at a clip's turn
_MOST_TOLD = 20  # failures that are told as they come; the report has all


@dataclass(kw_only=True)
class Batch:
    """What is to be done, and what came of it."""

    config: BatchConfig
    pairs: Sequence[Pair]
    recipes: Recipes
    enlarged: EnlargedRecipes | None  # None: clips stay as they are
    report: Reporter
    passed_over: Mapping[str, Mapping[str, int]]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _notes: set[str] = field(default_factory=set)  # told with a clip
    _told_where: bool = False  # that the report has the others

    @property
    def out(self) -> Path:
        return self.config.out

    def settle(self, outcome: Outcome) -> None:
        """Keep it, and tell it where nothing more comes of its pair."""
        self.outcomes[outcome.out] = outcome
        if not outcome.over:
            return
        if outcome.has_failed:
            number = sum(one.has_failed for one in self.outcomes.values())
            if number <= _MOST_TOLD:
                self.report.note(f"{outcome.out} failed: {outcome.error}")
            if number == _MOST_TOLD:
                self.report.note(f"further failures are listed in {self.out / PAGE} alone")
        self._tell_notes(outcome)
        done = sum(one.over for one in self.outcomes.values())
        facts = {name: value for name, value in outcome.to_json().items() if name != "notes"}
        self.report.advance("clips", done, len(self.pairs), **facts)

    def _tell_notes(self, outcome: Outcome) -> None:
        """Tell each with the first clip that it is about: most are of all clips. An enhancer's were told before."""
        before = () if self.enlarged is None else self.enlarged.notes
        for note in outcome.notes:
            if note in before:
                continue
            if note not in self._notes:
                self._notes.add(note)
                self.report.note(f"{outcome.out}: {note}")
            elif not self._told_where:
                self._told_where = True
                self.report.note(f"further clips that a note is about are listed in {self.out / PAGE} alone")

    def look(self) -> list[Pair]:
        """The pairs that are not done; those that are, are settled."""
        waiting = []
        for pair in self.pairs:
            try:
                found = self._found(pair)
            except InputError as error:
                self.settle(self.with_larger(failed(pair.out, error)))
                continue
            self.settle(found)
            if not found.over:
                waiting.append(pair)
        return waiting

    def _found(self, pair: Pair) -> Outcome:
        """What is there of a pair. Raises InputError for an input that cannot be read."""
        if (why := self.recipes.why_not_done(pair)) is not None:
            return self.with_larger(Outcome(out=pair.out, state="waiting", why=why or None))
        forget_parts(self.out / pair.out)
        found = self.with_larger(Outcome(out=pair.out, state="there"))
        if self.enlarged is None or found.enhanced is None:
            return found
        try:
            why = self.enlarged.why_not_done(pair.out)
        except (OSError, ValueError):  # somebody takes the clip's sidecar away meanwhile
            why = ""
        if why is not None:
            return replace(found, enhanced_why=why or None)
        forget_parts(self.out / found.enhanced)
        return replace(found, enhanced_state="there")

    def with_larger(self, outcome: Outcome) -> Outcome:
        """The same, and the larger clip that is asked for is waited for."""
        if self.enlarged is None or outcome.enhanced is not None:
            return outcome
        return replace(outcome, enhanced=self.enlarged.enlarging.name_of(outcome.out), enhanced_state="waiting")

    def now(self, pair: Pair, before: Outcome) -> Outcome:
        """What is there of a pair of which there was `before`. Raises InputError."""
        found = self._found(pair)
        state: State = "made" if before.state == "waiting" and found.has_clip else found.state
        is_new = before.enhanced_state == "waiting" and found.enhanced_state == "there"
        return replace(found, state=state, enhanced_state="made" if is_new else found.enhanced_state)

    def make(self, waiting: Sequence[Pair]) -> None:
        """Make them, here or by Ray. Raises what ends a batch."""
        if not waiting:
            return
        for outcome in self._by_ray(waiting) if self.config.ray else self._here(waiting):
            before, made = self.outcomes[outcome.out], self.with_larger(outcome)  # which a worker that died has not
            self.settle(replace(made, why=before.why, enhanced_why=before.enhanced_why))

    def write(self, *, sheet: bool) -> None:
        """The report, with its picture where `sheet`. Raises OutputError."""
        shown = 0
        if sheet:
            good = [pair for pair in self.pairs if self.outcomes[pair.out].has_clip]
            seal = None
            if (prepared := self.recipes.prepared) is not None:
                seal = prepared.seal(self.recipes.origin({}))
            shown = write_batch_sheet(self.out / SHEET, good, self.out, seal)
        about = {
            "bundle": self.config.bundle.name,
            "licence": self.recipes.origin({}).bundle["licence"],
            "profile": self.recipes.profile.name,
            "sampling": dict(self.recipes.origin({}).sampling),
        }
        if self.enlarged is not None:
            about["enlarging"] = self.enlarged.about
        write_report(self.out, self.pairs, self.outcomes, about=about, passed_over=self.passed_over, shown=shown)

    def _here(self, waiting: Sequence[Pair]) -> Iterator[Outcome]:
        from hp_trt.api import Runtime

        config = self.config
        with ExitStack() as opened:
            runtime = opened.enter_context(Runtime(config.bundle, config.runtime, on_event=self.report.on_event))
            larger = None
            if config.enlarging is not None:
                enhancer = opened.enter_context(config.enlarging.open(config.runtime, self.report.on_event))
                larger = Larger(enlarging=config.enlarging, enhancer=enhancer)
            self._check_room(waiting)
            maker = Maker(
                runtime=runtime,
                out=self.out,
                audio=self.recipes.model.driver == "audio",
                provenance=config.provenance,
                sampling=config.sampling,
                larger=larger,
            )
            for pair in waiting:
                yield from maker.outcomes(pair, is_there=self.outcomes[pair.out].has_clip)

    def _check_room(self, waiting: Sequence[Pair], available: int | None = None) -> None:
        """With all graphs open: raises InputError for a clip that is too large to be enlarged."""
        if self.enlarged is not None:
            portraits = [pair.portrait for pair in waiting]
            check_room(portraits, self.enlarged.bundle, self.enlarged.options, available=available)

    def _by_ray(self, waiting: Sequence[Pair]) -> Iterable[Outcome]:
        from hp_trt.apps.scale.batch import made_by_ray

        self._check_room(waiting, _ELSEWHERE)
        there = frozenset(pair.out for pair in waiting if self.outcomes[pair.out].has_clip)
        try:
            yield from made_by_ray(self.config, waiting, audio=self.recipes.model.driver == "audio", there=there)
        finally:
            self.sweep()  # workers are ended without ceremony

    def sweep(self) -> None:
        """Remove what killed processes left half written under a name of ours, and nothing else."""
        names = {pair.out for pair in self.pairs} | {SHEET, JSON, PAGE}
        if (enlarging := self.config.enlarging) is not None:
            names |= {enlarging.name_of(pair.out) for pair in self.pairs}
        names |= {beside(Path(name)).name for name in names}
        with suppress(OSError):
            for name in os.listdir(self.out):
                found = re.fullmatch(rf"\.(.+)\.{TOKEN}\.part", name)
                if found and found[1] in names:
                    remove_left(self.out / name)


def run_batch(config: BatchConfig, report: Reporter) -> int:
    """Make the clips, and write the report; the exit code: 0, or that of the worst failure.

    Raises InputError, OutputError, BundleError, EngineMismatch for what ends a batch, and Ctrl-C. Then, too, a report
    is written of what is done.
    """
    if config.ray is not None:
        from hp_trt.apps.scale.ray_version import check_ray

        check_ray("--ray")
    batch = plan(config, report)
    with _held(config.out):
        batch.sweep()
        try:
            batch.make(batch.look())
        except BaseException as error:
            _leave(batch, error)
            raise
        batch.write(sheet=True)
    found = count(batch.outcomes)
    text = f"{found['made']} clips made, {found['there']} were done before, {found['failed']} failed"
    facts: dict[str, Any] = {"clips": len(batch.pairs), **found}
    if batch.enlarged is not None:
        facts["enlarged"] = larger = count_enlarged(batch.outcomes)
        text += f"; {larger['made']} enlarged, {larger['there']} were before, {larger['failed']} failed at that"
    report.result(f"{config.out}: {text}; see {config.out / PAGE}", out=config.out, **facts, report=config.out / JSON)
    codes = {outcome.code for outcome in batch.outcomes.values() if outcome.has_failed}
    return min(codes, default=0)  # 1, a failure of ours, before 2, the user's turn


def plan(config: BatchConfig, report: Reporter) -> Batch:
    """What is to be done, with everything looked at that can be before a graph is opened. The folder is made.

    Raises InputError, OutputError, BundleError.
    """
    pairs, driver, folders = _pairs(config)
    bundle = Bundle.open(config.bundle, family="")
    spoken = driver == "audio"
    check_driver(bundle, audio=driver if spoken else None, video=None if spoken else driver)
    recipes = Recipes(
        config=config,
        bundle=bundle,
        model=find_model(bundle),
        profile=profile_of(bundle, config.runtime),
    )
    recipes.check(pairs)
    enlarged = None
    if config.enlarging is not None:
        enlarged = EnlargedRecipes.of(config, config.enlarging)
        check_names(pairs, config.enlarging)
    _make_folder(config.out)
    first = {"a clip": config.out / pairs[0].out, "the contact sheet": config.out / SHEET}
    prepared = run_seal.prepare(config.provenance, first, config.runtime.inputs(bundle=config.bundle))
    report.note_weights(bundle.manifest)
    if enlarged is not None:
        enlarged = replace(enlarged, prepared=prepared)
        for note in enlarged.notes:
            report.note(note)
    for what, found in folders.items():
        if found.passed_over:
            report.note(f"{found.folder}: passed over, as their names end like no {what}: {found.told()}")
    passed_over: dict[str, Mapping[str, int]] = {what: found.passed_over for what, found in folders.items()}
    recipes = replace(recipes, prepared=prepared)
    return Batch(config=config, pairs=pairs, recipes=recipes, enlarged=enlarged, report=report, passed_over=passed_over)


def _pairs(config: BatchConfig) -> tuple[list[Pair], str, dict[str, MediaFolder]]:
    """The pairs, what moves them ("driving" or "audio"), and the folders that were looked through."""
    if config.pairs is not None:
        pairs, driver = read_pairs(config.pairs, config.portraits, config.drivers)
        other = config.audio if driver == "driving" else config.drivings
        if other is not None:
            raise InputError(f"{config.pairs} has the column {driver}, and {other} is of the other kind; leave it out")
        return pairs, driver, {}
    assert config.portraits is not None and config.drivers is not None, "checked by the config"
    kind: Kind = "audio" if config.drivings is None else "drivings"
    folders: dict[str, MediaFolder] = {
        "portraits": look_into(config.portraits, "portraits"),
        kind: look_into(config.drivers, kind),
    }
    return every_pair(folders["portraits"], folders[kind]), str(kind), folders


def _make_folder(out: Path) -> None:
    check_folder(out, {})
    with refusing(out):
        out.mkdir(parents=True, exist_ok=True)


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """One batch at a time writes into a folder. Raises Busy."""
    lock = FileLock(out / _LOCK)
    with refusing(out):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise Busy(
                f"{out} is being filled by another batch; wait until it is done, or give another --out"
            ) from None
    try:
        yield
    finally:
        with suppress(OSError):
            (out / _LOCK).unlink()
        lock.release()


def _leave(batch: Batch, error: BaseException) -> None:
    """What an unfinished batch leaves: a report of what is done, and a word on how to go on."""
    for pair in batch.pairs:  # of a batch that ended while it looked
        batch.outcomes.setdefault(pair.out, batch.with_larger(Outcome(out=pair.out, state="waiting")))
    if batch.config.ray is not None:  # what a worker has made comes to us a little later
        for pair in batch.pairs:
            with suppress(Exception):
                if not (before := batch.outcomes[pair.out]).over:
                    batch.outcomes[pair.out] = batch.now(pair, before)
    with suppress(Exception):
        batch.write(sheet=False)
    done = sum(one.over and not one.has_failed for one in batch.outcomes.values())
    error.add_note(f"{done} of {len(batch.pairs)} clips are done; the same command goes on with the others")
