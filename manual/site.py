"""The site: pages staged in a temporary folder, and what zensical makes of them.

Staged are README.md, `docs/`, what they link to, and the reference. Nothing is written beside the sources.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engines.errors import InputError, OutputError
from manual import commands, http, links, python

ROOT = Path(__file__).parents[1]
CONFIG = Path(__file__).with_name("zensical.toml")
STYLE = Path(__file__).with_name("manual.css")
FIRST = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")
LANGUAGES = {".py": "python", ".js": "javascript", ".toml": "toml", ".yaml": "yaml"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def build_site(out: Path) -> int:
    """Build the manual into the folder `out`, and return its number of pages.

    What stood at `out` is replaced, if it was a site or empty. Raises InputError without zensical, or where `out` is
    anything else; OutputError where the pages do not make a site: a link that leads nowhere is said with its line.
    """
    if importlib.util.find_spec("zensical") is None:
        raise InputError("the manual needs zensical, which is not installed; install it: pip install '.[docs]'")
    if out.exists() and not (out / "search.json").is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} is not empty and is no site of ours; name another folder, or empty it")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        stage(work)
        # Its own process: zensical keeps one configuration a process.
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        ran = subprocess.run(command, cwd=work, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
        if ran.returncode:
            raise OutputError(f"zensical built no site: {COLOURS.sub('', ran.stderr + ran.stdout).strip()}")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(work / "site", out)
    return sum(1 for _ in out.rglob("*.html"))


def stage(work: Path) -> None:
    """Write the site's source into the folder `work`: pages, pictures, reference and configuration."""
    pages = work / "pages"
    for path, text in staged().items():
        (pages / path).parent.mkdir(parents=True, exist_ok=True)
        (pages / path).write_text(text, encoding="utf-8")
    for picture in sorted((ROOT / "docs").iterdir()):
        if picture.suffix in links.PICTURES:
            shutil.copy(picture, pages)
    shutil.copy(STYLE, pages)
    own = '[project]\ndocs_dir = "pages"\nsite_dir = "site"\n'
    (work / "zensical.toml").write_text(CONFIG.read_text(encoding="utf-8").replace("[project]\n", own, 1))


def staged() -> dict[str, str]:
    """Each page of the site's source: its path there, its Markdown."""
    found = {
        "reference/commands.md": commands.page(),
        "reference/http.md": http.page(ROOT / "docs"),
        "reference/python.md": python.page(),
    }
    waiting, seen = [*FIRST, *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))], set()
    while waiting:
        path = waiting.pop()
        if path in seen or links.place(path).endswith(links.PICTURES):
            continue
        seen.add(path)
        text = (ROOT / path).read_text(encoding="utf-8")
        if path.endswith(".md"):
            found[links.place(path)] = links.led(path, text)
            waiting += links.targets(path, text)
        else:
            found[links.place(path)] = f"# {path}\n\n~~~~{LANGUAGES.get(Path(path).suffix, 'text')}\n{text}~~~~\n"
    return found


def navigation() -> list[str]:
    """The pages that the navigation names, in its order."""
    return list(_leaves(tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"]))


def _leaves(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from _leaves(inner)
