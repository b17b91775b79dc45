"""A request's body to a file, or to a few bytes of JSON: limits count while bytes come.

A body is the file itself, or a form of one file (multipart/form-data). What the client calls it, and what type it says
it has, is not used: what the bytes are is looked at when they are here (`hp_trt.apps.service.inputs`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request

from engines.foreign import reason
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.store import Accounts

_PIECE = 1 << 18  # bytes that are written, and counted, at a time
_CHECKED = 1 << 24  # bytes until the owner's quota and the disk are looked at again
_MOST_FORM_BYTES = 1 << 14  # around the file, in a form
MOST_JSON_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Received:
    """A body that is a file now."""

    path: Path
    bytes: int
    sha256: str


async def body_chunks(request: Request, limits: Limits, *, most: int) -> AsyncIterator[bytes]:
    """The bytes of a body as they come. Raises Problem: more than `most`, too slow, or the client is gone."""
    _check_length(request, most)
    loop = asyncio.get_running_loop()
    stream = request.stream().__aiter__()
    total, since_s, since = 0, loop.time(), 0
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), limits.body_idle_s)
        except StopAsyncIteration:
            return
        except TimeoutError:
            idle = limits.body_idle_s
            raise Problem("too-slow", f"no byte came for {idle:g} s; send it again over a better line") from None
        except ClientDisconnect:
            raise Problem("bad-request", "the client went away before its body had come") from None
        total, since = total + len(chunk), since + len(chunk)
        if total > most:
            raise _too_large(most)
        if (passed_s := loop.time() - since_s) >= limits.body_idle_s:
            if since < limits.body_least_rate * passed_s:
                least = limits.body_least_rate
                raise Problem("too-slow", f"fewer than {least} bytes a second came; send it over a better line")
            since_s, since = loop.time(), 0
        if chunk:
            yield chunk


async def receive_json(request: Request, limits: Limits) -> bytes:
    """A small body whole. Raises Problem."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem("unsupported-media", "a job is JSON; send it with Content-Type: application/json")
    parts = [chunk async for chunk in body_chunks(request, limits, most=MOST_JSON_BYTES)]
    return b"".join(parts)


async def receive_file(
    request: Request, path: Path, *, most: int, limits: Limits, owner: str, accounts: Accounts, disk: Executor
) -> Received:
    """Write the body's file to `path`, which does not exist. Nothing is left of one that is refused.

    Raises Problem: larger than `most`, beyond the owner's quota, too slow, no such form; OSError.
    """
    loop = asyncio.get_running_loop()
    digest, total, counted, checked = hashlib.sha256(), 0, 0, 0
    try:
        await loop.run_in_executor(disk, accounts.check, owner, _length(request) or 0)
        with open(path, "xb") as file:
            async for piece in _pieces(_file_bytes(request, limits, most)):
                total += len(piece)
                accounts.coming(owner, len(piece))
                counted += len(piece)
                await loop.run_in_executor(disk, _write, file, digest, piece)
                if total - checked >= _CHECKED:
                    checked = total
                    await loop.run_in_executor(disk, accounts.check, owner, 0)
            await loop.run_in_executor(disk, _sync, file)
        if not total:
            raise Problem("unsupported-media", "the file is empty; send a picture, a video or a sound")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        accounts.coming(owner, -counted)
    return Received(path=path, bytes=total, sha256=digest.hexdigest())


def _length(request: Request) -> int | None:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _check_length(request: Request, most: int) -> None:
    """Refuse what says that it is too large before a byte of it has come."""
    if (_length(request) or 0) > most:
        raise _too_large(most)


def _too_large(most: int) -> Problem:
    return Problem("too-large", f"more than {most} bytes, the limit here; make it smaller first")


def _write(file: BinaryIO, digest: hashlib._Hash, piece: bytes) -> None:
    digest.update(piece)
    file.write(piece)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in larger parts: a thread is asked for each."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


async def _file_bytes(request: Request, limits: Limits, most: int) -> AsyncIterator[bytes]:
    """The file's bytes, whether the body is the file or a form that holds it."""
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        async for chunk in body_chunks(request, limits, most=most):
            yield chunk
        return
    form = _OneFile(kind, most)
    async for chunk in body_chunks(request, limits, most=most + _MOST_FORM_BYTES):
        form.feed(chunk)
        if form.found:
            yield form.take()
    form.end()


class _OneFile:
    """A form as it comes, of which exactly one part is let through: the file."""

    def __init__(self, content_type: str, most: int) -> None:
        from python_multipart.multipart import MultipartParser, parse_options_header

        _, options = parse_options_header(content_type.encode("latin-1", "replace"))
        boundary = options.get(b"boundary", b"")
        if not 0 < len(boundary) <= 70:  # RFC 2046
            raise Problem("bad-request", "the form has no boundary of 1 to 70 letters; let a library make the form")
        self.found, self._most = bytearray(), most
        self._parts = self._around = self._bytes = 0
        self._whole = self._named = False
        self._field, self._value = bytearray(), bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": partial(self._header, self._field),
                "on_header_value": partial(self._header, self._value),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Raises Problem for what is no form of one file."""
        try:
            self._parser.write(chunk)
        except Problem:
            raise
        except Exception as error:  # whatever a stranger's form makes of the parser
            raise Problem("bad-request", f"the form cannot be read ({reason(error)}); send the file alone") from None

    def take(self) -> bytes:
        """What came of the file since the last time."""
        found, self.found = bytes(self.found), bytearray()
        return found

    def end(self) -> None:
        """Raises Problem where the form is not whole."""
        if not self._whole or self._parts != 1:
            raise Problem("bad-request", "the form is cut off, or has no part; send one file, in a part called file")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise Problem("bad-request", "the form has more than one part; send one file, in a part called file")

    def _header(self, into: bytearray, data: bytes, start: int, end: int) -> None:
        self._around += end - start
        if self._around > _MOST_FORM_BYTES:
            raise Problem("too-large", f"the form's headers have more than {_MOST_FORM_BYTES} bytes; leave some out")
        into += data[start:end]

    def _header_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        if self._field.lower() == b"content-disposition":
            self._named = parse_options_header(bytes(self._value))[1].get(b"name") == b"file"
        self._field.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        if not self._named:
            raise Problem("bad-request", "the form's part is not called file; send one file, in a part called file")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._bytes += end - start
        if self._bytes > self._most:
            raise _too_large(self._most)
        self.found += data[start:end]

    def _end(self) -> None:
        self._whole = True
