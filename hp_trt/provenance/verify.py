"""What a file carries of its origin, and whether that fits the file: credentials, the invisible mark, the sidecar.

Nothing in a file that comes from elsewhere is believed because it is there: credentials say who signed and the reader
whether that holds, a sidecar fits by its hash or does not. A mark says that a picture came from a run, not that it is
still as it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engines.errors import HpTrtError, InputError, how_to_install
from engines.file_record import FileRecord, hash_file
from engines.foreign import foreign, reason
from hp_trt.media.files import check_file
from hp_trt.provenance import credentials, signing
from hp_trt.provenance.credentials import Credentials
from hp_trt.provenance.mark import Finder, Found, InvisibleMarkFinder
from hp_trt.provenance.sidecar import Sidecar, beside, is_sidecar, read_sidecar

SCHEMA = 1  # of the report
FRAMES = 250  # that are looked at for a mark: ten seconds
_ADVICE = "give a video or a picture"
Verdict = Literal["intact", "nothing", "broken"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found. `broken`: what does not fit, a line each; of a file that is as it was written there is none."""

    path: Path
    file: FileRecord
    credentials: Credentials | None
    not_looked: str  # why credentials could not be looked at; "" where they were
    mark: Found | None  # None: there are no pictures to look at
    unreadable: str  # why there are none; ""
    sidecar: Sidecar | None
    broken: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        if self.broken:
            return "broken"
        ours = self.credentials is not None and self.credentials.are_ours
        marked = self.mark is not None and self.mark.payload is not None
        return "intact" if ours or marked or self.sidecar is not None else "nothing"

    def to_json(self) -> dict[str, Any]:
        """As `hp-trt verify --json` prints it."""
        found, mark, sidecar = self.credentials, self.mark, self.sidecar
        return {
            "format": "hp-trt verify",
            "schema": SCHEMA,
            "file": {"name": self.path.name, "sha256": self.file.sha256, "bytes": self.file.bytes},
            "verdict": self.verdict,
            "broken": list(self.broken),
            "credentials": None
            if found is None
            else {**vars(found), "mark_ids": [_hex(one) for one in found.mark_ids]},
            "credentials_not_looked_at": self.not_looked or None,
            "mark": None if mark is None else {"id": _hex(mark.payload), "score": mark.score},
            "mark_not_looked_for": self.unreadable or None,
            "sidecar": None if sidecar is None else _told(sidecar),
        }


def verify_file(path: Path, anchor: Path | None = None, finder: Finder | None = None) -> Report:
    """Look at the file `path`, and at its sidecar. `anchor`: PEM of certificates that are trusted.

    Raises InputError for what cannot be read, for what is neither video nor picture and carries nothing, and for an
    anchor that is none.
    """
    check_file(path, _ADVICE)
    with foreign(f"{path} cannot be read", _ADVICE):
        file = hash_file(path)
    if not file.bytes:
        raise InputError(f"{path} is empty; {_ADVICE}")
    broken: list[str] = []
    found, not_looked = _credentials(path, anchor, broken)
    sidecar = _sidecar(path, file, broken)
    mark, unreadable = _mark(path, finder or InvisibleMarkFinder())
    if unreadable and found is None and sidecar is None and not broken:
        raise InputError(unreadable)
    if unreadable and (found is None or not found.hold):
        broken.append(f"the pictures cannot be read: {unreadable}")
    broken += _disagreements(found, mark, sidecar)
    return Report(
        path=path,
        file=file,
        credentials=found,
        not_looked=not_looked,
        mark=mark,
        unreadable=unreadable,
        sidecar=sidecar,
        broken=tuple(broken),
    )


def _credentials(path: Path, anchor: Path | None, broken: list[str]) -> tuple[Credentials | None, str]:
    if not credentials.is_installed():
        missing = f"c2pa-python is not installed; {how_to_install('provenance')}"
        if anchor is not None:
            raise InputError(f"an anchor is for credentials, and {missing}")
        return None, missing
    found = credentials.read_credentials(path, None if anchor is None else signing.anchors(anchor))
    if found is not None and not found.hold:
        what = "are invalid" if found.state == "invalid" else "cannot be read"
        broken.append(f"the credentials {what}: {', '.join(found.why) or 'no reason given'}")
    return found, ""


def _sidecar(path: Path, file: FileRecord, broken: list[str]) -> Sidecar | None:
    """None where there is none of ours; a damaged one is broken, and so is one of another file."""
    place = beside(path)
    if not os.path.lexists(place):
        return None
    try:
        found = read_sidecar(place)
    except (OSError, ValueError) as error:
        if is_sidecar(place) or not _is_other_json(place):
            broken.append(f"{place.name} cannot be used: {reason(error)}")
        return None
    if found.result != file:
        broken.append(f"{place.name} is of a file with other bytes: this one was changed, or the sidecar is another's")
    return found


def _is_other_json(place: Path) -> bool:
    """Whether it is a whole JSON file that does not claim to be a sidecar: somebody's who likes such names."""
    from engines.fields import read_json

    try:
        return isinstance(read_json(place, most_bytes=16 << 20).found, dict | list)
    except (OSError, ValueError):
        return False


def _mark(path: Path, finder: Finder) -> tuple[Found | None, str]:
    """The mark, or why there are no pictures to look at."""
    try:
        with foreign(f"{path} cannot be searched for a mark", _ADVICE):
            return finder.find(islice(_pictures(path), FRAMES)), ""
    except HpTrtError as error:
        return None, str(error)


def _pictures(path: Path) -> Iterator[np.ndarray]:
    from hp_trt.media.images import load_image
    from hp_trt.media.video import VideoReader

    try:
        reader = VideoReader(path)
    except InputError as no_video:
        try:
            picture = load_image(path)
        except InputError as no_picture:
            if isinstance(no_picture.__cause__, MemoryError):  # it is one
                raise
            raise no_video from None
        yield picture
        return
    for frame in reader.timed():
        yield frame.image


def _disagreements(found: Credentials | None, mark: Found | None, sidecar: Sidecar | None) -> Iterator[str]:
    """Ids that are not one id: parts of two runs were put together."""
    told: dict[str, int] = {}
    if found is not None and found.hold and found.mark_ids:
        told["the credentials"] = found.mark_ids[0]
    if sidecar is not None and sidecar.mark_id is not None:
        told["the sidecar"] = sidecar.mark_id
    if mark is not None and mark.payload is not None:
        told["the pictures"] = mark.payload
    if len(set(told.values())) > 1:
        yield "ids of different runs: " + ", ".join(f"{_hex(number)} in {who}" for who, number in told.items())


def _told(sidecar: Sidecar) -> dict[str, Any]:
    return {
        "mark_id": _hex(sidecar.mark_id),
        "signer": sidecar.signer,
        "version": sidecar.version,
        "licence": sidecar.licence,
        "consent": sidecar.consent,
        "left_out": dict(sidecar.left_out),
        "inputs": {what: vars(one) for what, one in sidecar.inputs.items()},
    }


def _hex(number: int | None) -> str | None:
    return None if number is None else f"{number:08x}"
