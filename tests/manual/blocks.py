"""The blocks of code that the pages show, and what becomes of each.

A block of shell or Python is run as printed, in order, in one folder a page, unless a comment on the line before it
says otherwise. Neither GitHub nor the site shows the comment. Its forms:

    <!-- not run: REASON -->         nobody runs it, and this is why
    <!-- run by PATH -->             this test runs it, or the same
    <!-- heavy: REASON -->           run by `make test-heavy` alone
    <!-- serves ADDRESS -->          it runs until it is stopped: the address answers, the blocks after it are run
                                     beside it, and after the last it is sent SIGTERM and ends with status 0
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "examples/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)
RUN = ("sh", "python")
SHOWN = ("", "text", "toml", "json", "csv")
FENCE = re.compile(
    r"^(?P<marker><!--[^\n]*-->\n)?```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
MARKER = re.compile(r"<!-- (?P<kind>not run:|run by|heavy:|serves) (?P<words>\S.*?) -->")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block. `kind`: of its comment, without the colon; "" for one that is run with every `make check`."""

    page: str
    line: int
    language: str
    text: str
    kind: str
    words: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def blocks(page: str) -> tuple[Block, ...]:
    """A page's blocks, in order. Raises ValueError for a comment before a block that is none of the forms."""
    return tuple(found(page, (ROOT / page).read_text(encoding="utf-8")))


def found(page: str, text: str) -> list[Block]:
    made = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        marker = MARKER.fullmatch((match["marker"] or "").strip())
        if match["marker"] and marker is None:
            raise ValueError(
                f"{page}:{line - 1}: {match['marker'].strip()} is none of the forms; see tests/manual/blocks.py"
            )
        kind, words = (marker["kind"].rstrip(":"), marker["words"]) if marker else ("", "")
        made.append(Block(page=page, line=line, language=match["language"], text=match["text"], kind=kind, words=words))
    return made
