"""Data as nobody should send it: trees of JSON with a node that is something else, files with bytes that are others."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from engines.errors import HpTrtError
from tests.fuzz import examples


def fuzz(usual: int) -> settings:
    """So many examples, the same ones every time; HP_TRT_FUZZ times as many where that is asked for."""
    unimportant = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(max_examples=examples(usual), derandomize=True, deadline=None, suppress_health_check=unimportant)


@contextmanager
def refused_or_right() -> Iterator[None]:
    """Lets an error of ours pass that says it is the user's turn, in a message that can be read."""
    try:
        yield
    except HpTrtError as error:
        if error.exit_code != 2 or len(str(error)) > 600:
            raise


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 1.5, -0.0, 1e308, -1e308, 1e-320, 10**6, 10**18, 2**31, 2**63, 2**64, 10**90),
    *(
        "",
        "x",
        " ",
        "0",
        "1e999",
        "../../etc/passwd",
        "/etc/passwd",
        "a\0b",
        "\x1b[2J",
        "[/bold]",
        "é" * 300,
        "x" * 5000,
    ),
    *([], [[]], [1, 2], ["x"], [None], {}, {"x": 1}, {"": {}}, [0] * 1000, [[[[[[1]]]]]]),
)


def values() -> st.SearchStrategy[Any]:
    """A value of some kind: copies, as who gets one may change it."""
    some = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
    )
    return st.one_of(st.sampled_from(VALUES).map(copy.deepcopy), some, st.lists(some, max_size=3))


@st.composite
def spoiled(draw: st.DrawFn, tree: Any, most: int = 2) -> Any:
    """A copy of `tree` in which one node, or `most`, is replaced, left out, or doubled."""
    made = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(made))
        if not places:
            break
        parent, key = places[draw(st.integers(0, len(places) - 1))]
        act = draw(st.sampled_from(("replace", "replace", "replace", "leave out", "double", "shift")))
        if act == "leave out":
            del parent[key]
        elif act == "double" and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif act == "double":
            parent[f"{key}2"] = copy.deepcopy(parent[key])
        elif act == "shift" and isinstance(parent[key], int | float):
            parent[key] = parent[key] + draw(st.sampled_from((-1, 1, 1000, 0.5)))
        else:
            parent[key] = draw(values())
    return made


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every node but the root: what holds it, and its key there."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` cut off, or with bytes that are others, more or fewer."""
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(made) - 1, 0)))
        act = draw(st.sampled_from(("set", "set", "set", "cut", "insert", "remove")))
        if act == "set" and made:
            made[at] = draw(st.sampled_from((0, 1, 127, 128, 255)) | st.integers(0, 255))
        elif act == "cut":
            del made[at:]
        elif act == "insert":
            made[at:at] = draw(st.binary(max_size=9))
        else:
            del made[at : at + draw(st.integers(1, 9))]
    return bytes(made)
