"""The seam to `hp_trt.provenance.verify`: whether it is here, and its report as lines."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hp_trt.apps.service.problems import without_paths

_MODULE = "hp_trt.provenance.verify"
_VERDICTS = {
    "intact": "It was made by hp-trt, and nothing found here speaks against it.",
    "nothing": "Nothing of hp-trt was found, which is no proof of anything.",
    "broken": "What it carries does not fit it.",
}
Verify = Callable[[Path], Any]  # a file -> a report with `to_json`


def find_verify() -> Verify | None:
    """What looks at a file; None where this hp-trt has nothing that does."""
    try:
        if importlib.util.find_spec(_MODULE) is None:
            return None
    except ModuleNotFoundError:
        return None
    found: Verify = importlib.import_module(_MODULE).verify_file
    return found


def verdict_lines(verify: Verify, path: Path) -> tuple[str, list[str]]:
    """The verdict, and what was found, a line each. Raises InputError."""
    said = verify(path).to_json()
    word = without_paths(_VERDICTS[said["verdict"]])
    return word, [without_paths(line, {path: "the file"}).replace(path.name, "the file") for line in _lines(said)]


def _lines(said: dict[str, Any]) -> Iterator[str]:
    yield from (f"Broken: {text}" for text in said["broken"])
    found, mark, sidecar = said["credentials"], said["mark"], said["sidecar"]
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
    if sidecar is not None:
        yield f"Sidecar: hp-trt {sidecar['version']}, licence: {sidecar['licence']}"
