"""The bytes of a signed file that C2PA's own hash leaves open, and how a file of ours has none that may change.

C2PA hashes neither the box that the manifests are in nor, in an mp4, those that it calls `ftyp`, `free`, `skip` and
`mfra`. Of the latter an assertion of ours, which is signed with the rest, has the SHA-256. The former cannot hold its
own hash, so it has one form, which is looked at byte by byte (`store_form`).

A file with credentials of somebody else has no such assertion, and nothing is asked of it. Nor has one that an earlier
hp-trt signed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from engines.fields import Field
from hp_trt.provenance.store_form import check_form, smaller_twin

LABEL = "org.hp-trt.left-open.1"  # of the assertion, {"alg": "sha256", "hash": 64 hex digits}
_PNG = b"\x89PNG\r\n\x1a\n"
_OPEN = (b"ftyp", b"free", b"mfra", b"skip")
_PATHS = frozenset({"/uuid", *(f"/{kind.decode()}" for kind in _OPEN)})  # what a hash of an mp4 may leave out
_OWN = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # the type of C2PA's uuid box
_HEAD = _OWN + bytes(4) + b"manifest\0" + bytes(8)  # version, purpose, no further boxes
_STORES = tuple(b"jumd" + kind + bytes.fromhex("0011 0010 8000 00aa 0038 9b71") for kind in (b"c2pa", b"c2ma"))
_BEGINS = 4096  # bytes: a store that we write begins before
_MOST_STORE = 16 << 20  # bytes
_MOST_BOXES = 10_000  # at the top of a file
_MOST = 1 << 62  # bytes of a file


def digest(file: BinaryIO) -> str:
    """SHA-256 of what is left open outside the manifests' box, 64 hex digits. Raises ValueError for no such file."""
    found = hashlib.sha256()
    if not _is_png(file):
        for kind, begin, end in _boxes(file):
            if kind in _OPEN:
                for at in range(begin, end, 1 << 20):
                    found.update(_bytes(file, at, min(end, at + (1 << 20))))
    return found.hexdigest()


def finish(file: BinaryIO, sha256: str, algorithm: str) -> None:
    """Give a file that was just signed its one form, in place, and look whether it has it and the `digest` of before.

    Raises ValueError where a library signs in another form than we know.
    """
    begin, end = _store(file)
    store = _bytes(file, begin, end)
    made = smaller_twin(store, algorithm)
    if made != store:
        _write(file, begin, made)
        if _is_png(file):
            _write(file, end, _sum(made))
    _check(file, sha256, algorithm)


def assertion(sha256: str) -> dict[str, object]:
    """As a manifest has it, of the `digest`."""
    return {"label": LABEL, "data": {"alg": "sha256", "hash": sha256}}


def changed(file: BinaryIO, manifest: Field) -> str:
    """What was changed after signing, "" where nothing was or nothing was asserted.

    `manifest`: one that holds, as the library tells it in detail. Raises ValueError for what is not as it tells it.
    """
    assertions = manifest["assertion_store"]
    own = assertions.get(LABEL)
    if own is None:
        return ""
    sha256, algorithm = own["hash"].text(most=64), manifest["signature"]["alg"].text(most=20).lower()
    try:
        _check(file, sha256, algorithm)
        _check_exclusions(file, assertions)
    except ValueError as error:
        return f"changed after it was signed, {error}"
    return ""


def remains(file: BinaryIO) -> int | None:
    """Where a manifest store begins in a file in which no reader finds one, None without any."""
    head = _bytes(file, 0, _BEGINS)
    return min((at for at in map(head.find, _STORES) if at >= 0), default=None)


def _check(file: BinaryIO, sha256: str, algorithm: str) -> None:
    if digest(file) != sha256:
        names = ", ".join(kind.decode() for kind in _OPEN)
        raise ValueError(f"the boxes that C2PA's hash leaves out ({names}) are not those that were signed")
    check_form(_bytes(file, *_store(file)), algorithm)


def _check_exclusions(file: BinaryIO, assertions: Field) -> None:
    """That the hash left out what is looked at here and no more."""
    for label, one in assertions.entries():
        if not label.startswith("c2pa.hash."):
            continue
        areas = one["exclusions"].listed(most=100)
        if _is_png(file):
            begin, end = _store(file)
            found = [(area["start"].whole(0, _MOST), area["length"].whole(0, _MOST)) for area in areas]
            if found != [(begin - 8, end - begin + 12)]:
                raise ValueError("the chunk of its manifests is not all that C2PA's hash leaves out")
        elif not {area["xpath"].text(most=100) for area in areas} <= _PATHS:
            raise ValueError(f"C2PA's hash leaves out more than {', '.join(sorted(_PATHS))}")


def _store(file: BinaryIO) -> tuple[int, int]:
    """Where the one store begins and ends. ValueError where it is not one, or what is round it is amiss."""
    found = list(_stores_of_png(file) if _is_png(file) else _stores_of_mp4(file))
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} boxes of manifests, needed one")
    begin, end = found[0]
    if end - begin > _MOST_STORE:
        raise ValueError(f"its manifests have {end - begin} bytes, at most {_MOST_STORE} are read")
    if _is_png(file) and _bytes(file, end, end + 4) != _sum(_bytes(file, begin, end)):
        raise ValueError("the checksum of the chunk of its manifests is another")
    return begin, end


def _stores_of_png(file: BinaryIO) -> Iterator[tuple[int, int]]:
    at, size = len(_PNG), file.seek(0, 2)
    for _ in range(_MOST_BOXES):
        if at + 12 > size:
            return
        head = _bytes(file, at, at + 8)
        end = at + 8 + int.from_bytes(head[:4])
        if head[4:] == b"caBX":
            yield at + 8, min(end, size - 4)
        at = end + 4


def _stores_of_mp4(file: BinaryIO) -> Iterator[tuple[int, int]]:
    for kind, begin, end in _boxes(file):
        content = begin + 8 + len(_HEAD)
        if kind != b"uuid" or end < content or _bytes(file, begin + 8, begin + 24) != _OWN:
            continue
        if _bytes(file, begin, content) != (end - begin).to_bytes(4) + b"uuid" + _HEAD:
            raise ValueError("the head of the box of its manifests is another")
        yield content, end


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """The boxes at the top of an mp4: kind, begin and end. ValueError where they do not fill it."""
    size, at = file.seek(0, 2), 0
    for _ in range(_MOST_BOXES):
        if at == size:
            return
        head = _bytes(file, at, min(at + 16, size))
        length = int.from_bytes(head[:4])
        if length == 1:  # in 64 bits
            length = int.from_bytes(head[8:])
        elif length == 0:
            length = size - at
        if not 8 <= length <= size - at:
            raise ValueError(f"the box at byte {at} does not end where the file does or before")
        yield head[4:8], at, at + length
        at += length
    raise ValueError(f"it has more than {_MOST_BOXES} boxes")


def _is_png(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(len(_PNG)) == _PNG


def _sum(store: bytes) -> bytes:
    """Of the chunk of a png."""
    return zlib.crc32(b"caBX" + store).to_bytes(4)


def _bytes(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin)


def _write(file: BinaryIO, at: int, data: bytes) -> None:
    file.seek(at)
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]
