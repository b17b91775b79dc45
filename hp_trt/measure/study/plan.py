"""A study's folder, and the plan in it: which clip is whose.

    STUDY/plan.json        the key to the blind names; no rater is ever shown it
    STUDY/clips/           copies, each with a random name (`hp_trt.measure.study.copies`)
    STUDY/raters/          a file for each rater (`hp_trt.measure.study.raters`)

The folder appears whole, and nothing in it but `raters/` changes afterwards.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import InputError
from engines.fields import Field, read_json
from engines.foreign import foreign
from engines.held import remove_left
from engines.part_file import orphans, whole_folder
from engines.safe_output import check_folder, check_place, refusing
from hp_trt.measure.study.copies import copy_driver, copy_picture, copy_result, copy_sound
from hp_trt.measure.study.layout import MOST_CONTENDERS, MOST_ITEMS, MOST_TRIALS, read_clips

SCHEMA = 1
PLAN, CLIPS, RATERS = "plan.json", "clips", "raters"
_MOST_BYTES = 4 << 20
_BLIND = re.compile(r"[0-9a-f]{16}\.(png|mp4|m4a)")
_MOST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class PlannedItem:
    """One portrait and its driver, and each contender's result, by the names of their copies."""

    name: str
    source: str
    driving: str
    results: Mapping[str, str]  # contender -> copy

    @property
    def speech(self) -> bool:
        """Whether sound alone is the driver."""
        return self.driving.endswith(".m4a")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `plan.json` says. A trial is one result, and is called as its copy is."""

    id: str
    seed: int
    fingerprint: str  # `Clips.fingerprint` of what it was made of
    contenders: Sequence[str]
    items: Sequence[PlannedItem]

    def trials(self) -> Iterator[tuple[str, PlannedItem, str]]:
        """Every result's name, its item and its contender."""
        for item in self.items:
            for contender in self.contenders:
                yield item.results[contender], item, contender

    def files(self) -> Iterator[str]:
        """The names of all copies."""
        for item in self.items:
            yield from (item.source, item.driving, *item.results.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "id": self.id,
            "seed": self.seed,
            "fingerprint": self.fingerprint,
            "contenders": list(self.contenders),
            "items": [
                {"name": item.name, "source": item.source, "driving": item.driving, "results": dict(item.results)}
                for item in self.items
            ],
        }


def make_study(
    clips: Path, out: Path, *, seed: int = 0, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Plan, list[str]]:
    """Make the folder `out` of the clips in `clips`, and what the user should know of it, a line each.

    `seed`: of the orders in which raters see results. `progress`: is told of copies done, and of how many.
    Raises InputError and OutputError; then `out` is as it was.
    """
    _check_free(out, clips)
    check_folder(out, {"the folder of clips": clips})
    found = read_clips(clips)
    notes = list(found.notes)
    total, done = len(found.items) * (2 + len(found.contenders)), 0
    items = []
    for part in orphans(out):  # of a process that was killed
        remove_left(part)
    with refusing(out, left="Nothing was left behind"), whole_folder(out) as hidden:
        (hidden / CLIPS).mkdir()
        (hidden / RATERS).mkdir()
        for item in found.items:
            names = [f"{secrets.token_hex(8)}.{ending}" for ending in ("png", "m4a" if item.speech else "mp4")]
            copy_picture(item.source, hidden / CLIPS / names[0])
            notes += (copy_sound if item.speech else copy_driver)(item.driving, hidden / CLIPS / names[1])
            done += 2
            progress(done, total)
            results = {}
            for contender, path in item.results.items():
                results[contender] = f"{secrets.token_hex(8)}.mp4"
                copy_result(path, hidden / CLIPS / results[contender])
                done += 1
                progress(done, total)
            items.append(PlannedItem(name=item.name, source=names[0], driving=names[1], results=results))
        plan = Plan(
            id=secrets.token_hex(8),
            seed=seed,
            fingerprint=found.fingerprint(),
            contenders=tuple(found.contenders),
            items=tuple(items),
        )
        for name in plan.files():  # a server tells when a file was written
            os.utime(hidden / CLIPS / name, (0, 0))
        text = json.dumps(plan.to_json(), indent=2, ensure_ascii=False) + "\n"
        (hidden / PLAN).write_text(text, encoding="utf-8")
    return plan, notes


def read_plan(study: Path) -> Plan:
    """The plan of the folder `study`, with every copy there that it names. Raises InputError."""
    if not (study / PLAN).is_file():
        raise InputError(f"{study} is no study, for it has no {PLAN}; make one: hp-trt study --clips DIR --out STUDY")
    advice = "take the folder as hp-trt study made it"
    with foreign(f"{study / PLAN} is damaged", advice):
        plan = _plan_of(read_json(study / PLAN, most_bytes=_MOST_BYTES))
    for name in plan.files():
        path = study / CLIPS / name
        with foreign(f"{path} cannot be shown", advice):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise InputError(f"{path} is no regular file, and a study holds nothing else; {advice}")
    return plan


def _plan_of(field: Field) -> Plan:
    schema = field["schema"].whole(1, 10**6)
    if schema != SCHEMA:
        raise ValueError(f"it has schema {schema}, this version reads {SCHEMA}")
    contenders = field["contenders"].words(most=MOST_CONTENDERS)
    items = []
    for entry in field["items"].listed(least=1, most=MOST_ITEMS):
        results = {name: _blind(value, "mp4") for name, value in entry["results"].entries(most=MOST_CONTENDERS)}
        if set(results) != set(contenders):
            raise entry["results"].wrong(f"one of each of {', '.join(contenders)}")
        items.append(
            PlannedItem(
                name=entry["name"].text(most=80),
                source=_blind(entry["source"], "png"),
                driving=_blind(entry["driving"], "mp4", "m4a"),
                results=results,
            )
        )
    plan = Plan(
        id=field["id"].text(most=32),
        seed=field["seed"].whole(0, _MOST_SEED),
        fingerprint=field["fingerprint"].text(most=64),
        contenders=contenders,
        items=tuple(items),
    )
    names = list(plan.files())
    if len(set(names)) < len(names) or len({item.name for item in items}) < len(items):
        raise ValueError("a name stands in it twice")
    if len(contenders) < 2 or len(set(contenders)) < len(contenders) or len(items) * len(contenders) > MOST_TRIALS:
        raise field["contenders"].wrong("at least two different names, and at most 2000 results of them all")
    if not re.fullmatch(r"[0-9a-f]{16}", plan.id):
        raise field["id"].wrong("16 digits of 0 to f")
    return plan


def _blind(field: Field, *endings: str) -> str:
    """The name of a copy: it leads nowhere else."""
    name = field.text(most=40)
    found = _BLIND.fullmatch(name)
    if not found or found[1] not in endings:
        raise field.wrong(f"16 digits of 0 to f and .{' or .'.join(endings)}")
    return name


def _check_free(out: Path, clips: Path) -> None:
    """Raises InputError where something is in `out` already; of a study it says whether it is of the same clips.

    OutputError where nothing can be made.
    """
    if not os.path.isdir(out):  # which holds for any text
        check_place(out)
        return
    if out.samefile("."):
        raise InputError(f"{out} is the current folder; give the study a folder of its own, which is made")
    if not any(out.iterdir()):
        check_place(out.with_name(f"{out.name}.new"))  # the study grows beside it
        return
    if not (out / PLAN).is_file():
        raise InputError(f"{out} is a folder with files in it, and no study; give another name, or empty it")
    plan = read_plan(out)
    if plan.fingerprint == read_clips(clips).fingerprint():
        raise InputError(f"{out} is a study of these clips already; go on with it: hp-trt study serve {out}")
    raise InputError(
        f"{out} is a study of other clips ({len(plan.items)}, of {', '.join(plan.contenders)}), which stays; give "
        "another name"
    )
