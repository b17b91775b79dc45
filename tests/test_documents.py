"""The pages: short lines, short front pages, and nothing named that is not there.

Held are all Markdown files that git tracks, but those of `tests/golden/`: that folder is data which came as a whole,
its README.md too, and `SHA256SUMS` there has the sum of it. Docstrings are held to paths and modules as pages are.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COLUMNS = 120
MOST_LINES = {"README.md": 130, "docs/architecture.md": 110}
STOREYS = ("engines", "runtime", "hp_trt", "export", "procedural", "integrations", "manual")
FOLDERS = (*STOREYS, "tests", "docs", "examples")
# They may name what is gone: it is their subject.
OF_THE_PAST = ("CHANGELOG.md", "tests/export/hunyuanportrait/training/test_earlier_runs.py")

LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
# Lower case alone: NAME and FAMILY stand for what a reader puts there. Not after a letter, dot or slash: `out/export/x`
# is no file of ours.
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[a-z0-9_./-]*[a-z0-9_/]")
FILE_ALONE = re.compile(r"`([a-z_0-9]+\.py)`")
DOTTED = re.compile(rf"`((?:{'|'.join(STOREYS)})(?:\.\w+)+)`")
RUN = re.compile(r"\bpython3? -m ([a-z_][\w.]*\w)")


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(name for name in listed.split("\0") if name)


@cache
def there() -> frozenset[str]:
    """Every tracked file and every folder that holds one."""
    return frozenset(tracked()) | {str(parent) for name in tracked() for parent in Path(name).parents}


def pages() -> list[str]:
    return [name for name in tracked() if name.endswith(".md") and not name.startswith("tests/golden/")]


def sources() -> list[str]:
    return [name for name in tracked() if name.endswith(".py") and name not in OF_THE_PAST]


def docstrings(source: str) -> str:
    """Every docstring of a file, one after the other."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = (ast.get_docstring(node) for node in ast.walk(ast.parse(source)) if isinstance(node, holders))
    return "\n".join(text for text in found if text)


def long_lines(text: str) -> Iterator[str]:
    """Lines over 120 columns. A row of a table may be longer: Markdown has no way to break one."""
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > COLUMNS and not line.startswith("|"):
            yield f"line {number} has {len(line)} columns, {COLUMNS} are allowed: {line[:40]}..."


def dead_links(page: str, text: str) -> Iterator[str]:
    """Relative links to files that are not tracked, or to headings that their page has not."""
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = str((ROOT / page).parent.joinpath(file).resolve().relative_to(ROOT)) if file else page
        if path not in there():
            yield f"the link to {target} leads to {path}, which is not tracked"
        elif anchor and anchor not in anchors(text if path == page else (ROOT / path).read_text()):
            yield f"the link to {target} leads to no heading of {path}"


def anchors(text: str) -> set[str]:
    """Of each heading, as hosts make them."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def missing_paths(text: str) -> Iterator[str]:
    """Files and folders of ours that are named and not tracked."""
    for path in PATH.findall(text):
        if path.rstrip("/") not in there():
            yield f"{path} is named and is not tracked"
    names = {Path(file).name for file in tracked()}
    for file in FILE_ALONE.findall(text):
        if file not in names:
            yield f"{file} is named and no tracked file is called so"


def missing_modules(text: str) -> Iterator[str]:
    """Names in our packages that lead nowhere: no module, or nothing of that name in it."""
    for dotted in DOTTED.findall(text):
        parts = dotted.split(".")
        modules = [n for n in range(len(parts), 0, -1) if module_file(".".join(parts[:n]))]
        inside = parts[modules[0] :]
        file = module_file(".".join(parts[: modules[0]]))
        if inside and not re.search(rf"\b{re.escape(inside[0])}\b", (ROOT / str(file)).read_text()):
            yield f"{dotted} is named and {file} has no {inside[0]}"


def module_file(name: str) -> str | None:
    path = name.replace(".", "/")
    return next((file for file in (f"{path}.py", f"{path}/__init__.py") if file in there()), None)


def missing_commands(text: str) -> Iterator[str]:
    """`python -m` of modules that there are not, or, of ours, that cannot be run."""
    for name in RUN.findall(text):
        if name.split(".")[0] not in FOLDERS:
            if importlib.util.find_spec(name.split(".")[0]) is None:
                yield f"python -m {name}: there is no such module here"
            continue
        path = name.replace(".", "/")
        file = next((file for file in (f"{path}.py", f"{path}/__main__.py") if file in there()), None)
        if file is None:
            yield f"python -m {name}: there is no such module"
        elif "__main__" not in (ROOT / file).read_text():
            yield f"python -m {name}: {file} cannot be run"


@pytest.mark.parametrize("page", pages())
def test_a_page_is_wrapped_and_names_only_what_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    wrong = [*long_lines(text), *dead_links(page, text)]
    if page not in OF_THE_PAST:
        wrong += [*missing_paths(text), *missing_modules(text), *missing_commands(text)]
    assert not wrong, f"{page}: " + "; ".join(wrong)


@pytest.mark.parametrize(("page", "most"), MOST_LINES.items())
def test_a_front_page_is_short(page, most):
    lines = (ROOT / page).read_text(encoding="utf-8").count("\n")
    assert lines <= most, f"{page} has {lines} lines, {most} are allowed; move what is a table or a reason to its page"


def test_docstrings_name_only_what_is_there():
    wrong = []
    for file in sources():
        text = docstrings((ROOT / file).read_text(encoding="utf-8"))
        found = [*missing_paths(text), *missing_modules(text), *missing_commands(text)]
        wrong += [f"{file}: {what}" for what in found]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("check", "text", "said"),
    [
        (long_lines, "a" * 121, "line 1 has 121 columns"),
        (missing_paths, "see hp_trt/nowhere.py for it", "hp_trt/nowhere.py is named"),
        (missing_paths, "the room `runtime/benchmark/`", "runtime/benchmark/ is named"),
        (missing_paths, "the formula stands in `nowhere.py`", "nowhere.py is named"),
        (missing_modules, "as `engines.spec.NoSuchThing`", "engines/spec.py has no NoSuchThing"),
        (missing_commands, "python -m export.pocket.train --run DIR", "there is no such module"),
        (missing_commands, "python -m engines.spec", "cannot be run"),
        (missing_commands, "python -m no_such_program", "there is no such module here"),
    ],
)
def test_what_is_wrong_with_a_page_is_found(check: Callable[[str], Iterator[str]], text, said):
    assert said in " ".join(check(text))


@pytest.mark.parametrize(("link", "said"), [("nowhere.md", "not tracked"), ("live.md#no-such-heading", "no heading")])
def test_a_dead_link_is_found(link, said):
    assert said in " ".join(dead_links("docs/architecture.md", f"[here]({link})"))


def test_what_is_right_with_a_page_is_let_be():
    text = (
        f"| {'a' * 130} |\n[live](live.md#live), https://example.org/docs/x.md, out/export/x.py, "
        "engines/FAMILY/NAME.plan, `engines.bundle.Bundle.open`, `presets.py`, `python -m runtime.bench`"
    )
    wrong = [*dead_links("docs/quality.md", text), *missing_paths(text), *missing_modules(text)]
    assert not [*wrong, *missing_commands(text), *long_lines(text.splitlines()[0])]
