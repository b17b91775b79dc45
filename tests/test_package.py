"""The wheel and the sdist hold the five packages and nothing else; what is installed from them works without PyTorch.

The clean environment has the wheel and, as links into this one, what the wheel says that it requires. Neither this
checkout nor anything else of this environment can be imported there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import hp_trt
from tests.release import build

ROOT = Path(__file__).parents[1]
PACKAGES = ("engines", "export", "hp_trt", "procedural", "runtime")
BESIDE = {"LICENSE", "MANIFEST.in", "NOTICE", "README.md", "pyproject.toml"}
MADE = {"PKG-INFO", "setup.cfg"}
pytestmark = pytest.mark.xdist_group("package")  # one wheel, one clean environment

LIVE = """
import importlib.util, sys
import numpy as np
import hp_trt
from PIL import Image

for missing in ("torch", "onnx", "tests", "pytest"):
    assert importlib.util.find_spec(missing) is None, missing
(portrait,) = sys.argv[1:]
face = np.asarray(Image.open(portrait).convert("RGB"))
with hp_trt.Runtime("shipped:pocket", hp_trt.RuntimeConfig(profile="live")) as runtime:
    with runtime.live(portrait) as session:
        for number in range(8):
            session.push(face, number / 25)
        session.close()
        frames = list(session)
assert all(isinstance(frame, hp_trt.LiveFrame) and frame.full().shape == face.shape for frame in frames)
print(hp_trt.__version__, hp_trt.__file__, len(frames))
"""
# What README's code has around it.
PROGRAM = """
from fractions import Fraction

import numpy as np

import hp_trt
from hp_trt import Portrait, Runtime, RuntimeConfig


def show(picture: np.ndarray) -> None: ...


def feed(session: hp_trt.LiveSession) -> None: ...


def on_event(event: hp_trt.Event) -> None:
    print(event.stage, event.done, event.total)


def catch() -> hp_trt.Profile | int:
    try:
        return Runtime("hp", on_event=on_event).profile
    except hp_trt.FaceNotFound as error:
        return error.exit_code


def rate(session: hp_trt.LiveSession) -> float:
    stats: hp_trt.LiveStats = session.stats
    return stats.frames_per_s

"""
MISTAKES = """
from hp_trt import Runtime, Runtme

Runtime("hp", profile="live")
"""


@dataclass(frozen=True, kw_only=True)
class Built:
    wheel: Path
    sdist: Path

    @property
    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as wheel:
            (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            return HeaderParser().parsestr(wheel.read(name).decode())


def tracked(*under: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *under], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    """An sdist of the tracked files, and a wheel of that sdist, so that the one holds all that the other needs."""
    folder = tmp_path_factory.mktemp("dist")
    names = [name for name in tracked() if not name.startswith("tests/golden/")]  # large, and no part of it
    sdist, wheel = build(ROOT, names, folder)
    return Built(wheel=wheel, sdist=sdist)


def run(*words: str | Path, folder: Path, **env: str) -> str:
    """What a process prints that has nothing of this one's Python set up."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ran = subprocess.run([str(word) for word in words], cwd=folder, env={**own, **env}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@dataclass(frozen=True, kw_only=True)
class Clean:
    """An environment with the wheel and its requirements, and a folder to be in."""

    bin: Path
    folder: Path

    def run(self, command: str, *words: str | Path) -> str:
        return run(self.bin / command, *words, folder=self.folder)


@pytest.fixture(scope="module")
def clean(built, tmp_path_factory) -> Clean:
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "env", folder=folder)
    python = folder / "env/bin/python"
    offline = ("--no-deps", "--no-index", "--no-compile", "--quiet", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", python, "install", *offline, built.wheel, folder=folder)
    (packages,) = (folder / "env/lib").glob("python*/site-packages")
    link(requirements(built.metadata.get_all("Requires-Dist"), {"cpu"}), folder / "required")
    (packages / "required.pth").write_text(f"{folder / 'required'}\n")
    (folder / "elsewhere").mkdir()
    return Clean(bin=folder / "env/bin", folder=folder / "elsewhere")


def requirements(lines: Iterable[str] | None, extras: set[str]) -> set[str]:
    """The distributions that these need, and those that they need."""
    found: set[str] = set()
    for requirement in map(Requirement, lines or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
            wanted = metadata.distribution(requirement.name)
            assert requirement.specifier.contains(wanted.version, prereleases=True), f"{requirement}, {wanted.version}"
            found |= {requirement.name} | requirements(wanted.requires, requirement.extras)
    return found


def link(distributions: Iterable[str], folder: Path) -> None:
    folder.mkdir()
    for name in distributions:
        found = metadata.distribution(name)
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            (folder / top).symlink_to(found.locate_file(top))


@pytest.fixture(scope="module")
def sample(clean) -> tuple[Path, Path]:
    """Drawn by the installed command: it needs `procedural`."""
    out = clean.folder / "sample"
    clean.run("hp-trt", "sample", "--out", out, "--frames", "6")
    return out / "portrait.png", out / "driving.mp4"


def test_the_wheel_holds_every_tracked_file_of_the_packages_and_nothing_else(built):
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    about = {name for name in names if name.startswith("hp_trt-")}
    assert names - about == tracked(*PACKAGES)
    assert {name.partition("/")[2] for name in about} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE", "licenses/NOTICE",
    }  # fmt: skip


def test_the_sdist_holds_what_the_wheel_is_made_of_and_nothing_else(built):
    with tarfile.open(built.sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    about = {name for name in names if name.startswith("hp_trt.egg-info/")}
    assert names - about == tracked(*PACKAGES) | BESIDE | MADE


def test_every_folder_with_code_is_a_package_and_every_package_is_typed():
    files = tracked(*PACKAGES)
    folders = {str(Path(name).parent) for name in files if name.endswith(".py")}
    assert folders == {str(Path(name).parent) for name in files if name.endswith("/__init__.py")}
    assert {f"{name}/py.typed" for name in PACKAGES} <= files


def test_what_the_package_says_of_itself_is_complete(built):
    said = built.metadata
    assert (said["Name"], said["Version"]) == ("hp-trt", hp_trt.__version__)
    assert said["License-Expression"] == "Apache-2.0" and said["Author"] == "the hp-trt authors"
    assert said["Summary"] and said["Keywords"] and "Typing :: Typed" in said.get_all("Classifier")
    assert said["Description-Content-Type"] == "text/markdown"
    assert f"\nversion: {hp_trt.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert said.get_payload().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()


def test_onnx_runtime_comes_once_and_only_when_it_is_asked_for(built):
    """Both distributions install the module `onnxruntime`: whoever wants CUDA must be able to do without the other."""
    asked = {extra: set() for extra in ("", *built.metadata.get_all("Provides-Extra"))}
    for line in map(Requirement, built.metadata.get_all("Requires-Dist")):
        for extra, names in asked.items():
            if line.marker is None or line.marker.evaluate({"extra": extra}):
                names |= {line.name} if line.name.startswith("onnxruntime") else set()
                names |= {name for inner in line.extras for name in asked[inner]} if line.name == "hp-trt" else set()
    assert {extra: names for extra, names in asked.items() if names} == {
        "cpu": {"onnxruntime"},
        "cuda": {"onnxruntime-gpu"},
        "test": {"onnxruntime"},
    }


def test_installed_without_pytorch_it_animates_a_clip_from_another_folder(clean, sample):
    portrait, driving = sample
    words = ("--bundle", "shipped:pocket", "--portrait", portrait, "--driving", driving, "--out", "out.mp4", "--json")
    lines = clean.run("hp-trt", "animate", *words, "--steps", "1").splitlines()
    assert json.loads(lines[-1])["frames"] == 6 and (clean.folder / "out.mp4").stat().st_size > 0


def test_installed_without_pytorch_it_opens_a_live_session(clean, sample):
    version, file, frames = clean.run("python", "-c", LIVE, sample[0]).split()
    assert (version, frames) == (hp_trt.__version__, "8")
    assert Path(file).is_relative_to(clean.bin.parent)


@pytest.mark.slow  # it animates twice 50 frames
def test_installed_its_first_command_shows_something(clean):
    following, speaking = clean.run("hp-trt", "demo").splitlines()
    assert following.startswith("out/demo.mp4: 50 frames at 25 fps")
    assert speaking.startswith("out/demo-talk.mp4: 50 frames at 25 fps")
    made = {path.name for path in (clean.folder / "out").iterdir()}
    files = {"demo.mp4", "demo-crop.mp4", "demo.png", "demo-talk.mp4", "demo-talk.png"}
    assert made == files | {f"{name}.json" for name in files} | {"sample", "sample-speech"}


def test_installed_it_predicts_and_finds_the_commands_of_other_storeys(clean, tmp_path):
    assert json.loads(clean.run("hp-trt", "plan", "--gpu", "H200", "--profile", "live", "--json").splitlines()[-1])
    assert "--soak" in clean.run("hp-trt-bench", "--help")
    # The files that profiles and shortcuts are read from.
    shortcuts = (
        "from hp_trt.measure.bench.prices import ROOMS, chosen, find_room\n"
        "print(*(profile.name for model in ROOMS for profile in chosen(find_room(model), ['all'])))"
    )
    named = clean.run("python", "-c", shortcuts)
    assert all(name in named for name in ("aligned-2-steps", "one-half", "scale-8-repeat"))
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    (tmp_path / "export.py").touch()
    env = {**own, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([clean.bin / "hp-trt-build", "--help"], env=env, capture_output=True, text=True)
    assert ran.returncode == 2 and f"Python finds {tmp_path / 'export.py'} under that name" in ran.stderr


def readme_code() -> str:
    """README's Python, each block in a function of its own."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    given = "portrait: Portrait, other: Portrait, image: np.ndarray, pts_s: Fraction"
    return "".join(
        f"\ndef block_{number}({given}) -> None:\n" + re.sub(r"^(?=.)", "    ", block, flags=re.MULTILINE)
        for number, block in enumerate(blocks)
    )


def test_a_users_program_is_clean_for_the_strictest_type_checker(clean, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + readme_code(), encoding="utf-8")
    mistakes = tmp_path / "mistakes.py"
    mistakes.write_text(MISTAKES, encoding="utf-8")
    words = [sys.executable, "-m", "mypy", "--strict", "--python-executable", clean.bin / "python"]
    words += ["--cache-dir", tmp_path / "cache", "--config-file", os.devnull]
    words += ["--disable-error-code", "import-not-found"]  # an example's own library; of ours, mistakes would be missed
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MYPY"))}
    examples = sorted((ROOT / "examples").glob("*.py"))
    ran = subprocess.run([*words, program, *examples, mistakes], env=own, cwd=tmp_path, capture_output=True, text=True)
    found = [line for line in ran.stdout.splitlines() if ": error: " in line]
    assert [line.partition(":")[0] for line in found] == ["mistakes.py"] * 2, ran.stdout
    assert 'no attribute "Runtme"' in found[0] and 'Unexpected keyword argument "profile"' in found[1], ran.stdout
