"""An exported graph without its weights: each is read where a safetensors file beside the graph has it.

ONNX lets a tensor name a file, and where in it. Trained weights are kept in half precision, as NETWORK/KEY, so the
graph casts them, transposes those that it wants the other way round, and joins those that it has beside each other; who
runs it does that once, as it opens it. What is in no file, such as a constant that export has folded, stays in the
graph.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.graphs.shared_weights import unlinked

_LEAST = 32  # elements: to say where fewer are takes as many bytes
_PARTS = (2, 3)  # that export may have put beside each other: projections of a face's three regions


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tensor of float16 is."""

    name: str  # of the entry, or of the part of a file
    file: str
    offset: int
    shape: tuple[int, ...]  # as it is kept
    order: tuple[int, ...]  # of its dimensions, as the graph wants them

    @property
    def bytes(self) -> int:
        return 2 * int(np.prod(self.shape))


class Entries:
    """What safetensors files hold in float16, to be found by content."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = {file.name: file.read_bytes() for file in files}
        self._places: dict[tuple[bytes, tuple[int, ...]], tuple[str, str, int]] = {}
        for file, content in self._files.items():
            for name, shape, offset in _float16(content):
                values = content[offset : offset + 2 * int(np.prod(shape))]
                self._places.setdefault((values, shape), (name, file, offset))

    def find(self, value: np.ndarray) -> Place | None:
        """Where float32 values are, to the last bit; None: nowhere, or in none that could say it shortly."""
        with np.errstate(over="ignore"):  # it is found to be another value
            half = value.astype(np.float16)
        if value.dtype != np.float32 or value.size < _LEAST or not np.array_equal(half.astype(np.float32), value):
            return None
        turned = [(order, half.transpose(np.argsort(order))) for order in itertools.permutations(range(value.ndim))]
        for look in (self._entry, self._part):
            for order, kept in turned:
                if found := look(kept.tobytes(), kept.shape):
                    name, file, offset = found
                    return Place(name=name, file=file, offset=offset, shape=kept.shape, order=order)
        return None

    def _entry(self, content: bytes, shape: tuple[int, ...]) -> tuple[str, str, int] | None:
        return self._places.get((content, shape))

    def _part(self, content: bytes, shape: tuple[int, ...]) -> tuple[str, str, int] | None:
        """Of an entry that export has cut along its first dimension, or whose shape it has changed."""
        for file, whole in self._files.items():
            at = whole.find(content)
            if at >= 0 and at % 2 == 0:
                return f"{file}@{at}/{'x'.join(map(str, shape))}", file, at
        return None


@dataclass(frozen=True, kw_only=True)
class Weightless:
    """A graph, and what is where."""

    model: onnx.ModelProto
    files: tuple[str, ...]  # that it reads
    read_bytes: int  # of them
    kept_bytes: int  # of the constants that it holds itself


def weightless(graph: Path, entries: Entries) -> Weightless:
    """The graph at `graph`, with its weights beside it, to be saved beside the files of `entries`."""
    with TemporaryDirectory() as room, unlinked(graph, beside=Path(room) / graph.name) as readable:
        model = onnx.load(readable)
    constants: list[TensorProto] = []
    places: dict[str, Place] = {}
    made: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        found = _find(numpy_helper.to_array(tensor), entries)
        if found is None:
            constants.append(tensor)
            continue
        places |= {place.name: place for place in found.places}
        made += _joined(found, tensor.name)
    model.graph.ClearField("initializer")
    model.graph.initializer.extend([*constants, *(_pointer(place) for place in places.values())])
    nodes = [*made, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
    return Weightless(
        model=model,
        files=tuple(sorted({place.file for place in places.values()})),
        read_bytes=sum(place.bytes for place in places.values()),
        kept_bytes=sum(len(tensor.raw_data) for tensor in constants),
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Places whose values, one behind the other along `axis`, are a tensor's."""

    places: Sequence[Place]
    axis: int = 0


def _find(value: np.ndarray, entries: Entries) -> _Found | None:
    """Where a tensor's values are: in one place, or in a few, which export has put beside each other."""
    if (place := entries.find(value)) is not None:
        return _Found(places=[place])
    for axis, parts in itertools.product(range(value.ndim), _PARTS):
        if value.shape[axis] % parts == 0:
            places = [place for part in np.split(value, parts, axis) if (place := entries.find(part)) is not None]
            if len(places) == parts:
                return _Found(places=places, axis=axis)
    return None


def _pointer(place: Place) -> TensorProto:
    tensor = TensorProto(name=place.name, dims=place.shape, data_type=TensorProto.FLOAT16)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place.file), ("offset", place.offset), ("length", place.bytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _joined(found: _Found, name: str) -> Iterator[onnx.NodeProto]:
    """From what is kept to the float32 values that the graph knows by `name`, of one place or of some."""
    if len(found.places) == 1:
        yield from _nodes(found.places[0], name)
        return
    parts = [f"{name}/part {i}" for i in range(len(found.places))]
    for place, part in zip(found.places, parts, strict=True):
        yield from _nodes(place, part)
    yield helper.make_node("Concat", parts, [name], axis=found.axis)


def _nodes(place: Place, name: str) -> Iterator[onnx.NodeProto]:
    """From what is kept to the float32 values that the graph knows by `name`."""
    if place.order == tuple(range(len(place.order))):
        yield helper.make_node("Cast", [place.name], [name], to=TensorProto.FLOAT)
        return
    turned = f"{name}/kept"
    yield helper.make_node("Transpose", [place.name], [turned], perm=place.order)
    yield helper.make_node("Cast", [turned], [name], to=TensorProto.FLOAT)


def _float16(content: bytes) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Name, shape and offset of each such entry of a safetensors file.

    Source: safetensors' format, a length, a JSON header, and the tensors one after the other.
    """
    (length,) = struct.unpack_from("<Q", content)
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if entry.get("dtype") == "F16":
            yield name, tuple(entry["shape"]), 8 + length + entry["data_offsets"][0]
