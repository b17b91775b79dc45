"""The harness finds what is planted, and a short attack of the real commands finds nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.attack.case import Around, Case, Ended, faults
from tests.attack.families import FAMILIES


def _ended(code: int | None, err: str = "", *, signal: int = 0, peak_bytes: int = 0) -> Ended:
    return Ended(code=code, signal=signal, out="", err=err, seconds=1.0, peak_bytes=peak_bytes)


def _case(*outputs: Path, **facts) -> Case:
    return Case(family="f", name="n", words=("animate",), outputs=outputs, **facts)


@pytest.mark.parametrize(
    ("ended", "kinds"),
    [
        (_ended(0), []),
        (_ended(2, "note: x\nerror: a; do b\n"), []),
        (_ended(1, "error: this is our mistake\n"), ["wrong exit"]),
        (_ended(2), ["wrong exit"]),
        (_ended(2, "error: a\nerror: b\n"), ["wrong exit"]),
        (_ended(2, "error: a\nb\nc\nd\n"), ["wrong exit"]),
        (_ended(2, "error: " + "a" * 700), ["wrong exit"]),
        (_ended(0, "error: a\n"), ["wrong exit"]),
        (_ended(1, "Traceback (most recent call last)\nerror: a"), ["traceback", "wrong exit"]),
        (_ended(-11, signal=11), ["wrong exit"]),
        (_ended(0, peak_bytes=2 << 30), ["memory"]),
        (_ended(None), ["hang"]),
    ],
    ids="good refused ours silent twice long wide both traceback crash memory hang".split(),
)
def test_what_is_wrong_with_an_exit_is_found(tmp_path, ended, kinds):
    found = faults(_case(), ended, Around(tmp_path, ()))
    assert [fault.split(":")[0] for fault in found] == kinds


def _destroy(folder: Path) -> None:
    (folder / "in.png").write_bytes(b"other")


def _leave(folder: Path) -> None:
    (folder / ".out.png.part").touch()


def _tear(folder: Path) -> None:
    (folder / "out.png").write_bytes((folder / "out.png").read_bytes()[:-40])


def _remove(folder: Path) -> None:
    (folder / "out.png").unlink()


def _replace(folder: Path) -> None:
    Image.new("RGB", (9, 9)).save(folder / "out.png")


@pytest.mark.parametrize(
    ("harm", "code", "kind"),
    [
        (_destroy, 0, "destroyed"),
        (_leave, 2, "left"),
        (_tear, 0, "torn"),
        (_remove, 0, "destroyed"),
        (_replace, 2, "destroyed"),
        (_replace, 0, None),
    ],
)
def test_what_is_wrong_with_the_files_is_found(tmp_path, harm, code, kind):
    (tmp_path / "in.png").write_bytes(b"mine")
    Image.effect_noise((32, 32), 50).save(tmp_path / "out.png")
    around = Around(tmp_path, (tmp_path / "out.png",))
    harm(tmp_path)
    found = faults(_case(tmp_path / "out.png"), _ended(code, "error: a" if code else ""), around)
    assert [fault.split(":")[0] for fault in found] == ([kind] if kind else [])


def _attack(*words: str) -> None:
    run = subprocess.run([sys.executable, "-m", "tests.attack", *words], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "| all |" in run.stdout


def test_cases_of_every_family_find_nothing():
    _attack("--cases", str(3 * len(FAMILIES)), "--jobs", "1")


@pytest.mark.heavy
def test_hundreds_of_cases_find_nothing():
    _attack("--cases", "420", "--seed", "1")


@pytest.mark.heavy
def test_a_hundred_kills_tear_nothing():
    _attack("--kills", "20")
