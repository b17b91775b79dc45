"""The reference of commands, from their own parsers: usage, what they do, options with their defaults and limits."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from typer.main import get_command

from manual.markdown import plain, table

# How a command begins -> the module of its parser. `hp-trt` has commands of its own.
DOORS = {
    "hp-trt": "hp_trt.__main__",
    "python -m export.build_engines": "export.build_engines",
    "python -m runtime.bench": "runtime.bench",
    "python -m export.train": "export.train",
    "python -m export.distill": "export.distill",
    "python -m export.shipping": "export.shipping.__main__",
    "python -m export.attention_maps": "export.attention_maps.__main__",
    "python -m integrations.triton.export": "integrations.triton.export",
}
ALSO = {"python -m export.build_engines": "hp-trt-build", "python -m runtime.bench": "hp-trt-bench"}
INTRODUCTION = """# Commands

Every command, as its `--help` says it; this page is made from the same parsers. What stands in square brackets is what
holds where the option is not given, and between which numbers it may lie. A command that is refused ends with status 2
and a message that says what to do; 1 says that something failed on the way, 130 that Ctrl-C ended it.
"""


def page() -> str:
    """The page, as Markdown."""
    lines = [INTRODUCTION]
    for door, module in DOORS.items():
        lines += section(door, get_command(import_module(module).app), level=2)
    return "\n".join(lines) + "\n"


def section(name: str, command: Any, *, level: int) -> Iterator[str]:
    """Of one command and all that it holds, as lines."""
    context = command.make_context(name, [], resilient_parsing=True)
    yield from (f"{'#' * level} `{name}`", "")
    if name in ALSO:
        yield from (f"Where it is installed, also `{ALSO[name]}`.", "")
    yield from (plain(" ".join((command.help or "").split())), "")
    inner = getattr(command, "commands", {})
    own = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    if not (inner and all(parameter.name in ("help", "version") for parameter in own)):
        yield from ("```text", usage(command, context), "```", "")
        panels = dict.fromkeys(getattr(parameter, "rich_help_panel", None) for parameter in own)
        for panel in panels:
            if panel:
                yield from (f"{plain(panel)}:", "")
            of_panel = [p for p in own if getattr(p, "rich_help_panel", None) == panel]
            records = [record for p in of_panel if (record := p.get_help_record(context))]
            yield from table(("option", ""), [(f"`{words}`", plain(said)) for words, said in records])
    for word, held in inner.items():
        yield from section(f"{name} {word}", held, level=level + 1)


def usage(command: Any, context: Any) -> str:
    return " ".join(command.get_usage(context).removeprefix("Usage: ").split())
