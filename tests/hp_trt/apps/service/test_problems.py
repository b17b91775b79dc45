"""What clients hear of errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import BundleError, DiskError, EngineMismatch, FaceNotFound, InputError, NonFiniteError
from hp_trt.apps.service.problems import KINDS, Problem, problem_of, without_paths


def test_every_kind_has_a_slug_that_is_a_word_and_a_title_of_its_own():
    titles = [kind.title for kind in KINDS.values()]
    assert len(set(titles)) == len(titles)
    for slug, kind in KINDS.items():
        assert slug.replace("-", "").isalpha() and slug == slug.lower() and 400 <= kind.status < 600


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (FaceNotFound("x"), "no-face"),
        (InputError("x"), "impossible"),
        (DiskError("x"), "storage"),
        (OSError(30, "Read-only"), "storage"),
        (NonFiniteError("x"), "internal"),
        (BundleError("x"), "internal"),
        (EngineMismatch("x"), "internal"),
        (MemoryError(), "internal"),
        (KeyError("x"), "internal"),
        (Problem("busy", "x"), "busy"),
    ],
)
def test_each_of_our_errors_is_a_kind(error, slug):
    assert problem_of(error).slug == slug


def test_names_of_files_become_the_clients_words():
    files = {Path("/state/owners/a/jobs/j/portrait"): "the portrait"}
    said = "/state/owners/a/jobs/j/portrait has 3 faces; see /etc/hp trt, 25 frames/s, 1/2 or https://x.example/a/b"
    assert without_paths(said, files) == (
        "the portrait has 3 faces; see a file of the service trt, 25 frames/s, 1/2 or https://x.example/a/b"
    )


def test_a_detail_is_short_and_of_plain_letters():
    detail = Problem("impossible", "a\x1b[31m" + "b" * 5000 + "\nc\nd\ne").to_json()["detail"]
    assert len(detail) <= 600 and "\x1b" not in detail


def test_when_to_come_back_is_a_whole_second_at_least():
    assert Problem("busy", "x", retry_after_s=0.1).headers == {"retry-after": "1"}
    assert Problem("unauthorized", "x").headers == {"www-authenticate": "Bearer"}
