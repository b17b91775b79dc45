"""What `make demo` would run: its own drawn people with their known faces, or a user's files as they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def demo(*variables: str, folder: Path = ROOT) -> str:
    command = ["make", "--dry-run", "--no-print-directory", "--file", str(ROOT / "Makefile"), "demo", *variables]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_the_demo_takes_the_weights_that_come_with_the_package():
    assert "--preset pocket --bundle out/pocket\n" in demo()


def test_the_demo_draws_people_whose_faces_are_known_and_ends_with_a_sheet():
    lines = demo("SEED=11")
    assert "hp-trt sample --out out/sample --seed 11\n" in lines
    assert "--portrait 'out/sample/portrait.png' --portrait-landmarks out/sample/portrait.landmarks.json" in lines
    assert "--driving 'out/sample/driving.mp4' --driving-landmarks out/sample/driving.landmarks.json" in lines
    assert lines.endswith("--out out/demo.mp4 --crop-out out/demo-crop.mp4 --sheet out/demo.png\n")


def test_a_users_portrait_is_looked_at_and_the_drawn_driver_is_known():
    lines = demo("PORTRAIT=my own.png")
    assert "--portrait 'my own.png'" in lines and "--portrait-landmarks" not in lines
    assert "hp-trt sample" in lines and "--driving-landmarks out/sample/driving.landmarks.json" in lines


def test_with_both_files_of_the_users_nothing_is_drawn():
    lines = demo("PORTRAIT=me.png", "DRIVING=talk.mp4")
    assert "hp-trt sample" not in lines and "landmarks" not in lines
