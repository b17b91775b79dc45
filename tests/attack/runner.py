"""Runs cases until their number or the time is over, a few at a time, and keeps what failed."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.attack.case import Around, Case, Ended, faults
from tests.attack.forked import Running, ended, start
from tests.attack.seeds import Seeds

Family = Callable[[random.Random, Seeds, Path], Case]


@dataclass
class Tally:
    """What was tried and what was wrong."""

    cases: Counter[str] = field(default_factory=Counter)  # by family
    faults: dict[str, Counter[str]] = field(default_factory=dict)  # family -> kind of fault -> how many
    codes: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    worst_bytes: int = 0
    worst_s: float = 0.0
    failed: list[str] = field(default_factory=list)  # a text each, with the words

    def add(self, number: int, case: Case, end: Ended, found: list[str]) -> None:
        self.cases[case.family] += 1
        self.codes[case.family, end.code] += 1
        self.worst_bytes, self.worst_s = max(self.worst_bytes, end.peak_bytes), max(self.worst_s, end.seconds)
        kinds = self.faults.setdefault(case.family, Counter())
        for fault in found:
            kinds[fault.split(":")[0]] += 1
        if found:
            told = end.err.strip().splitlines()
            self.failed.append(
                f"case {number}, {case.family}: {case.name}\n  {'; '.join(found)}\n  {' '.join(case.words)}\n"
                + "".join(f"  | {line[:300]}\n" for line in told[-6:])
            )


@dataclass
class _Slot:
    running: Running
    case: Case
    around: Around
    number: int
    folder: Path


def attack(
    families: Mapping[str, Family],
    seeds: Seeds,
    *,
    seed: int,
    first: int = 0,
    cases: int,
    until_s: float,
    jobs: int,
    tell: Callable[[int, Tally], None] = lambda number, tally: None,
) -> Tally:
    """Case `n` is the same for a seed, whatever ran before it. `until_s` is of `time.monotonic`."""
    tally, slots = Tally(), list[_Slot]()
    with tempfile.TemporaryDirectory(prefix="hp-trt-attack-") as place:
        numbers = iter(range(first, first + cases))
        while True:
            while len(slots) < jobs and time.monotonic() < until_s and (number := next(numbers, None)) is not None:
                slots.append(_begin(families, seeds, seed, number, Path(place)))
            if not slots:
                return tally
            for slot in list(slots):
                end = ended(slot.running)
                if end is None:
                    continue
                slots.remove(slot)
                tally.add(slot.number, slot.case, end, faults(slot.case, end, slot.around))
                tell(slot.number, tally)
                shutil.rmtree(slot.folder, ignore_errors=True)
            time.sleep(0.005)


def _begin(families: Mapping[str, Family], seeds: Seeds, seed: int, number: int, place: Path) -> _Slot:
    names = list(families)
    rng = random.Random(f"{seed} {number}")
    folder = place / f"case-{number}"
    folder.mkdir()
    case = families[names[number % len(names)]](rng, seeds, folder)
    around = Around(folder, case.outputs, case.records)
    return _Slot(start(case, folder), case, around, number, folder)


def lines(tally: Tally) -> Iterator[str]:
    """The table of docs/reliability.md."""
    kinds = ("wrong exit", "traceback", "destroyed", "torn", "left", "memory", "hang")
    yield "| family | cases | refused | " + " | ".join(kinds) + " |"
    yield "|---|---:|---:|" + "---:|" * len(kinds)
    for family, count in sorted(tally.cases.items()):
        found = tally.faults.get(family, Counter())
        cells = (count, tally.codes[family, 2], *(found[kind] for kind in kinds))
        yield f"| {family} | " + " | ".join(map(str, cells)) + " |"
    total = Counter[str]()
    for found in tally.faults.values():
        total += found
    refused = sum(number for (_, code), number in tally.codes.items() if code == 2)
    cells = (sum(tally.cases.values()), refused, *(total[kind] for kind in kinds))
    yield "| all | " + " | ".join(map(str, cells)) + " |"
