"""What tests keep is made once for the same facts, and made again for others."""

from __future__ import annotations

import os
import time

import pytest

from tests import cache
from tests.cache import YOUNG_S, Cache


@pytest.fixture
def kept(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


def test_the_same_facts_are_made_once(kept):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "file").write_text("content")

    first, second = (kept.entry("kind", {"a": [1, 2.5]}, make, code=()) for _ in range(2))
    assert first == second and (first / "file").read_text() == "content"
    assert len(made) == 1


def test_other_facts_other_code_or_another_kind_are_made_again(kept, monkeypatch):
    places = {kept.entry("kind", 1, lambda folder: None, code=()), kept.entry("kind", 2, lambda folder: None, code=())}
    places.add(kept.entry("other", 1, lambda folder: None, code=()))
    monkeypatch.setattr(cache, "code_hash", lambda *places: "changed")
    places.add(kept.entry("kind", 1, lambda folder: None, code=()))
    assert len(places) == 4


def test_what_could_not_be_made_is_tried_again(kept):
    def fail(folder):
        (folder / "half").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kept.entry("kind", 1, fail, code=())
    assert list(kept.entry("kind", 1, lambda folder: None, code=()).iterdir()) == []


def test_code_that_lies_elsewhere_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("A = 1")
    (tmp_path / "b.py").write_text("B = 1")
    before = cache.code_hash.__wrapped__("room")
    (tmp_path / "b.py").write_text("B = 2")
    assert cache.code_hash.__wrapped__("room") == before
    (tmp_path / "room" / "a.py").write_text("A = 2")
    assert cache.code_hash.__wrapped__("room") != before


def test_the_longest_unused_goes_first_and_what_is_young_stays(kept):
    def make(folder):
        (folder / "file").write_bytes(bytes(100))

    old, older, young = (kept.entry("kind", number, make, code=()) for number in range(3))
    now = time.time()
    os.utime(old, (now, now - YOUNG_S - 10))
    os.utime(older, (now, now - YOUNG_S - 20))
    kept.prune(most_bytes=200)
    assert (old.exists(), older.exists(), young.exists()) == (True, False, True)
    kept.prune(most_bytes=0)
    assert (old.exists(), young.exists()) == (False, True)
