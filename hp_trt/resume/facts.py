"""What a run renders: whoever goes on with it must render the same.

Facts are JSON: hashes of what goes in, keys of graphs, options, a seed. Two runs with equal facts make
equal frames; nothing else is asked of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from engines.fields import parse_json, shown

_SHORT = 24  # letters of a value that a message can say; a hash is longer


def as_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts` as they are read back: lists for tuples. Raises ValueError or TypeError for what is no JSON."""
    return dict(parse_json(json.dumps(facts, allow_nan=False)).mapping())


def differences(there: Any, here: Any, where: str = "") -> Iterator[str]:
    """What differs between the facts of a begun run, `there`, and those of this one, `here`, in words, one by one."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in (*there, *(key for key in here if key not in there)):
            below = f"{where}.{key}" if where else str(key)
            if key not in here:
                yield f"{below} is missing now"
            elif key not in there:
                yield f"{below} is new"
            else:
                yield from differences(there[key], here[key], below)
    elif there != here:
        old, new = shown(there), shown(here)
        yield f"{where} was {old}, is {new}" if max(len(old), len(new)) <= _SHORT else f"{where} differs"
