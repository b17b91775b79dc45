"""Names of other people's programs, recorded from what they publish, held against what stands in for them in a test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any


def parameters(function: Callable[..., Any]) -> list[str]:
    """As the lists write them: what may be left out ends in "=", whatever is gathered begins with its stars."""
    names = []
    for name, one in inspect.signature(function).parameters.items():
        if name not in ("self", "cls"):
            stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
            names.append(stars + name + ("=" if one.default is not one.empty else ""))
    return names


def strange(own: Callable[..., Any], published: Sequence[str]) -> str:
    """What of a stand-in's parameters is not as published; "": it takes some of them, under the same names, in any
    order that a caller by names cannot tell."""
    found = parameters(own)
    if wrong := [name for name in found if name not in published]:
        return f"{own.__qualname__} takes {', '.join(wrong)}, published is {', '.join(published) or 'nothing'}"
    needed = [name for name in published if not name.endswith("=") and not name.startswith("*")]
    if missing := [name for name in needed if name not in found]:
        return f"{own.__qualname__} does not take {', '.join(missing)}"
    return ""


def public(owner: Any) -> Iterator[tuple[str, Any]]:
    """What stands in a module or a class of ours itself, by name."""
    where = owner.__name__ if inspect.ismodule(owner) else owner.__module__
    for name, value in vars(owner).items():
        if not name.startswith("_") and getattr(value, "__module__", where) == where and not inspect.ismodule(value):
            yield name, value
