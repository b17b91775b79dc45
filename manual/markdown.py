"""Pieces of Markdown that the reference is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

KEPT = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def cell(text: str) -> str:
    """Text that keeps its row of a table: one line, and no bar."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table, and an empty one after it; nothing where there are no rows."""
    lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines, ""] if lines else []


def plain(text: str) -> str:
    """Text of a program: what Markdown or HTML would take for their own signs is kept as it is."""
    return "".join(f"\\{sign}" if sign in "\\*_[]`" else KEPT.get(sign, sign) for sign in text)
