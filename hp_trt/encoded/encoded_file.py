"""What a model has encoded, in a file: of which kind, by which graphs, and that these are the graphs of a bundle.

Two kinds: motion, which is what moves a portrait, of a driving video or of speech, and a portrait. Each model says what
its own hold (`motion_file` and `portrait_file` in its room); what all have in common is read and checked here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engines.bundle import Bundle
from engines.errors import InputError
from engines.fields import Field, parse_json, shown
from engines.foreign import foreign
from engines.safe_output import refusing
from hp_trt.encoded.tensor_file import Tensor, TensorFile, looks_encoded, read_tensor_file, write_tensor_file
from hp_trt.media.files import check_file

Kind = Literal["motion", "portrait"]
FORMATS: Mapping[Kind, str] = {"motion": "hp-trt motion", "portrait": "hp-trt portrait"}
SCHEMA = 1
LARGEST_BYTES = 1 << 30  # of a sound, of a picture
_MOST_NOTES, _LONGEST_NOTE = 100, 1000
_KEY = re.compile(r"[0-9a-f]{12,128}")
_USES: Mapping[Kind, str] = {
    "motion": "it moves a portrait: give it in place of a driving video, or of speech",
    "portrait": "it is a portrait: give it in place of a picture",
}


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What is to become a file."""

    kind: Kind
    model: str
    graphs: Mapping[str, str]  # by name, the content keys of those that made it
    about: Mapping[str, Any]  # the model's own words, JSON
    tensors: Mapping[str, np.ndarray]
    notes: Sequence[str] = ()  # what a user should know, a line each
    frames: int | None = None  # of motion


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written."""

    path: Path
    bytes: int
    frames: int | None  # of motion; None of a portrait
    notes: tuple[str, ...]


class EncodedFile:
    """A file of `kind` that was recognised, its header read. Raises InputError for all that is none.

    `about` is the model's own part of its header. Tensors are read by `array`, behind `check_content`.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path, self.kind, self._checked = path, kind, False
        check_file(path, f"give a file that hp-trt {kind} wrote")
        with self.reading():
            self._file: TensorFile = read_tensor_file(path)
            found = next((name for name, format in FORMATS.items() if format == self._file.format), None)
            if found is not None and found != kind:
                raise InputError(f"{path} is a {found} file, needed is one of {kind}; {_USES[found]}")
            if found is None:
                raise ValueError(f"its format is {shown(self._file.format)}, needed is {FORMATS[kind]!r}")
            about = parse_json(self._file.about)
            if (schema := about["schema"].whole(1, 1 << 20)) != SCHEMA:
                raise InputError(
                    f"{path} has schema {schema}, this version of hp-trt reads {SCHEMA}; "
                    + ("install the newer one" if schema > SCHEMA else f"make it again with hp-trt {kind}")
                )
            about["hp_trt"].text(most=100)
            self.model = about["model"].text(most=100)
            self._keys = {name: key.text(most=128) for name, key in about["graphs"].entries(most=20)}
            if not all(map(_KEY.fullmatch, self._keys.values())):
                raise about["graphs"].wrong("content keys: 12 to 128 lower-case hex digits")
            notes = [note.text(most=2 * _LONGEST_NOTE) for note in about["notes"].listed(most=_MOST_NOTES)]
            self.notes: tuple[str, ...] = tuple(notes)
            self.about: Field = about["of"]
            self.about.mapping()

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        return self._file.tensors

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Whatever goes wrong in the block is the file's fault, and an InputError says so."""
        with foreign(f"{self.path} is no {self.kind} file that can be used", f"make it again with hp-trt {self.kind}"):
            yield

    def check_model(self, bundle: Bundle) -> None:
        """Raises InputError where another model than the bundle's has made it."""
        if self.model != bundle.manifest.model:
            raise InputError(
                f"{self.path} was encoded for {shown(self.model)}, {bundle.path} is for {bundle.manifest.model}; "
                f"encode again with this bundle: {self._again(bundle)}"
            )

    def other_graph(self, bundle: Bundle, names: Sequence[str]) -> str | None:
        """Of the graphs of these names, what tells that one is not the graph which made this; None: all are.

        Raises InputError where the file does not say which one was.
        """
        with self.reading():
            if set(self._keys) != set(names):
                raise ValueError(f"its graphs are {shown(sorted(self._keys))}, needed are {', '.join(names)}")
        for name in names:
            own = bundle.manifest.graphs[name].key if name in bundle.manifest.graphs else "none"
            if own != self._keys[name]:
                return (
                    f"{self.path} was encoded by a graph {name} with the key {self._keys[name][:12]}, that of "
                    f"{bundle.path} has {own[:12]}"
                )
        return None

    def check_graphs(self, bundle: Bundle, names: Sequence[str]) -> None:
        """Raises InputError, with both keys, where one of these graphs is not the bundle's."""
        if (found := self.other_graph(bundle, names)) is not None:
            raise InputError(
                f"{found}; take the bundle that made it, or encode again with this one: {self._again(bundle)}"
            )

    def check_made_for(self, bundle: Bundle, needed: Mapping[str, int | float]) -> None:
        """Raises InputError unless what the file says of `made_for`, numbers by name, is what the bundle needs."""
        with self.reading():
            found = {name: number.number() for name, number in self.about["made_for"].entries(most=20)}
        if found != needed:
            raise InputError(
                f"{self.path} was made for {shown_numbers(found)}, {bundle.path} is for {shown_numbers(needed)}; "
                f"encode again with this bundle: {self._again(bundle)}"
            )

    def require(self, name: str, dtype: str, shape: Sequence[int | None]) -> tuple[int, ...]:
        """The shape of a tensor, which has these sizes; None: any. Raises InputError."""
        with self.reading():
            if name not in self.tensors:
                raise ValueError(f"it has no {name}, there are {', '.join(sorted(self.tensors)) or 'none'}"[:150])
            found = self.tensors[name]
            fits = len(found.shape) == len(shape) and all(
                size is None or size == own for size, own in zip(shape, found.shape, strict=True)
            )
            if not fits or found.dtype.name != dtype:
                sizes = ", ".join("*" if size is None else str(size) for size in shape)
                raise ValueError(f"{name} is {list(found.shape)} {found.dtype.name}, needed is ({sizes}) {dtype}")
            return found.shape

    def require_only(self, *names: str) -> None:
        """Raises InputError for tensors of other names: nobody would look at them."""
        with self.reading():
            if stray := sorted(set(self.tensors) - set(names)):
                raise ValueError(f"it has {shown(stray)}, of which nothing is known")

    def require_bytes(self, name: str) -> None:
        """Raises InputError unless it is some bytes, and not more than anybody keeps."""
        (count,) = self.require(name, "uint8", (None,))
        with self.reading():
            if not 0 < count <= LARGEST_BYTES:
                raise ValueError(f"{name} has {count} bytes, needed are 1 to {LARGEST_BYTES}")

    def check_content(self) -> None:
        """Raises InputError for a file that was cut or altered: before any number of it is used."""
        if not self._checked:  # nobody has written into it since: each reading looks at that
            with self.reading():
                self._file.check_content()
            self._checked = True

    def array(self, name: str, first: int = 0, count: int | None = None) -> np.ndarray:
        """A tensor, or some of it along its first axis: the caller's. Raises InputError, for NaN and infinity too."""
        with self.reading():
            made = self._file.array(name, first, count)
            if made.dtype.kind == "f" and not np.isfinite(made).all():
                raise ValueError(f"{name} holds NaN or infinity")
            return made

    def _again(self, bundle: Bundle) -> str:
        return f"hp-trt {self.kind} --bundle {bundle.path} --out {self.path.name}, of the original"


def shown_numbers(numbers: Mapping[str, float]) -> str:
    """For a message."""
    return ", ".join(f"{name[:20]} {number:g}" for name, number in sorted(numbers.items())) or "nothing"


def encoded_file(source: Any, kind: Kind) -> EncodedFile | None:
    """The file that `source` names, where it is one of ours by its content; None: it is something else.

    Raises InputError for one that cannot be used, and for one of the other kind.
    """
    return EncodedFile(Path(source), kind) if is_encoded(source) else None


def is_encoded(source: Any) -> bool:
    """Whether `source` is the path of a file of ours, damaged or not."""
    return isinstance(source, Path | str) and looks_encoded(source)


def write_encoded(path: Path, encoded: Encoded) -> Written:
    """Write the file, which appears whole; what had its name stays until then. Raises OutputError."""
    notes = [_kept(note) for note in encoded.notes][:_MOST_NOTES]
    about = {
        "schema": SCHEMA,
        "hp_trt": sys.modules["hp_trt"].__version__,  # which names the Runtime, that this is a part of: no import
        "model": encoded.model,
        "graphs": dict(encoded.graphs),
        "notes": notes,
        "of": dict(encoded.about),
    }
    with refusing(path):
        size = write_tensor_file(path, format=FORMATS[encoded.kind], about=about, tensors=encoded.tensors)
    return Written(path=path, bytes=size, frames=encoded.frames, notes=tuple(encoded.notes))


def _kept(note: str) -> str:
    """A note as JSON can hold it: half a character of a file's name is none."""
    return note.encode(errors="replace").decode()[:_LONGEST_NOTE]
