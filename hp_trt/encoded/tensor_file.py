"""Tensors in one file, as the safetensors package writes them: a length, a header of JSON, and numbers behind it.

Files come from strangers, so this reader is ours, over NumPy alone: it says no to all that the format does not need,
and what runs a bundle needs no further package. Before a byte is allocated every size of the header is held against the
file's own. What is left of the file's metadata are three words of ours: `format`, `about`, which is JSON, and `sha256`,
of all the others and of every number, so a file that was cut or changed on its way is refused. Who forges a file makes
the hash as well: shapes, types and numbers are held against what the reader expects all the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from engines.fields import Field, parse_json, shown
from engines.part_file import whole_file

SUFFIX = ".safetensors"
_LONGEST_HEADER = 1 << 20  # bytes; ours have some thousand
_MOST_TENSORS, _MOST_DIMS, _LARGEST = 200, 6, 1 << 40
_PIECE = 4 << 20  # bytes that are hashed at a time
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "U8": np.dtype("u1"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Where a tensor stands in its file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int  # in the file, in bytes
    end: int


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """A file whose header was read and holds. No number of it was looked at, but by `check_content`."""

    path: Path
    format: str
    about: str
    sha256: str
    tensors: Mapping[str, Tensor]
    stamp: tuple[int, ...]  # of the file that the header was read from

    def check_content(self) -> None:
        """Raises ValueError where the hash is of something else, OSError."""
        digest = _digest_of(self.format, self.about, {n: (t.dtype, t.shape) for n, t in self.tensors.items()})
        with self._opened() as file:
            for name in sorted(self.tensors):
                file.seek(self.tensors[name].begin)
                left = self.tensors[name].end - self.tensors[name].begin
                while left:
                    if not (piece := file.read(min(left, _PIECE))):
                        raise ValueError("it is cut off")
                    digest.update(piece)
                    left -= len(piece)
        if digest.hexdigest() != self.sha256:
            raise ValueError("it is cut off or altered: its sha256 is of something else")

    def array(self, name: str, first: int = 0, count: int | None = None) -> np.ndarray:
        """A tensor, or `count` of it from `first` on along its first axis: the caller's. ValueError, OSError."""
        tensor = self.tensors[name]
        shape = tensor.shape if count is None else (count, *tensor.shape[1:])
        made = np.empty(shape, tensor.dtype)
        if not made.size:
            return made
        with self._opened() as file:
            file.seek(tensor.begin + first * (made.nbytes // shape[0] if shape else made.nbytes))
            if _fill(file, _bytes(made)) != made.nbytes:
                raise ValueError("it is cut off")
        return made

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        with _regular(self.path) as file:
            if _stamp(file) != self.stamp:
                raise ValueError("it was changed while it was read")
            yield file


def looks_encoded(path: Path | str) -> bool:
    """Whether a file is one of tensors, by how it begins, or by its name where it begins as nothing we know."""
    try:
        with _regular(Path(path)) as file:
            head = file.read(9)
    except (OSError, ValueError):
        return False
    begins = len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST_HEADER
    return begins or Path(path).suffix.lower() == SUFFIX


def read_tensor_file(path: Path) -> TensorFile:
    """The header of a file. Raises ValueError that says what is wrong with it, OSError."""
    with _regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            raise ValueError(
                f"its header should have 2 to {_LONGEST_HEADER} bytes and lie in the file's {size}, it says {length}"
            )
        text = file.read(length)
        if not text.startswith(b"{"):
            raise ValueError("its header is no JSON object")
        field, stamp = parse_json(text), _stamp(file)
    words = {name: word.text(most=_LONGEST_HEADER) for name, word in field["__metadata__"].entries(most=3)}
    if set(words) != {"format", "about", "sha256"}:
        raise field["__metadata__"].wrong("an object of format, about and sha256", ", ".join(map(shown, words)))
    found = {
        name: _tensor(name, entry, 8 + length)
        for name, entry in field.entries(most=_MOST_TENSORS)
        if name != "__metadata__"
    }
    _check_places(found, 8 + length, size)
    return TensorFile(path=path, tensors=found, stamp=stamp, **words)


def write_tensor_file(path: Path, *, format: str, about: Any, tensors: Mapping[str, np.ndarray]) -> int:
    """Replace the file, in one rename; returns its size in bytes. `about` is written as JSON.

    Raises as `engines.part_file.PartFile` does.
    """
    arrays = {name: _plain(array) for name, array in tensors.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # each begins where its type may
    text = json.dumps(about, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    digest = _digest_of(format, text, {name: (array.dtype, array.shape) for name, array in arrays.items()})
    for name in sorted(arrays):
        digest.update(_bytes(arrays[name]))
    header: dict[str, Any] = {"__metadata__": {"format": format, "about": text, "sha256": digest.hexdigest()}}
    at = 0
    for name in order:
        array = arrays[name]
        places = [at, at + array.nbytes]
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": places}
        at += array.nbytes
    encoded = json.dumps(header, ensure_ascii=True, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    if len(encoded) > _LONGEST_HEADER:
        raise ValueError(f"a header of {len(encoded)} bytes, at most {_LONGEST_HEADER} are read again")
    with whole_file(path) as part, part.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for name in order:
            file.write(_bytes(arrays[name]))
    return 8 + len(encoded) + at


def _tensor(name: str, entry: Field, data: int) -> Tensor:
    """An entry of the header, of a file whose numbers begin at `data`. ValueError."""
    if not 0 < len(name) <= 100 or not name.isascii() or not name.isprintable():
        raise ValueError(f"a tensor is called {shown(name)}")
    if set(entry.mapping()) != {"dtype", "shape", "data_offsets"}:
        raise entry.wrong("an object of dtype, shape and data_offsets", shown(list(entry.mapping())))
    dtype: np.dtype[Any] = _DTYPES[entry["dtype"].choice(tuple(_DTYPES))]
    shape = tuple(dim.whole(0, _LARGEST) for dim in entry["shape"].listed(most=_MOST_DIMS))
    begin, end = (place.whole(0, 1 << 62) for place in entry["data_offsets"].listed(least=2, most=2))
    if end - begin != math.prod(shape) * dtype.itemsize:  # whole numbers of any size: nothing overflows
        raise ValueError(f"{name} of {list(shape)} {dtype.name} has {end - begin} bytes")
    return Tensor(dtype=dtype, shape=shape, begin=data + begin, end=data + end)


def _check_places(tensors: Mapping[str, Tensor], data: int, size: int) -> None:
    """One behind the other, from the header's end to the file's. ValueError for a gap, an overlap, a cut."""
    at = data
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != at:
            raise ValueError(f"{name} begins at byte {tensor.begin}, what is before it ends at {at}")
        at = tensor.end
    if at != size:
        raise ValueError(f"it has {size} bytes, its header is for {at}: it is cut off, or has more than it says")


def _digest_of(format: str, about: str, kinds: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> Any:
    """Of all that a file says beside its numbers, which come next, by their names."""
    rows = [[name, _NAMES[dtype], list(shape)] for name, (dtype, shape) in sorted(kinds.items())]
    return hashlib.sha256(json.dumps([format, about, rows], ensure_ascii=True).encode() + b"\n")


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _fill(file: BinaryIO, room: memoryview) -> int:
    """Read until `room` is full, or the file ends; how many bytes came."""
    done = 0
    while done < len(room) and (piece := file.read(min(len(room) - done, _PIECE))):
        room[done : done + len(piece)] = piece
        done += len(piece)
    return done


def _plain(array: np.ndarray) -> np.ndarray:
    made = np.ascontiguousarray(array)
    made = made.astype(made.dtype.newbyteorder("<"), copy=False).reshape(array.shape)
    assert made.dtype in _NAMES, f"{made.dtype} is not among those that are kept"
    return made


@contextmanager
def _regular(path: Path) -> Iterator[BinaryIO]:
    """A regular file, opened; a pipe without a writer is not waited for. Raises OSError, ValueError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no regular file")
        yield file


def _stamp(file: BinaryIO) -> tuple[int, ...]:
    about = os.fstat(file.fileno())
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
