"""Every command that the pages show can be typed: its options exist, and none that it needs is left out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from manual import commands as commands_reference

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "examples/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)
DOORS = commands_reference.DOORS | {  # how a command begins -> its module; `hp-trt` has commands of its own
    "python -m hp_trt": "hp_trt.__main__",
    "hp-trt-build": "export.build_engines",
    "hp-trt-bench": "runtime.bench",
}
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ENDS = re.compile(r"\s(?:\||&&|;|>|2>|#|&)(?:\s|$)|\s#.*")  # of what the shell hands to the command
LEFT_OUT = re.compile(r"\.\.\.|\[|…")  # a form, not a command


def commands(text: str) -> Iterator[str]:
    """Whole commands of ours: lines of shell blocks, and what stands between backticks."""
    blocks = "\n".join(BLOCK.findall(text)).replace("\\\n", " ").splitlines()
    for line in (*blocks, *INLINE.findall(BLOCK.sub("", text).replace("\n", " "))):
        command = re.sub(r"^(?:\$ |(?:[A-Z_]+=\S* )+|\.venv/bin/)", "", line.strip())
        if any(command == door or command.startswith(f"{door} ") for door in DOORS):
            yield ENDS.split(command)[0].strip()


@cache
def parser(door: str) -> typer.main.TyperGroup:
    module = __import__(DOORS[door], fromlist=["app"])
    return get_command(module.app)


def refusal(command: str) -> str:
    """Why it cannot be typed so; empty where it can. A word in capitals stands for whatever a reader puts there."""
    door = max((door for door in DOORS if command == door or command.startswith(f"{door} ")), key=len)
    words = ["1" if word.isupper() and word.isalpha() else word for word in shlex.split(command[len(door) :])]
    found = parser(door)
    if hasattr(found, "commands") and words and words[0].startswith("--"):  # of all commands, as --version
        return ""
    while hasattr(found, "commands") and words and not words[0].startswith("--"):  # study has commands of its own
        if words[0] not in found.commands:
            return f"there is no command {words[0]}"
        found, words = found.commands[words[0]], words[1:]
    if not words:  # the command's name alone
        return ""
    options = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    strange = [word for word in words if word.startswith("--") and word.partition("=")[0] not in {*options, "--help"}]
    if strange:
        return f"there is no option {', '.join(strange)}"
    if LEFT_OUT.search(command):
        return ""
    try:
        found.make_context(door, words, resilient_parsing=False)
    except Exception as error:  # the argument parser's own, which typer does not export
        return str(error.format_message()) if hasattr(error, "format_message") else repr(error)
    return ""


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_commands_can_be_typed(page):
    wrong = {command: said for command in commands((ROOT / page).read_text()) if (said := refusal(command))}
    assert not wrong


def test_the_pages_show_commands_of_every_kind():
    shown = [command for page in PAGES for command in commands((ROOT / page).read_text())]
    assert len(shown) > 40
    for door in ("hp-trt animate", "hp-trt live", "python -m export.build_engines", "python -m runtime.bench"):
        assert any(command.startswith(door) for command in shown), door


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python -m runtime.bench --profile live --timeline live.png", "Missing option '--bundle'"),
        ("hp-trt live --bundel x", "there is no option --bundel"),
        ("hp-trt lives --bundle x", "there is no command lives"),
        ("hp-trt plan --gpu here --frames many", "Invalid value for '--frames'"),
    ],
)
def test_what_cannot_be_typed_is_found(command, said):
    assert said in refusal(command)
