"""The sidecar OUT.json of a written file OUT: what went in, what made it, and what was left off.

Names and hashes, no paths: it may be given away with the file. It is no proof, anyone can write one; it says
what whoever wrote the file says, and its hash of the file tells whether the file is still the same.

    format, schema     "hp-trt provenance", 1
    result             name, sha256, bytes
    made_by            name, version
    digital_source_type
    inputs             by what each is: name (null: no file), sha256 (null: of a stream), of ("file", "picture",
                       "samples", "stream")
    bundle             model, preset, precision, sha256 of its manifest, weights (kind, source, fingerprints), licence
    profile, sampling, seed, versions, notes
    locator            who found faces, by name
    mark               algorithm, id (8 hex digits); null without one
    label              whether there is a visible sign
    credentials        signer, algorithm; null without
    left_out           what, why
    consent            as stated; null where nothing was
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.fields import Field, read_json
from engines.file_record import FileRecord

FORMAT, SCHEMA = "hp-trt provenance", 1
SOURCE_TYPE = "compositeWithTrainedAlgorithmicMedia"
_MOST_BYTES = 1 << 20
_HASH = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{8}")
_FOLDERS = re.compile(r"(?<![\w./~-])~?/(?:[^\s/:;,()'\"]+/)*(?=[^\s/:;,()'\"])")  # of a whole path


@dataclass(frozen=True, kw_only=True)
class Input:
    """Something that went in."""

    name: str | None  # of its file, without folders
    sha256: str | None
    of: str  # what the hash is of: "file", "picture", "samples"; "stream": there is none


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a run is made of, as its sidecars say it."""

    version: str  # of the program
    inputs: Mapping[str, Input]  # "portrait", "driving video", ...
    driver: str  # which of them moves the portrait
    bundle: Mapping[str, Any]
    profile: str
    sampling: Mapping[str, Any]
    versions: Mapping[str, str]
    locator: str = ""  # who finds faces
    hidden: tuple[str, ...] = ()  # paths that a note may name, of which the last part alone is told

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the pictures: another value makes other ones."""
        return {
            "inputs": {what: one.sha256 for what, one in self.inputs.items()},
            "bundle": dict(self.bundle),
            "profile": self.profile,
            "sampling": dict(self.sampling),
            "locator": self.locator,
        }


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What is read back of one."""

    name: str  # of the result
    result: FileRecord
    version: str
    mark_id: int | None
    signer: str | None
    left_out: Mapping[str, str]  # what, and why
    consent: str | None
    inputs: Mapping[str, Input] = field(default_factory=dict)
    licence: str = ""
    label: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)  # as of an `Origin`; what was not said is not in it


def beside(path: Path) -> Path:
    """The sidecar of a file."""
    return path.with_name(f"{path.name}.json")


def sidecar_text(
    origin: Origin,
    *,
    name: str,
    result: FileRecord,
    mark: tuple[str, int] | None,
    label: bool,
    signed: tuple[str, str] | None,
    left_out: Mapping[str, str],
    consent: str | None,
    notes: Iterable[str],
) -> str:
    """The content. `mark`: its algorithm and id; `signed`: the signer and the algorithm."""
    said = {
        "format": FORMAT,
        "schema": SCHEMA,
        "result": {"name": name, "sha256": result.sha256, "bytes": result.bytes},
        "made_by": {"name": "hp-trt", "version": origin.version},
        "digital_source_type": SOURCE_TYPE,
        "inputs": {what: vars(one) for what, one in origin.inputs.items()},
        "bundle": dict(origin.bundle),
        "profile": origin.profile,
        "sampling": dict(origin.sampling),
        "seed": origin.sampling.get("seed"),
        "versions": dict(origin.versions),
        "locator": origin.locator,
        "mark": None if mark is None else {"algorithm": mark[0], "id": f"{mark[1]:08x}"},
        "label": label,
        "credentials": None if signed is None else {"signer": signed[0], "algorithm": signed[1]},
        "left_out": [{"what": what, "why": why} for what, why in left_out.items()],
        "consent": consent,
        "notes": [without_folders(note, origin.hidden) for note in dict.fromkeys(notes)],
    }
    return json.dumps(said, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def without_folders(text: str, hidden: Iterable[str]) -> str:
    """`text` with the last part alone of every path in `hidden`, and of whatever else looks like a path."""
    for path in sorted(set(hidden), key=len, reverse=True):
        if "/" in path.rstrip("/"):
            text = text.replace(path, Path(path).name)
    return _FOLDERS.sub("", text)


def is_sidecar(path: Path) -> bool:
    """Whether a file says that it is a sidecar; of any schema, damaged or not beyond that."""
    try:
        said = read_json(path, most_bytes=_MOST_BYTES)
        return bool(said["format"].text() == FORMAT)
    except (OSError, ValueError):
        return False


def read_sidecar(path: Path) -> Sidecar:
    """Raises OSError, and ValueError for what is none, is newer, or is not as it was written."""
    said = read_json(path, most_bytes=_MOST_BYTES)
    if said["format"].text() != FORMAT:
        raise said["format"].wrong(repr(FORMAT))
    if (schema := said["schema"].whole(1, 10**6)) != SCHEMA:
        raise ValueError(f"it is of schema {schema}, this program reads {SCHEMA}; a newer hp-trt reads it")
    mark, signed, consent = _unless_null(said, "mark"), _unless_null(said, "credentials"), _unless_null(said, "consent")
    inputs = {what: _input(one) for what, one in said["inputs"].entries(most=100)}
    told = {key: said.found[key] for key in ("bundle", "profile", "sampling", "locator") if key in said.mapping()}
    return Sidecar(
        name=_plain_name(said["result"]["name"]),
        result=FileRecord(
            sha256=_matching(said["result"]["sha256"], _HASH, "64 lower-case hex digits"),
            bytes=said["result"]["bytes"].whole(0, 1 << 50),
        ),
        version=said["made_by"]["version"].text(most=100),
        mark_id=None if mark is None else int(_matching(mark["id"], _ID, "8 lower-case hex digits"), 16),
        signer=None if signed is None else signed["signer"].text(),
        left_out={one["what"].text(): one["why"].text() for one in said["left_out"].listed(most=100)},
        consent=None if consent is None else consent.text(most=10_000),
        inputs=inputs,
        licence=said["bundle"]["licence"].text(),
        label=said.get("label", False).flag(),
        recipe={"inputs": {what: one.sha256 for what, one in inputs.items()}, **told},
    )


def _unless_null(said: Field, key: str) -> Field | None:
    return None if key in said.mapping() and said.mapping()[key] is None else said[key]


def _input(said: Field) -> Input:
    name, sha256 = _unless_null(said, "name"), _unless_null(said, "sha256")
    return Input(
        name=None if name is None else _plain_name(name),
        sha256=None if sha256 is None else _matching(sha256, _HASH, "64 lower-case hex digits"),
        of=said["of"].choice(("file", "picture", "samples", "stream")),
    )


def _plain_name(said: Field) -> str:
    name = said.text(most=255)
    if not name or "/" in name or "\0" in name:
        raise said.wrong("a file's name without folders")
    return name


def _matching(said: Field, pattern: re.Pattern[str], needed: str) -> str:
    text = said.text()
    if not pattern.fullmatch(text):
        raise said.wrong(needed)
    return text
