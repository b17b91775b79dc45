"""Who is moved by what, and what the clip is called: every portrait with every driver, or the rows of a table.

    portrait,driving,out,seed
    anna.png,talk.mp4,,
    bert.png,talk.mp4,bert-again.mov,7

A table is CSV with a line of names: `portrait`, and `driving` (a video) or `audio` (speech); where wanted `out`, the
clip's name, `seed` and `mood`. Files that no folder is given for are looked up beside the table.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from engines.errors import InputError
from engines.fields import read_bytes, shown
from engines.foreign import reason
from hp_trt.apps.batch.media_folder import MediaFolder
from hp_trt.media.video_writer import SUFFIXES

MOST_PAIRS = 100_000
OWN = ("mood", "seed")  # sampling options that a row may have
_COLUMNS = ("portrait", "driving", "audio", "out", *OWN)
_MOST_BYTES = 64 << 20
_MOST_SEED = 2**63 - 1
_SHOWN = 4  # of what is wrong
_ENCODED = (".motion", ".portrait")  # as our own encoded files are called before their ending


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One clip to make."""

    portrait: Path
    driver: Path  # a driving video or speech
    out: str  # a name in the folder of results
    options: Mapping[str, Any] = field(default_factory=dict)  # of its own, by name


def every_pair(portraits: MediaFolder, drivers: MediaFolder) -> list[Pair]:
    """Every portrait with every driver, a portrait's clips in a row: PORTRAIT-DRIVER.mp4. Raises InputError."""
    count = len(portraits.files) * len(drivers.files)
    if count > MOST_PAIRS:
        raise InputError(
            f"{len(portraits.files)} portraits with {len(drivers.files)} drivers are {count} clips, at most "
            f"{MOST_PAIRS} are made at once; say which by --pairs, or divide the folders"
        )
    found = product(portraits.files, drivers.files)
    return checked([Pair(portrait=one, driver=other, out=clip_name(one, other)) for one, other in found])


def clip_name(portrait: Path, driver: Path) -> str:
    """What a clip is called where nobody says: anna-talk.mp4 of anna.png and talk.mp4."""
    return f"{_stem(portrait)}-{_stem(driver)}.mp4"


def checked(pairs: Sequence[Pair]) -> list[Pair]:
    """`pairs`, a portrait's in a row, in the order in which each portrait came first.

    Raises InputError where two would be one file; letters' case may not count in the folder, so it does not here.
    """
    names: dict[str, Pair] = {}
    for pair in pairs:
        other = names.setdefault(pair.out.casefold(), pair)
        if other is not pair:
            raise InputError(
                f"{pair.out} would be two clips: of {other.portrait.name} by {other.driver.name} and of "
                f"{pair.portrait.name} by {pair.driver.name}; rename a file, or name each clip in the column out of a "
                "table (--pairs)"
            )
    places: dict[Path, list[Pair]] = {}
    for pair in pairs:
        places.setdefault(pair.portrait, []).append(pair)
    return [pair for row in places.values() for pair in row]


def read_pairs(table: Path, portraits: Path | None, drivers: Path | None) -> tuple[list[Pair], str]:
    """The pairs of a table, and which column says what moves them: "driving" or "audio".

    `portraits`, `drivers`: folders in which names are looked up; None: the table's own. Raises InputError for what is
    no such table, and for one that names files which are not there.
    """
    reader = csv.DictReader(io.StringIO(_text(table)), strict=True)
    driver = _check_columns(table, reader)
    near = {"portrait": portraits or table.parent, driver: drivers or table.parent}
    pairs, missing = [], []
    for line, row in _rows(table, reader):
        files = {}
        for column, folder in near.items():
            if not row[column]:
                raise InputError(f"{table}, line {line} names no {column}; every row needs one")
            files[column] = folder / row[column]
            if not files[column].is_file():
                missing.append(f"line {line}: {row[column]}")
        pairs.append(_pair(table, line, row, files["portrait"], files[driver]))
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise InputError(
            f"{table} names {len(missing)} files that are not there: {', '.join(missing[:_SHOWN])}{more}; correct the "
            "lines, or name their folders by --portraits and --drivings or --audio"
        )
    if not pairs:
        raise InputError(f"{table} has no row below its names; add one for each clip")
    return checked(pairs), driver


def _text(table: Path) -> str:
    try:
        return read_bytes(table, most_bytes=_MOST_BYTES).decode("utf-8-sig")  # as spreadsheets write it
    except (OSError, ValueError) as error:
        raise InputError(f"--pairs {table} cannot be read: {reason(error)}; give a CSV file in UTF-8") from error


def _check_columns(table: Path, reader: csv.DictReader[str]) -> str:
    """The column that says what moves portraits. Raises InputError."""
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise InputError(f"{table} is no CSV: {error}; {_needed()}") from error
    drivers = [name for name in ("driving", "audio") if name in names]
    strange = [name for name in names if name not in _COLUMNS]
    if strange or "portrait" not in names or len(drivers) != 1 or len(set(names)) != len(names):
        raise InputError(f"{table} has the columns {shown(', '.join(names)) if names else 'none'}; {_needed()}")
    reader.fieldnames = names
    return drivers[0]


def _needed() -> str:
    return f"its first line names them: portrait, one of driving and audio, and where wanted out, {', '.join(OWN)}"


def _rows(table: Path, reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with its line; a cell that is not there is empty."""
    count = 0
    try:
        for row in reader:
            count += 1
            if count > MOST_PAIRS:
                raise InputError(f"{table} has more than {MOST_PAIRS} rows; divide it")
            if None in row:
                raise InputError(f"{table}, line {reader.line_num} has more cells than names; quote what has a comma")
            yield reader.line_num, {name: (cell or "").strip() for name, cell in row.items()}
    except csv.Error as error:
        raise InputError(f"{table}, line {reader.line_num} is no CSV: {error}; correct it") from error


def _pair(table: Path, line: int, row: Mapping[str, str], portrait: Path, driver: Path) -> Pair:
    name = row.get("out") or clip_name(portrait, driver)
    if name != Path(name).name or name.startswith(".") or Path(name).suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{table}, line {line}: out is {shown(name)}, needed is a name without folders that ends in "
            f"{', '.join(SUFFIXES)}"
        )
    options: dict[str, Any] = {"mood": row["mood"]} if row.get("mood") else {}
    if row.get("seed"):
        if not (row["seed"].isascii() and row["seed"].isdigit() and int(row["seed"][:30]) <= _MOST_SEED):
            raise InputError(f"{table}, line {line}: seed is {shown(row['seed'])}, needed is a whole number from 0")
        options["seed"] = int(row["seed"])
    return Pair(portrait=portrait, driver=driver, out=name, options=options)


def _stem(path: Path) -> str:
    stem = path.stem
    if path.suffix.lower() == ".safetensors":
        stem = next((stem.removesuffix(word) for word in _ENCODED if stem.endswith(word)), stem)
    return stem
