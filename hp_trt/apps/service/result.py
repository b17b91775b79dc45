"""A result as an answer: whole, in part, or not again.

One range of bytes is understood; several, or units that are no bytes, are answered with the whole, as RFC 9110 allows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.service import Service

_PIECE = 1 << 18
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeProblem(Problem):
    """A range that is not in a file of so many bytes."""

    def __init__(self, size: int) -> None:
        super().__init__("range", f"the result has {size} bytes, and the range begins behind them; ask for others")
        self._size = size

    @property
    def headers(self) -> dict[str, str]:
        return super().headers | {"content-range": f"bytes */{self._size}"}


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A file to send: where it is, what a client is to call it, its type and hash."""

    path: Path
    name: str
    media_type: str
    sha256: str


def result_response(request: Request, whole: Whole, service: Service) -> Response:
    """The answer to a request for a file that a job made. Raises Problem."""
    etag = f'"{whole.sha256}"'
    headers = {"etag": etag, "accept-ranges": "bytes", "cache-control": "private, max-age=3600"}
    if etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    try:
        file = whole.path.open("rb")
    except FileNotFoundError:
        raise Problem("expired", "the result is gone; ask for the job again") from None
    size = file.seek(0, 2)
    try:
        found = _range(request, etag, size)
    except Problem:
        file.close()
        raise
    first, last = found or (0, size - 1)
    headers |= {"content-length": str(last - first + 1)}
    headers |= {"content-disposition": f'attachment; filename="{whole.name}"', "x-content-type-options": "nosniff"}
    if found:
        headers["content-range"] = f"bytes {first}-{last}/{size}"
    if request.method == "HEAD":
        file.close()
        return Response(headers=headers, media_type=whole.media_type)
    sent = _sent(file, first, last, service)
    return StreamingResponse(sent, 206 if found else 200, headers=headers, media_type=whole.media_type)


def _range(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """The first byte and the last one; None: the whole. Raises RangeProblem."""
    text = request.headers.get("range", "").strip()
    if request.headers.get("if-range", etag) != etag:
        return None
    parts = _RANGE.fullmatch(text)
    if parts is None or not (parts[1] or parts[2]):
        return None
    if not parts[1]:
        first, last = max(0, size - int(parts[2])), size - 1
        if int(parts[2]) == 0:
            raise RangeProblem(size)
    else:
        first, last = int(parts[1]), min(int(parts[2] or size - 1), size - 1)
        if parts[2] and int(parts[2]) < int(parts[1]):
            return None
    if first >= size:
        raise RangeProblem(size)
    return first, last


async def _sent(file: BinaryIO, first: int, last: int, service: Service) -> AsyncIterator[bytes]:
    """The bytes, a piece at a time: a client that takes none holds one."""
    loop, left = asyncio.get_running_loop(), last - first + 1
    with file:
        file.seek(first)
        while left > 0:
            piece = await loop.run_in_executor(service.disk, file.read, min(_PIECE, left))
            if not piece:
                return
            left -= len(piece)
            yield piece
