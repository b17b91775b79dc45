"""The stand-in has what the real PyNvVideoCodec has, and the record of that is the real package's."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
from pathlib import Path

import pytest

from hp_trt.media import nvcodec
from tests.hp_trt.media import nvcodec_names
from tests.hp_trt.media.nvcodec_stand_in import StandIn

RECORDED = json.loads(Path(__file__).with_name("nvcodec_names.json").read_text())


def arguments(signature: str) -> set[str]:
    """The names of a recorded signature's arguments."""
    inside = signature[1 : signature.rindex(")")]
    return set(re.findall(r"(?:^|, )\**(\w+)", re.sub(r"<[^>]*>|\[[^]]*\]", "", inside))) - {"self"}


def test_the_record_is_of_the_version_that_is_pinned():
    assert RECORDED["version"] == nvcodec.VERSION
    assert all(RECORDED["fields"].values()) and all(RECORDED["members"].values())


def test_the_record_names_what_is_used():
    used = nvcodec_names.USED
    assert set(RECORDED["functions"]) == set(used["functions"])
    for kind in ("methods", "fields", "members"):
        assert set(RECORDED[kind]) == {f"{owner}.{name}" for owner, names in used[kind].items() for name in names}


@pytest.mark.parametrize("name", [*RECORDED["functions"], *RECORDED["methods"]])
def test_the_stand_in_takes_no_argument_that_the_real_one_has_not(name):
    real = RECORDED["functions"].get(name) or RECORDED["methods"][name]
    thing = StandIn()
    for part in name.split("."):
        thing = getattr(thing, part)
    own = set(inspect.signature(thing).parameters) - {"self"}
    assert any(own <= arguments(one) for one in real), (own, real)


@pytest.mark.parametrize("name", [*RECORDED["fields"], *RECORDED["members"]])
def test_the_stand_in_has_what_is_read_of_the_real_one(name):
    owner, _, member = name.partition(".")
    kind = getattr(StandIn(), owner)
    found = kind.__members__ if name in RECORDED["members"] else inspect.getsource(kind)
    assert member in found


@pytest.mark.skipif(importlib.util.find_spec(nvcodec.MODULE) is None, reason="PyNvVideoCodec is not installed")
def test_the_record_is_what_the_installed_package_has():
    assert nvcodec_names.seen() == RECORDED
