"""What a release is refused for, and what it consists of. The whole of it is `python -m tests.release`."""

from __future__ import annotations

import hashlib
import subprocess

import pytest

from engines.errors import InputError
from tests import release

CHANGELOG = "# Changelog\n\n## 0.3.0 (2027-01-31)\n\n- Two things.\n- And one.\n\n## 0.2.0 (2026-12-24)\n\n- One.\n"


def test_the_notes_are_the_section_of_the_version_alone():
    assert release.notes(CHANGELOG, "0.3.0") == "- Two things.\n- And one.\n"


@pytest.mark.parametrize(
    ("changelog", "version", "message"),
    [
        (CHANGELOG, "0.4.0", r"has no section of 0\.4\.0, .*; there are 0\.3\.0, 0\.2\.0"),
        (CHANGELOG, "0.2.0", r"0\.3\.0 stands before 0\.2\.0 in CHANGELOG\.md"),
        ("## 0.1.0 (unreleased)\n\n- All.\n", "0.1.0", "has 0.1.0 as unreleased; write the day"),
        ("## 0.1.0 (2026-12-01)\n\n", "0.1.0", "says nothing of 0.1.0"),
        ("nothing", "0.1.0", "there are none"),
    ],
)
def test_a_changelog_that_does_not_fit_is_refused(changelog, version, message):
    with pytest.raises(InputError, match=message):
        release.notes(changelog, version)


@pytest.mark.parametrize(
    ("version", "citation", "message"),
    [
        ("one", "version: one", "no version by PEP 440"),
        ("0.2.0.dev1", "version: 0.2.0.dev1", "has no .dev"),
        ("0.2.0", "version: 0.1.0\n", "CITATION.cff has the version 0.1.0"),
        ("0.2.0", "title: x\n", "CITATION.cff has the version None"),
    ],
)
def test_a_version_that_cannot_be_published_is_refused(version, citation, message):
    with pytest.raises(InputError, match=message):
        release.check_version(version, citation)
    release.check_version("0.2.0rc1", "x: y\nversion: 0.2.0rc1\n")


def test_only_what_is_committed_is_released(tmp_path):
    for words in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert release.tracked(tmp_path) == []
    (tmp_path / "new.py").write_text("")
    with pytest.raises(InputError, match=r"1 files differ from the commit, new\.py first"):
        release.tracked(tmp_path)


def test_a_release_has_its_files_with_their_sums_and_destroys_no_other(tmp_path):
    (tmp_path / "a.whl").write_bytes(b"wheel")
    release.publishable(tmp_path / "dist", [tmp_path / "a.whl"], "- One.\n")
    assert (tmp_path / "dist/notes.md").read_text() == "- One.\n"
    assert (tmp_path / "dist/SHA256SUMS").read_text() == f"{hashlib.sha256(b'wheel').hexdigest()}  a.whl\n"
    with pytest.raises(InputError, match="is not empty"):
        release.publishable(tmp_path / "dist", [], "")
