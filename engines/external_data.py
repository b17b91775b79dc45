"""Where an .onnx file says that its weights lie, read from its bytes, without onnx.

A graph's weights may be in files beside it, which it names. One that names another file, by an absolute path or through
"..", would read what its bundle does not vouch for. ONNX Runtime refuses that when it loads; this says it before.

Source: onnx.proto, the numbers of its fields; the wire format of protocol buffers.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

# Of each kind of message: the fields that lead to a tensor, and the kind that each is of.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
_DEEPEST = 200  # messages inside each other


def outside(file: Path, known: Collection[str]) -> str:
    """Where `file` takes weights from that are in none of the files `known`, paths whose last part is their name; "":
    nowhere, or it is no graph, which whoever loads it will say. Raises OSError."""
    names = {PurePosixPath(path).name for path in known} - {file.name}
    if not file.stat().st_size:
        return ""
    with file.open("rb") as stream:
        # Not closed by hand: of what Ctrl-C interrupts, pieces are still held, and closing would be another error.
        data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return next((place for place in _locations(data, "model", 0) if place not in names), "")
    except (ValueError, IndexError):
        return ""


def _locations(data: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    for number, below in _messages(data):  # a slice of a memoryview copies nothing
        found = _FIELDS[kind].get(number)
        if found == "entry":
            entry = dict(_messages(below))
            if bytes(entry.get(1, b"")) == b"location":
                yield bytes(entry.get(2, b"")).decode("utf-8", "replace")
        elif found is not None:
            yield from _locations(below, found, depth + 1)


def _messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that have a length, by number. ValueError or IndexError for what is no message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            length, at = _varint(data, at)
            if length > len(data) - at:
                raise ValueError("cut off")
            yield tag >> 3, data[at : at + length]
            at += length
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"no field is of the kind {kind}")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")
