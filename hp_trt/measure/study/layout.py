"""The clips that a study compares, from a folder of the user's, looked through before anything is written.

    DIR/source/anna.png        the portrait (.png, .jpg, .jpeg, .webp)
    DIR/driving/anna.mp4       what moved it (.mp4, .mov, .mkv, .webm), or speech (.wav, .mp3, .m4a, .flac)
    DIR/exact/anna.mp4         a folder for each contender, with a result (.mp4, .mov, .mkv) for each item
    DIR/live/anna.mp4

Other files may lie beside, such as what `hp-trt animate` tells of a result; hidden ones are not looked at. Every
contender has every item: a mean of others' clips would compare clips.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.measure.study.copies import look_at_result, look_at_sound, look_at_video
from hp_trt.media.images import load_image

SOURCE, DRIVING = "source", "driving"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
SOUNDS = (".wav", ".mp3", ".m4a", ".flac")
RESULTS = (".mp4", ".mov", ".mkv")
MOST_CONTENDERS, MOST_ITEMS, MOST_TRIALS = 26, 500, 2000
_NAME = re.compile(r"\w[\w .+-]{0,79}")  # begins with a letter or a digit: a spreadsheet takes it for text
_NEEDED = "needed is one with source/NAME.png, driving/NAME.mp4 or .wav, and CONTENDER/NAME.mp4 for each contender"
_APART_S = 1.0  # how much longer one clip may be than another that is shown beside it, or instead of it


@dataclass(frozen=True, kw_only=True)
class Item:
    """One portrait and what moved it, with what each contender made of them."""

    name: str
    source: Path
    driving: Path
    results: Mapping[str, Path]  # by contender, in the order of `Clips.contenders`

    @property
    def speech(self) -> bool:
        """Whether sound alone is the driver."""
        return self.driving.suffix.lower() in SOUNDS

    def files(self) -> Iterator[Path]:
        yield from (self.source, self.driving, *self.results.values())


@dataclass(frozen=True, kw_only=True)
class Clips:
    """What a study is made of, all of it opened once. `notes`: what may tell raters who made a clip, a line each."""

    folder: Path
    contenders: Sequence[str]
    items: Sequence[Item]
    notes: Sequence[str]

    def fingerprint(self) -> str:
        """SHA-256 over all names and files, in hex: of the same clips the same."""
        whole = hashlib.sha256()
        for item in self.items:
            for path in item.files():
                with foreign(f"{path} cannot be read", "see that it is still there"), path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                whole.update(f"{path.relative_to(self.folder).as_posix()}\n{digest}\n".encode())
        return whole.hexdigest()


def read_clips(folder: Path) -> Clips:
    """The clips in `folder`, each opened by the reading gate. Raises InputError for what is missing, odd or unequal."""
    homes = _homes(folder)
    contenders = [name for name in homes if name not in (SOURCE, DRIVING)]
    if len(contenders) < 2:
        few = f"the one contender {contenders[0]}" if contenders else "no contender"
        raise InputError(f"{folder} has {few}, and a study compares at least two; add a folder of results for each")
    if len(contenders) > MOST_CONTENDERS:
        raise InputError(f"{folder} has {len(contenders)} contenders, and a study has at most {MOST_CONTENDERS}")
    found = {
        name: _media(home, {SOURCE: PICTURES, DRIVING: VIDEOS + SOUNDS}.get(name, RESULTS))
        for name, home in homes.items()
    }
    names = sorted({name for media in found.values() for name in media})
    _check_counts(folder, names, len(contenders))
    for name in names:
        _check_name(name, "a clip")
    _check_counterparts(folder, names, found)
    items = [
        Item(
            name=name,
            source=found[SOURCE][name],
            driving=found[DRIVING][name],
            results={contender: found[contender][name] for contender in contenders},
        )
        for name in names
    ]
    notes = [note for item in items for note in _look_at(item)]
    return Clips(folder=folder, contenders=contenders, items=items, notes=notes)


def _homes(folder: Path) -> dict[str, Path]:
    """The folders in `folder`, by name."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; {_NEEDED}")
    with foreign(f"{folder} cannot be read", "see its permissions"):
        homes = {entry.name: entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name[0] != "."}
    lacking = [f"{name}/" for name in (SOURCE, DRIVING) if name not in homes]
    if lacking:
        raise InputError(f"{folder} has no {' and no '.join(lacking)}; {_NEEDED}")
    for name in homes:
        _check_name(name, "a contender")
    return homes


def _check_name(name: str, what: str) -> None:
    """Names stand in tables and spreadsheets. Those of contenders also must not be taken for our own two folders'."""
    if not _NAME.fullmatch(name) or name.strip() != name:
        raise InputError(
            f"{name!r} cannot be the name of {what}: needed are 1 to 80 letters, digits, spaces and . + - _, the first "
            "a letter or a digit; rename it"
        )
    if what == "a contender" and name not in (SOURCE, DRIVING) and name.lower() in (SOURCE, DRIVING):
        raise InputError(f"{name!r} is nearly {name.lower()!r}, which is no contender; rename one of the two folders")


def _media(home: Path, endings: Sequence[str]) -> dict[str, Path]:
    """The files with one of the endings, by their name without it."""
    found: dict[str, Path] = {}
    with foreign(f"{home} cannot be read", "see its permissions"):
        entries = sorted(home.iterdir())
    for path in entries:
        if path.name.startswith(".") or path.suffix.lower() not in endings:
            continue
        if path.stem in found:
            raise InputError(f"{home} has {found[path.stem].name} and {path.name}; needed is one of them")
        found[path.stem] = path
    return found


def _check_counts(folder: Path, names: Sequence[str], contenders: int) -> None:
    if not names:
        raise InputError(f"{folder} has no clips; {_NEEDED}")
    if len(names) > MOST_ITEMS or len(names) * contenders > MOST_TRIALS:
        raise InputError(
            f"{folder} has {len(names)} clips of {contenders} contenders, which no rater grades; at most are "
            f"{MOST_ITEMS} clips and {MOST_TRIALS} results: take fewer"
        )


def _check_counterparts(folder: Path, names: Sequence[str], found: Mapping[str, Mapping[str, Path]]) -> None:
    missing = [f"{home}/{name}" for home, media in found.items() for name in names if name not in media]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(
            f"{folder} has no {', '.join(missing[:5])}{more} (in {SOURCE} {', '.join(PICTURES)}, in {DRIVING} "
            f"{', '.join(VIDEOS + SOUNDS)}, of contenders {', '.join(RESULTS)}); add them, or move their counterparts "
            "away"
        )


def _look_at(item: Item) -> Iterator[str]:
    """Open all of an item. Raises InputError; yields what may tell raters who made a clip."""
    load_image(item.source)
    driver = look_at_sound(item.driving) if item.speech else look_at_video(item.driving)
    seen = {contender: look_at_result(path) for contender, path in item.results.items()}
    by_length = sorted(seen.values(), key=lambda each: each.seconds)
    for one, other in ((by_length[0], by_length[-1]), (by_length[0], driver), (by_length[-1], driver)):
        if abs(one.seconds - other.seconds) > _APART_S:
            raise InputError(
                f"{one.path} lasts {one.seconds:.1f} s and {other.path} {other.seconds:.1f} s; they are compared side "
                f"by side, and may differ by {_APART_S:g} s: cut them alike"
            )
    if len({each.size for each in seen.values()}) > 1:
        sizes = ", ".join(f"{name} {each.size[0]} x {each.size[1]}" for name, each in seen.items())
        yield f"the results of {item.name} have different sizes ({sizes}): raters may tell them apart by that"
