"""Links of a page, led to where their files lie in the site.

In the repository a page links to other files by paths relative to itself. In the site `docs/` is the root, the README
is the first page, and every other file that is linked to lies in `from/`, by its path: Markdown as a page, anything
else as a page that shows its text.
"""

from __future__ import annotations

import posixpath
import re

LINK = re.compile(r"(\]\()([^()\s]+)(\))")
FENCE = re.compile(r"^(```.*?^```[^\S\n]*$)", re.MULTILINE | re.DOTALL)
PICTURES = (".webp", ".png", ".svg", ".json")


def place(path: str) -> str:
    """Where a file of the repository lies in the site's source."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/") if path.endswith((".md", *PICTURES)) else f"from/{path}.md"
    return f"from/{path}" if path.endswith((".md", *PICTURES)) else f"from/{path}.md"


def targets(page: str, text: str) -> set[str]:
    """The files of the repository that a page links to, by their paths."""
    words = "".join(FENCE.split(text)[::2])
    return {file for _, target, _ in LINK.findall(words) if (file := _file(page, target))}


def led(page: str, text: str) -> str:
    """A page of the repository with links that hold in the site."""
    here = posixpath.dirname(place(page))

    def lead(match: re.Match[str]) -> str:
        file = _file(page, match[2])
        if file is None:
            return match[0]
        _, hash_, anchor = match[2].partition("#")
        return f"{match[1]}{posixpath.relpath(place(file), here or '.')}{hash_}{anchor}{match[3]}"

    parts = FENCE.split(text)  # words, and every second part is a block of code, which stays
    return "".join(part if number % 2 else LINK.sub(lead, part) for number, part in enumerate(parts))


def _file(page: str, target: str) -> str | None:
    """The path of the file that a link leads to; None for another host, and for a place in the page itself."""
    path = target.partition("#")[0]
    if not path or re.match(r"[a-z]+:", target):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
