"""Graphs of one network that keep its weights once on the disk.

ONNX lets a tensor name a file beside the graph, and where in it. A graph that is a part of another names the other's
file, which is linked into its folder: one file with two names, on any file system with hard links. Where there are
none, or where a tool copies the bundle without them, it is a second copy, and all else is the same. ONNX Runtime and
TensorRT read such files; the onnx package refuses them, for fear of an attack, and is given a copy: `unlinked`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx.external_data_helper import ExternalDataInfo

_ALIGNMENT = 4096  # of a tensor in its file, as ONNX asks of files that are to be mapped


def share_weights(graph: Path, owner: Path) -> int:
    """Let the graph at `graph` read from the weights of the one at `owner` whatever tensor is there bit for bit.

    What is not stays in its own file. Both were written by `export.graphs.trace.export_onnx`, a .data file beside each.
    Returns how many bytes it reads, shared or its own: the files may hold more.
    """
    model, theirs = onnx.load(graph, load_external_data=False), onnx.load(owner, load_external_data=False)
    whole = onnx.load(graph)
    source = owner.with_name(owner.name + ".data")
    known = _places(theirs, source)
    own_file = graph.with_name(graph.name + ".data")
    own, read, shared = bytearray(), 0, 0
    values = {tensor.name: tensor.raw_data for tensor in whole.graph.initializer}
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        content = values[tensor.name]
        read += len(content)
        place = known.get(_identity(tensor, content))
        if place is None:
            own += bytes(-len(own) % _ALIGNMENT)
            _set_place(tensor, own_file.name, len(own), len(content))
            own += content
        else:
            shared += len(content)
            _set_place(tensor, source.name, *place)
    if shared:
        _link(source, graph.with_name(source.name))
        own_file.write_bytes(own) if own else own_file.unlink()
        onnx.save(model, graph)
    return read


@contextmanager
def unlinked(graph: Path, *, beside: Path) -> Iterator[Path]:
    """The graph at `graph` for the onnx package to read: where its weights have other names too, a copy of its folder.

    The copy lies beside the folder `beside`, on the same disk, as long as the block lasts.
    """
    if all(path.stat().st_nlink == 1 for path in graph.parent.glob("*.data")):
        yield graph
        return
    with TemporaryDirectory(dir=beside.parent, prefix=f"{graph.stem}-copy-") as folder:
        for path in graph.parent.glob("*.onnx*"):
            shutil.copyfile(path, Path(folder) / path.name)
        yield Path(folder) / graph.name


def _places(model: onnx.ModelProto, file: Path) -> Mapping[tuple, tuple[int, int]]:
    """By content: where a tensor lies in `file`, offset and length."""
    places = {}
    with file.open("rb") as stream:
        for tensor in model.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                info = ExternalDataInfo(tensor)
                stream.seek(info.offset or 0)
                content = stream.read(info.length)
                places[_identity(tensor, content)] = (info.offset or 0, len(content))
    return places


def _identity(tensor: onnx.TensorProto, content: bytes) -> tuple:
    return tensor.data_type, tuple(tensor.dims), hashlib.sha256(content).digest()


def _set_place(tensor: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # no hard links here
        shutil.copyfile(source, target)
