"""JSON and TOML from elsewhere, read with types and ranges.

    field = read_json(path, most_bytes=1 << 20)
    width = field["size"][0].whole(1, 4096)
    score = field.get("score", 1.0).number(0, 1)

A `Field` is a value with the path of keys that leads to it, so that an error can say where it stands:
"graphs.denoiser.spec.inputs[0].dims[1] must be a whole number of 1 to 65536, got 'x'". Every method that finds
something else than it is asked for raises ValueError. A bool is no number, null is nothing, NaN and infinity are not
read at all.
"""

from __future__ import annotations

import json
import math
import os
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

DEEPEST = 64  # lists and objects inside each other
_LONGEST_NUMBER = 100  # digits: more would be no float any more
_SHOWN = 60  # letters of what was found

Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Field:
    """A value as json or tomllib give it, and where it stands. ValueError where it is not what it is read as."""

    found: Any
    where: str = ""  # "" of a whole file

    @classmethod
    def of(cls, data: Any) -> Field:
        """`data` itself where it is a Field, else a Field of it."""
        return data if isinstance(data, Field) else cls(data)

    def __getitem__(self, key: str | int) -> Field:
        """The entry of an object by its key, or of a list by its number."""
        if isinstance(key, int):
            entries = self.listed()
            if key >= len(entries):
                raise self.wrong(f"a list of at least {key + 1}", f"{len(entries)}")
            return entries[key]
        found = self.get(key)
        if found is None:
            raise ValueError(f"{_below(self.where, key)} is missing")
        return found

    def get(self, key: str, default: Any = None) -> Any:
        """The entry of an object as a Field; where there is none a Field of `default`, or None without one."""
        if key in self.mapping():
            return Field(self.found[key], _below(self.where, key))
        return None if default is None else Field(default, _below(self.where, key))

    def wrong(self, needed: str, found: str | None = None) -> ValueError:
        """The error of a field that is not `needed`."""
        return ValueError(f"{self.where or 'the whole'} must be {needed}, got {found or shown(self.found)}")

    def mapping(self) -> Mapping[str, Any]:
        """An object as it is, for what is kept without being read."""
        if not isinstance(self.found, Mapping):
            raise self.wrong("an object")
        return self.found

    def entries(self, *, most: int = 10_000) -> Iterator[tuple[str, Field]]:
        """The keys of an object, each with its field."""
        if len(self.mapping()) > most:
            raise self.wrong(f"an object of at most {most} entries", f"{len(self.found)}")
        for key, value in self.found.items():
            yield key, Field(value, _below(self.where, key))

    def listed(self, *, least: int = 0, most: int = 1_000_000) -> list[Field]:
        """The entries of a list."""
        if not isinstance(self.found, list | tuple):
            raise self.wrong("a list")
        if not least <= len(self.found) <= most:
            count = f"{least}" if least == most else f"{least} to {most}"
            raise self.wrong(f"a list of {count}", f"{len(self.found)}")
        return [Field(value, f"{self.where}[{number}]") for number, value in enumerate(self.found)]

    def text(self, *, most: int = 1000) -> str:
        if not isinstance(self.found, str):
            raise self.wrong("text")
        if len(self.found) > most:
            raise self.wrong(f"text of at most {most} letters", f"{len(self.found)}")
        return self.found

    def words(self, *, most: int = 1000) -> tuple[str, ...]:
        """A list of text."""
        return tuple(word.text(most=10_000) for word in self.listed(most=most))

    def flag(self) -> bool:
        if not isinstance(self.found, bool):
            raise self.wrong("true or false")
        return self.found

    def whole(self, least: int, most: int) -> int:
        if isinstance(self.found, bool) or not isinstance(self.found, int) or not least <= self.found <= most:
            raise self.wrong(f"a whole number of {least} to {most}")
        return self.found

    def number(self, least: float = -math.inf, most: float = math.inf) -> float:
        """Finite, between the two; a whole number stays one."""
        found = self.found
        if isinstance(found, bool) or not isinstance(found, int | float) or not _is_finite(found):
            raise self.wrong("a number")
        if not least <= found <= most:
            raise self.wrong(f"a number of {least:g} to {most:g}" if most < math.inf else f"a number from {least:g}")
        return found

    def choice(self, choices: Sequence[Choice]) -> Choice:
        """One of `choices`, which are texts."""
        for choice in choices:
            if isinstance(self.found, str) and self.found == choice:
                return choice
        raise self.wrong(f"one of {', '.join(map(str, choices))}")


def read_json(path: Path, *, most_bytes: int) -> Field:
    """The content of a JSON file. Raises OSError where it cannot be read, ValueError for no JSON and for too much."""
    return parse_json(read_bytes(path, most_bytes=most_bytes))


def read_toml(path: Path, *, most_bytes: int) -> Field:
    """As `read_json`, of a TOML file."""
    text = read_bytes(path, most_bytes=most_bytes).decode("utf-8-sig")
    return _bounded(lambda: tomllib.loads(text))


def parse_json(data: bytes | str) -> Field:
    """JSON as its standard says: no NaN, no infinity, not even as 1e999, no key twice, no half of a character."""
    text = data.decode("utf-8-sig") if isinstance(data, bytes) else data

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    return _bounded(
        lambda: json.loads(
            text, parse_constant=refuse, parse_int=_whole, parse_float=_finite, object_pairs_hook=_without_doubles
        )
    )


def read_bytes(path: Path, *, most_bytes: int) -> bytes:
    """A regular file of at most so many bytes; nothing else is waited for or read. Raises OSError, ValueError."""
    # A pipe without a writer would be waited for.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is no regular file")
        if about.st_size > most_bytes:
            raise ValueError(f"it has {about.st_size} bytes, at most {most_bytes} are read")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:  # it grows, or lies in a file system without sizes
        raise ValueError(f"it has more than {most_bytes} bytes")
    return content


def shown(found: Any) -> str:
    """What was found, as a message can say it: short, whatever it is."""
    if isinstance(found, Mapping):
        return f"an object of {len(found)}"
    if isinstance(found, list | tuple) and len(found) > 8:
        return f"a list of {len(found)}"
    if found is None:
        return "null"
    if isinstance(found, int) and found.bit_length() > 200:
        return "a number of more than 60 digits"
    try:
        text = repr(found)
    except (RecursionError, ValueError):  # a list of many levels, of numbers that are too long
        return f"a {type(found).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."


def _bounded(parse: Callable[[], Any]) -> Field:
    """What `parse` gives, known to be of a depth that any code can walk, and of text that can be written again."""
    try:
        data = parse()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level, depth = [data], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str) and not value.isascii():
                value.encode()  # half of a character is a UnicodeEncodeError, which is a ValueError
        level, depth = below, depth + 1
    return Field(data)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {shown(key)} stands twice in one object")
            seen.add(key)
    return made


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {shown(text)} is out of range")
    return number


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number that no float holds
        return False


def _below(where: str, key: str) -> str:
    name = key if key.replace("_", "a").replace("-", "a").isalnum() and len(key) <= _SHOWN else shown(key)
    return f"{where}.{name}" if where else name
