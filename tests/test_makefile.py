"""What `make` would run: the demo with the runtime alone, all else with PyTorch on top."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def make(tmp_path):
    """The commands that `make` would run in a checkout where nothing is installed yet."""
    (tmp_path / "pyproject.toml").touch()

    def run(*words: str) -> str:
        command = ["make", "--dry-run", "--no-print-directory", "--file", str(ROOT / "Makefile"), *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    run.folder = tmp_path
    return run


def mark(folder: Path, *names: str) -> None:
    """As an installation leaves it."""
    (folder / ".venv").mkdir(exist_ok=True)
    for name in names:
        (folder / ".venv" / name).touch()


def test_the_demo_installs_what_runs_a_bundle_and_no_pytorch(make):
    lines = make("demo")
    assert "--editable '.[cpu]'\n" in lines and "torch" not in lines and ".[test]" not in lines
    assert "export" not in lines


def test_the_demo_draws_people_of_the_seed(make):
    assert make("demo", "SEED=11").splitlines()[-2].startswith(".venv/bin/hp-trt demo --out out --seed 11 ")


def test_a_users_files_are_handed_on_as_they_are_called(make):
    assert "--portrait 'my own.png'" in make("demo", "PORTRAIT=my own.png")
    assert "--driving" not in make("demo", "PORTRAIT=my own.png")
    assert "--portrait 'me.png' --driving 'talk.mp4'" in make("demo", "PORTRAIT=me.png", "DRIVING=talk.mp4")


def test_tests_install_pytorch_on_top_and_torch_comes_before_what_asks_for_it(make):
    lines = make("test", "TORCH=torch==9 --index-url URL")
    runtime, torch, all_else = (
        lines.index(text) for text in ("--editable '.[cpu]'", " torch==9 --index-url URL\n", "--editable '.[test]'")
    )
    assert runtime < torch < all_else < lines.index("-m pytest")


def test_what_is_installed_is_not_installed_again(make):
    mark(make.folder, ".runs")
    assert "pip" not in make("demo") and ".[cpu]" not in make("test") and ".[test]" in make("test")
    mark(make.folder, ".ready")
    assert "pip" not in make("test")


def test_an_environment_with_everything_from_before_is_kept(make):
    mark(make.folder, ".ready")
    assert ".[cpu]" in make("test") and ".[test]" not in make("test")


def test_the_manual_is_made_with_everything_installed(make):
    assert make("manual").splitlines()[-1] == ".venv/bin/python -m manual --out out/manual"
    assert ".[test]" in make("manual")
