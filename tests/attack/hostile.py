"""What is hostile: bytes that are damaged, documents whose values are not what they should be, names that are none."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

# A value stands for itself; Raw is written into JSON as it is.


class Raw(str):
    """A piece of JSON that no Python value gives."""


VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1,
    10**6,
    10**9,
    2**31,
    2**63,
    10**400,
    -(10**400),
    0.5,
    1e300,
    -1e-300,
    float("nan"),
    float("inf"),
    Raw("1e999"),
    "",
    "x",
    "../../etc/passwd",
    "/dev/zero",
    "a\x00b",
    "\x1b[2J",
    "\udce9",
    "9" * 5000,
    "name" * 300,
    [],
    [[]],
    {},
    [0],
    [None] * 3,
    {"a": {}},
    list(range(1000)),
    Raw("[" * 5000 + "]" * 5000),
)
NUMBERS = (
    "0",
    "-1",
    "1e308",
    "-1e308",
    "nan",
    "inf",
    "-inf",
    "1e-320",
    "9" * 400,
    "10000000000",
    "0x10",
    "",
    " ",
    "½",
    "1.5",
)


def damaged(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """A name for the damage, and the file with it."""
    if not data:
        return "one byte of an empty file", b"x"
    data = bytearray(data)
    kind = rng.choice(("cut", "flips", "zeros", "noise", "insert", "repeat", "head", "tail", "swap", "numbers"))
    at = rng.randrange(max(len(data), 1))
    span = rng.choice((1, 4, 16, 256, 4096))
    if kind == "cut":
        del data[at:]
    elif kind == "flips":
        for _ in range(rng.choice((1, 3, 30, 300))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "zeros":
        data[at : at + span] = bytes(len(data[at : at + span]))
    elif kind == "noise":
        data[at : at + span] = rng.randbytes(len(data[at : at + span]))
    elif kind == "insert":
        data[at:at] = rng.randbytes(span)
    elif kind == "repeat":
        data[at:at] = data[at : at + span] * rng.choice((1, 10, 100))
    elif kind == "head":  # where sizes and counts stand
        for _ in range(rng.choice((1, 4))):
            data[rng.randrange(min(len(data), 128))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    elif kind == "tail":
        data += rng.randbytes(span)
    elif kind == "swap":
        other = rng.randrange(len(data))
        data[at : at + span], data[other : other + span] = data[other : other + span], data[at : at + span]
    else:  # a field of four bytes that is as large as it can be
        data[at : at + 4] = rng.choice(
            (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f")
        )
    return f"{kind} at {at}", bytes(data)


def paths_of(document: Any, so_far: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a document."""
    yield so_far
    if isinstance(document, dict):
        for key, value in document.items():
            yield from paths_of(value, (*so_far, key))
    elif isinstance(document, list):
        for index, value in enumerate(document[:4]):
            yield from paths_of(value, (*so_far, index))


def changed(document: Any, rng: random.Random, *, times: int = 1) -> tuple[str, Any]:
    """A name, and a copy in which values are hostile, gone, doubled or of another field."""
    document = copy.deepcopy(document)
    names = []
    for _ in range(times):
        ways = [way for way in paths_of(document) if way]
        way = rng.choice(ways)
        holder = document
        for key in way[:-1]:
            holder = holder[key]
        kind = rng.choice(("value", "value", "value", "gone", "other", "negative", "near", "near"))
        if kind == "gone":
            del holder[way[-1]]
        elif kind == "other":
            other = document
            for key in rng.choice(ways):
                other = other[key]
            holder[way[-1]] = copy.deepcopy(other)
        elif kind == "near":  # of the right type: what only a range or another field can refuse
            found = holder[way[-1]]
            holder[way[-1]] = (
                rng.choice((found * 2, found + 1, found * 1000, 1)) if type(found) in (int, float) else f"{found}x"
            )
        elif kind == "negative" and isinstance(holder[way[-1]], int | float):
            holder[way[-1]] = -holder[way[-1]]
        else:
            holder[way[-1]] = rng.choice(VALUES)
        names.append(f"{'.'.join(map(str, way))}: {kind}")
    return "; ".join(names)[:200], document


def as_json(document: Any) -> str:
    """JSON, with what is Raw as it stands."""
    raws: list[str] = []

    def marked(value: Any) -> Any:
        if isinstance(value, Raw):
            raws.append(str(value))
            return f"@raw{len(raws) - 1}@"
        if isinstance(value, dict):
            return {key: marked(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [marked(inner) for inner in value]
        if isinstance(value, int) and abs(value) > 10**300:
            raws.append("9" * 5000)
            return f"@raw{len(raws) - 1}@"
        return value

    text = json.dumps(marked(document))
    for number, raw in enumerate(raws):
        text = text.replace(f'"@raw{number}@"', raw)
    return text
