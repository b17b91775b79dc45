"""A report of `hp_trt.apps.service.verifier` as lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hp_trt.apps.service.problems import without_paths

_VERDICTS = {
    "intact": "It was made by hp-trt, and nothing found here speaks against it.",
    "nothing": "Nothing of hp-trt was found, which is no proof of anything.",
    "broken": "What it carries does not fit it.",
}


def verdict_lines(said: dict[str, Any], path: Path) -> tuple[str, list[str]]:
    """The verdict on the file at `path`, and what was found, a line each."""
    word = without_paths(_VERDICTS[said["verdict"]])
    return word, [without_paths(line, {path: "the file"}).replace(path.name, "the file") for line in _lines(said)]


def _lines(said: dict[str, Any]) -> Iterator[str]:
    yield from (f"Broken: {text}" for text in said["broken"])
    found, mark = said["credentials"], said["mark"]
    if said["credentials_not_looked_at"]:
        yield f"Content Credentials: not looked at, {said['credentials_not_looked_at']}"
    elif found is None:
        yield "Content Credentials: none"
    else:
        who = f", signed by {found['signer']}" if found.get("signer") else ""
        claimed = f", claimed by {found['generator']}" if found.get("generator") else ""
        yield f"Content Credentials: {found['state']}{who}{claimed}"
    if mark is None:
        yield "Invisible mark: not looked for, there are no pictures that can be read"
    elif mark["id"] is None:
        yield f"Invisible mark: none (score {mark['score']:.3g})"
    else:
        yield f"Invisible mark: {mark['id']} (score {mark['score']:.3g})"
