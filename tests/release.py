"""A release: the version, its notes, and a wheel and an sdist that were tried in a clean environment.

    python -m tests.release [--out dist]

Of the commit that is checked out, and refused where anything differs from it. The version is `hp_trt.__version__`; its
section of CHANGELOG.md, with a date in its heading, becomes the notes. The sdist is made of the tracked files, the
wheel of the sdist; the wheel is installed as pip installs it, with `cpu` alone, and has to animate a drawn portrait.
Then `--out` has both, `notes.md` and `SHA256SUMS`; nothing is published. It needs the package registry.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from packaging.version import InvalidVersion, Version

from engines.errors import HpTrtError, InputError
from hp_trt import __version__
from tests.extras import ROOT, TRIES, Fresh

MOST_WHEEL_BYTES = 64 << 20
_HEADING = re.compile(r"^## (\S+) \(([^()]+)\)$", re.MULTILINE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def notes(changelog: str, version: str) -> str:
    """The section of a version. Raises InputError where there is none, or none with a date."""
    found = [(heading[1], heading[2], heading.end()) for heading in _HEADING.finditer(changelog)]
    for number, (name, date, start) in enumerate(found):
        if name == version:
            if not _DATE.fullmatch(date):
                raise InputError(f"CHANGELOG.md has {version} as {date}; write the day of the release there")
            after = _HEADING.search(changelog, start)
            text = changelog[start : after.start() if after else None].strip()
            if not text:
                raise InputError(f"CHANGELOG.md says nothing of {version}; say what changed for users")
            if number:
                raise InputError(f"{found[0][0]} stands before {version} in CHANGELOG.md; hp_trt.__version__ is behind")
            return text + "\n"
    names = ", ".join(name for name, *_ in found) or "none"
    raise InputError(f"CHANGELOG.md has no section of {version}, which hp_trt.__version__ is; there are {names}")


def check_version(version: str, citation: str) -> None:
    """Raises InputError for what is no version that can be published, or is another than CITATION.cff has."""
    try:
        parsed = Version(version)
    except InvalidVersion as error:
        raise InputError(f"hp_trt.__version__ is {version}, which is no version by PEP 440") from error
    if parsed.is_devrelease or parsed.local:
        raise InputError(f"hp_trt.__version__ is {version}; a release has no .dev and no + behind its number")
    cited = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    if cited is None or cited[1] != version:
        raise InputError(f"CITATION.cff has the version {cited and cited[1]}, hp_trt.__version__ is {version}")


def tracked(root: Path) -> list[str]:
    """The files of the commit. Raises InputError where the checkout differs from it."""
    changed = _git(root, "status", "--porcelain")
    if changed:
        raise InputError(f"{len(changed.splitlines())} files differ from the commit, {changed.split()[1]} first")
    return [name for name in _git(root, "ls-files", "-z").split("\0") if name]


def build(root: Path, names: list[str], folder: Path) -> tuple[Path, Path]:
    """An sdist of these files, and a wheel of the sdist, in `folder`."""
    source = folder / "source"
    for name in names:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target)
    _built(source, "sdist", folder)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    _built(unpacked, "wheel", folder)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def check_wheel(wheel: Path, folder: Path) -> None:
    """Install it and animate with it. Raises InputError with what went wrong."""
    if (size := wheel.stat().st_size) > MOST_WHEEL_BYTES:
        raise InputError(f"{wheel.name} has {size / 1e6:.0f} MB, at most {MOST_WHEEL_BYTES >> 20} MiB were wanted")
    fresh = Fresh(folder, wheel)
    fresh.install("cpu")
    for words in (
        ["hp-trt", "--version"],
        "hp-trt sample --out sample --frames 6 --seed 7".split(),
        [*TRIES["cpu"].words],
        ["hp-trt", "verify", "out.mp4"],
    ):
        ran = fresh.type(words)
        if ran.returncode:
            raise InputError(f"{' '.join(words)} ended by {ran.returncode}: {ran.stdout}{ran.stderr}")


def publishable(out: Path, files: list[Path], text: str) -> None:
    """Put the files, the notes and the sums into `out`, which is made and must be empty. Raises InputError."""
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; name another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, out / file.name)
    (out / "notes.md").write_text(text, encoding="utf-8")
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (out / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def _built(source: Path, kind: str, out: Path) -> None:
    """As pip and build do it, without their environment of its own: that needs the network."""
    code = f"from setuptools.build_meta import build_{kind}; build_{kind}({str(out)!r})"
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ran = subprocess.run([sys.executable, "-c", code], cwd=source, env=own, capture_output=True, text=True)
    if ran.returncode:
        raise InputError(f"setuptools could not make the {kind}: {ran.stderr[-2000:]}")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="a folder that is empty or not there")
    out = parser.parse_args().out
    try:
        check_version(__version__, (ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        text = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), __version__)
        names = tracked(ROOT)
        with tempfile.TemporaryDirectory(prefix="release-") as made:
            folder = Path(made)
            sdist, wheel = build(ROOT, names, folder)
            (folder / "clean").mkdir()
            check_wheel(wheel, folder / "clean")
            publishable(out, [sdist, wheel], text)
    except HpTrtError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{out}: {wheel.name} and {sdist.name} work; to publish: git tag v{__version__}, then upload both")


if __name__ == "__main__":
    main()
