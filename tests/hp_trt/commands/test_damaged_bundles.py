"""Bundles that are not as they were built, and where good ones may lie."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.hp_trt.command_line import empty, refused


@pytest.fixture
def own_bundle(small_bundle, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(small_bundle, tmp_path / "bundle"))


def _first(bundle: Path, pattern: str) -> Path:
    return sorted(bundle.glob(pattern))[0]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _edit(bundle: Path, **fields: object) -> None:
    file = bundle / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda b: _first(b, "onnx/denoiser-*/*.data").unlink(), "lacks onnx/denoiser-"),
        (lambda b: _flip(_first(b, "onnx/motion-*/*.data")), "was changed"),
        (lambda b: os.truncate(_first(b, "onnx/motion-*/*.data"), 10), "was changed: 10 bytes"),
        (lambda b: (b / "notes.txt").write_text("x"), "holds notes.txt"),
        (lambda b: _edit(b, schema=99), "has schema 99, this program reads 5"),
        (lambda b: _edit(b, preset="pocket"), "was changed after the build"),
        (lambda b: (b / "manifest.json").write_bytes(b"\xff\x00"), "is damaged"),
        (lambda b: (b / "manifest.json").write_text("[" * 100_000), "is damaged"),
        (lambda b: (b / "manifest.json").write_text('{"x": NaN}'), "is damaged"),
        (lambda b: (b / "manifest.json").write_text("[]"), "is not a bundle"),
        (lambda b: (b / "manifest.json").unlink(), "has no manifest.json"),
        (lambda b: shutil.rmtree(b), "there is no bundle"),
        (lambda b: (shutil.rmtree(b), b.write_text("x")), "is a file"),
    ],
    ids="missing changed cut foreign newer edited garbage deep nan list none gone file".split(),
)
def test_a_bundle_that_is_not_as_it_was_built_says_what_and_how_to_mend_it(hp_trt, animate, own_bundle, harm, says):
    harm(own_bundle)
    refused(hp_trt("inspect", own_bundle), says, str(own_bundle), "build")
    refused(animate(bundle=own_bundle), says)
    assert empty(animate.folder)


def test_a_bundle_may_lie_behind_a_link_and_be_read_only(animate, own_bundle, tmp_path):
    (tmp_path / "link").symlink_to(own_bundle)
    before = {p: p.stat().st_mtime_ns for p in own_bundle.rglob("*")}
    assert animate(bundle=tmp_path / "link").code == 0
    assert {p: p.stat().st_mtime_ns for p in own_bundle.rglob("*")} == before, "a bundle in use is not written to"
