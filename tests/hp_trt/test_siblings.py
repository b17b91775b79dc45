"""An application's own module `engines`, `runtime` or `export` is named with its path, whatever was started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADVICE = "give yours another name, move it into a package of yours, or start the program from another folder"
HP_TRT = ["-c", "from hp_trt.__main__ import main; main()", "--help"]
HP_TRT_BUILD = ["-c", "from hp_trt.commands.scripts import build; build()", "--help"]
HP_TRT_BENCH = ["-c", "from hp_trt.commands.scripts import bench; bench()", "--help"]
# What setuptools' editable installation does: it looks when nobody else has found anything.
EDITABLE = """
import importlib.util, sys
class Editable:
    def find_spec(name, path=None, target=None):
        file = f"{sys.argv[1]}/{name}/__init__.py"
        if "." not in name and name in ("hp_trt", "engines", "runtime"):
            return importlib.util.spec_from_file_location(name, file)
sys.meta_path.append(Editable)
import hp_trt
"""


def python(*words: str, first: Path, then: Path | str = ROOT) -> subprocess.CompletedProcess[str]:
    """A process that finds modules in the folder `first` before all others."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(first), str(then)))}
    return subprocess.run([sys.executable, *words], env=env, cwd=first, capture_output=True, text=True)


@pytest.fixture
def foreign(tmp_path):
    """Makes a module of an application, which must not run."""

    def make(name: str, *, folder: bool = False) -> Path:
        path = tmp_path / name / "__init__.py" if folder else tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("print('foreign code ran')\n")
        return path

    return make


def check(ran: subprocess.CompletedProcess[str], name: str, path: Path) -> None:
    assert ran.returncode != 0 and "foreign code ran" not in ran.stdout
    last = ran.stderr.splitlines()[-1]
    assert f"needs its own package {name}, and Python finds {path} under that name, before {ROOT / name}" in last
    assert last.endswith(ADVICE)


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("name", ["engines", "runtime"])
def test_an_import_names_the_foreign_module(foreign, tmp_path, name, folder):
    path = foreign(name, folder=folder)
    check(python("-c", "import hp_trt", first=tmp_path), name, path)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (HP_TRT, "engines"),
        (HP_TRT, "runtime"),
        (HP_TRT, "procedural"),
        (["-m", "export.build_engines", "--help"], "engines"),
        (["-m", "export.build_engines", "--help"], "runtime"),
        (["-m", "export.build_engines", "--help"], "procedural"),
        (["-m", "runtime.bench", "--help"], "engines"),
        (["-m", "runtime.bench", "--help"], "procedural"),
        (HP_TRT_BUILD, "export"),
        (HP_TRT_BUILD, "procedural"),
        (HP_TRT_BENCH, "runtime"),
        (HP_TRT_BENCH, "procedural"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1].split(" import ")[-1],
)
def test_a_command_names_the_foreign_module(foreign, tmp_path, words, name):
    path = foreign(name)
    check(python(*words, first=tmp_path), name, path)


def test_python_itself_names_a_foreign_export_that_it_was_told_to_run(foreign, tmp_path):
    foreign("export")
    ran = python("-m", "export.build_engines", "--help", first=tmp_path)
    assert ran.returncode != 0 and "export" in ran.stderr  # our code is never reached: hp-trt-build says more


def test_an_application_that_builds_nothing_may_have_an_export_of_its_own(foreign, tmp_path):
    foreign("export")
    foreign("procedural")
    ran = python("-c", "import export, hp_trt; hp_trt.Runtime", first=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_folder_without_code_is_in_nobodys_way(tmp_path):
    (tmp_path / "engines").mkdir()
    ran = python("-c", "import hp_trt; hp_trt.HpTrtError", first=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_but_it_is_in_the_way_of_an_editable_installation_which_looks_last(tmp_path):
    (tmp_path / "engines").mkdir()
    check(python("-S", "-c", EDITABLE, str(ROOT), first=tmp_path, then=tmp_path), "engines", tmp_path / "engines")


def test_a_package_that_is_not_there_is_told(tmp_path):
    (tmp_path / "hp_trt").symlink_to(ROOT / "hp_trt")
    ran = python("-S", "-c", "import hp_trt", first=tmp_path, then=tmp_path)
    expected = f"needs its own package engines, and {tmp_path / 'engines'} does not exist; install hp-trt again"
    assert ran.stderr.splitlines()[-1].endswith(expected)
