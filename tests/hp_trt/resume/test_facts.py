from __future__ import annotations

import pytest

from hp_trt.resume.facts import as_json, differences


def test_equal_facts_do_not_differ_whatever_python_calls_them():
    facts = {"size": (3, 4), "options": {"steps": 40, "guidance": 3.5, "mask": None}, "sound": "ä"}
    assert list(differences(as_json(facts), as_json(facts | {"size": [3, 4]}))) == []


def test_what_differs_is_named_by_its_place():
    there = {"a": {"b": 1, "gone": 2}, "hash": "0" * 64, "list": [1, 2]}
    here = {"a": {"b": 1.5}, "hash": "1" * 64, "list": [1, 3], "new": {}}
    assert list(differences(there, here)) == [
        "a.b was 1, is 1.5",
        "a.gone is missing now",
        "hash differs",
        "list was [1, 2], is [1, 3]",
        "new is new",
    ]


@pytest.mark.parametrize("facts", [{"a": float("nan")}, {"a": {1, 2}}, {"a": b"x"}])
def test_what_is_no_json_is_no_fact(facts):
    with pytest.raises((ValueError, TypeError)):
        as_json(facts)
