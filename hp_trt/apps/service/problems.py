"""What went wrong, as RFC 9457 says it: one table of kinds, and what becomes of our own errors.

`type` is a stable slug in a URN, `detail` is our own text: what was found, needed, and to do. Never a traceback, and
never a path: our messages begin with the name of a file on this machine, which becomes what the client calls it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import FaceNotFound, HpTrtError, InputError, OutputError, bounded

MEDIA_TYPE = "application/problem+json"
URN = "urn:hp-trt:"
_A_PATH = re.compile(r"(?<![\w/.:])(?:/[^\s/;,:()'\"]+){2,}/?")


@dataclass(frozen=True)
class Kind:
    """One sort of problem."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "bad-request": Kind(400, "The request is not what the interface says"),
    "foreign-host": Kind(400, "The request is for another host"),
    "unauthorized": Kind(401, "A token is needed"),
    "foreign-origin": Kind(403, "A page elsewhere may not do this"),
    "not-found": Kind(404, "There is nothing here"),
    "method": Kind(405, "This cannot be done here"),
    "too-slow": Kind(408, "The upload came too slowly"),
    "no-result": Kind(409, "There is no result to take"),
    "key-under-way": Kind(409, "A request with this key is under way"),
    "expired": Kind(410, "The result has expired"),
    "too-large": Kind(413, "More than the limit"),
    "unsupported-media": Kind(415, "No picture, video or sound that is opened here"),
    "range": Kind(416, "The range is not in the result"),
    "no-face": Kind(422, "No face was found"),
    "impossible": Kind(422, "Understood, and impossible"),
    "key-reused": Kind(422, "The key was used for another request"),
    "quota": Kind(429, "The token has used up what it may"),
    "busy": Kind(429, "Everything is taken"),
    "interrupted": Kind(500, "The service was ended while it worked on this"),
    "internal": Kind(500, "A mistake of the service"),
    "draining": Kind(503, "The service is ending"),
    "stalled": Kind(503, "A lane hangs"),
    "storage": Kind(507, "The service cannot write"),
}


class Problem(Exception):
    """A request, or a job, that ends with a problem. `detail`: three lines at most, of our own words."""

    def __init__(self, slug: str, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.slug, self.kind, self.detail = slug, KINDS[slug], bounded(detail)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        found = {}
        if self.retry_after_s is not None:
            found["retry-after"] = str(max(1, round(self.retry_after_s)))
        if self.kind.status == 401:
            found["www-authenticate"] = "Bearer"
        return found

    def to_json(self) -> dict[str, Any]:
        """The document of RFC 9457."""
        return {
            "type": URN + self.slug,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }


def problem_of(
    error: BaseException, files: Mapping[Path, str] | None = None, *, unopened: str = "impossible"
) -> Problem:
    """What a client hears of an error. `files`: what it calls each of the files that a message may begin with.

    `unopened`: the kind of an InputError that is no missing face: of an upload "unsupported-media".
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, FaceNotFound):
        return Problem("no-face", without_paths(str(error), files))
    if isinstance(error, InputError):
        return Problem(unopened, without_paths(str(error), files))
    if isinstance(error, OutputError | OSError):
        return Problem("storage", "the service cannot write what it has to keep; try later, or tell who runs it")
    if isinstance(error, MemoryError):
        return Problem("internal", "the service ran out of memory; try a smaller picture or fewer frames")
    if isinstance(error, HpTrtError):
        return Problem("internal", f"the service failed: {type(error).__name__}; tell who runs it")
    return Problem("internal", "the service made a mistake, which its log has; tell who runs it")


def without_paths(text: str, files: Mapping[Path, str] | None = None) -> str:
    """`text` with the client's words for `files`, and with no other name of a file of this machine."""
    for path, word in (files or {}).items():
        text = text.replace(str(path), word)
    return _A_PATH.sub("a file of the service", text)
