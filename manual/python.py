"""The reference of Python, from `hp_trt.__all__`: signatures and docstrings, read from the objects themselves."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import hp_trt
from manual.markdown import plain, table

COLUMNS = 88
GROUPS = {  # what is not named here is an error, or comes last
    "A bundle, open": ["Runtime", "RuntimeConfig", "Profile", "SamplingOptions", "Provenance"],
    "What comes back": ["Portrait", "Frame", "Animation", "Written"],
    "Live": ["LiveSession", "LiveFrame", "LiveStats"],
    "Progress and calling off": ["Stages", "Event"],
}
INTRODUCTION = """# Python

All that an application imports from `hp_trt`; this page is made from the docstrings. `hp_trt.__version__` is the
version. What is not listed here may change at any time. How it is used: [a clip](../clip.md#in-python),
[speech](../talk.md#in-an-application), and the [examples](../from/examples/README.md).
"""
FIELD = re.compile(r"^(\w+(?:, \w+)*)  +(\S.*)$")  # of a docstring's columns
WORD = re.compile(r"`((?:hp_trt\.)?(\w+)(?:\.(\w+))?)`|(?<![\w`./])([A-Z]\w*[a-z]\w*)(?![\w`])")


def page() -> str:
    """The page, as Markdown."""
    lines, classes = [INTRODUCTION], [name for name in hp_trt.__all__ if isinstance(getattr(hp_trt, name), type)]
    errors = [name for name in classes if issubclass(getattr(hp_trt, name), Exception)]
    placed = {name for names in GROUPS.values() for name in names}
    others = [name for name in classes if name not in placed and name not in errors]
    for title, names in (GROUPS | ({"Others": others} if others else {})).items():
        lines += [f"## {title}", "", *(line for name in names for line in of_class(name))]
    return "\n".join([*lines, *of_errors(errors)]) + "\n"


def of_class(name: str) -> Iterator[str]:
    found = getattr(hp_trt, name)
    yield from (f"### `{name}` {{: #{anchor(name)} }}", "")
    fields = field_lines(found)
    text = inspect.getdoc(found) or ""
    columns = any(FIELD.match(line) for line in text.splitlines())
    if fields and not columns:
        yield from ("```python", f"class {name}:", *(f"    {line}".rstrip() for line in fields), "```", "")
    elif not fields:
        yield from ("```python", signature(name, found), "```", "")
    yield from prose(text, name, default_of=found if columns else None)
    for word, member in vars(found).items():
        if word.startswith("_") or not (callable(member) or isinstance(member, property | functools.cached_property)):
            continue
        if member.__doc__ is None:
            continue
        yield from (f"#### `{name}.{word}` {{: #{anchor(name, word)} }}", "")
        if callable(member):
            yield from ("```python", signature(word, member), "```", "")
        yield from prose(inspect.getdoc(member) or "", name)


def of_errors(names: list[str]) -> Iterator[str]:
    """A table: which there are, from which they descend, what a command ends with."""
    yield from ("## Errors", "", "`exit_code` is what a command ends with.", "")
    rows = []
    for name in names:
        found = getattr(hp_trt, name)
        bases = ", ".join(f"`{base.__name__}`" for base in found.__bases__)
        title = f'<span id="{anchor(name)}">`{name}`</span>'
        rows.append((title, bases, f"`{found.exit_code}`", " ".join(prose(inspect.getdoc(found) or "", name))))
    yield from table(("error", "is a", "exit_code", ""), rows)


def anchor(name: str, member: str = "") -> str:
    return f"{name}.{member}" if member else name


def signature(name: str, found: Any) -> str:
    """As one would write it, over several lines where it is long."""
    try:
        said = inspect.signature(found)
    except ValueError:  # of a TypedDict
        return f"class {name}(TypedDict)"
    parameters = [p for p in said.parameters.values() if p.name not in ("self", "cls")]
    words: list[str] = []
    star = False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            words, star = [*words, "*"], True
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        words.append(_bare(str(parameter)))
    gives_nothing = isinstance(found, type) or said.return_annotation is said.empty
    end = "" if gives_nothing else f" -> {_bare(said.return_annotation)}"
    line = f"{name}({', '.join(words)}){end}"
    return line if len(line) <= COLUMNS else f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){end}"


def _bare(annotation: Any) -> str:
    """An annotation as it stands in the source: without the quotes of one that was never evaluated."""
    text = annotation if isinstance(annotation, str) else str(annotation)
    text = re.sub(r"<built-in function (\w+)>", r"\1", text)
    return re.sub(r": '((?:[^'\\]|\\.)*)'", r": \1", re.sub(r': "([^"]*)"(?= =|$)', r": \1", text))


def field_lines(found: type) -> list[str]:
    """The fields of a dataclass or TypedDict as its source writes them, with what is said beside them."""
    if not (dataclasses.is_dataclass(found) or hasattr(found, "__total__")):
        return []
    source = textwrap.dedent(inspect.getsource(found))
    (tree,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    named = [node for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
    fields = [node for node in named if not ast.unparse(node.target).startswith("_")]
    lines = source.splitlines()
    return [lines[at][4:] for node in fields for at in range(node.lineno - 1, (node.end_lineno or node.lineno))]


def prose(text: str, name: str, *, default_of: type | None = None) -> Iterator[str]:
    """A docstring as Markdown: paragraphs, columns of fields as a table, indented lines as code."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = paragraph.splitlines()
        if all(line.startswith("    ") for line in lines):
            yield from ("```python", *textwrap.dedent(paragraph).splitlines(), "```", "")
        elif FIELD.match(lines[0]):
            rows: list[list[str]] = []
            for line in lines:
                if match := FIELD.match(line):
                    rows.append([match[1], match[2]])
                else:
                    rows[-1][1] += f" {line.strip()}"
            yield from table(
                ("field", "default", ""), [(f"`{f}`", default(default_of, f), linked(said)) for f, said in rows]
            )
        else:
            yield from (linked(" ".join(line.strip() for line in lines), own=name), "")


def default(found: type | None, fields: str) -> str:
    known = {f.name: f for f in dataclasses.fields(found)} if found and dataclasses.is_dataclass(found) else {}
    values = [known[f].default for f in fields.split(", ") if f in known]
    return ", ".join("needed" if value is dataclasses.MISSING else f"`{value!r}`" for value in values)


def linked(text: str, own: str = "") -> str:
    """Text with links to what stands on this page; what Markdown would take for its own signs is kept."""

    def link(match: re.Match[str]) -> str:
        words, name, member, bare = match.groups()
        name = name or bare
        if name not in hp_trt.__all__ or name.startswith("__"):
            return match[0]
        known = member and member in vars(getattr(hp_trt, name))
        if name == own and not known:
            return match[0]
        return f"[`{words or bare}`](#{anchor(name, member if known else '')})"

    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(WORD.sub(link, part if number % 2 else plain(part)) for number, part in enumerate(parts))
