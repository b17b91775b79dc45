"""A folder for what a run needs for a while, among the system's temporary files."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engines.held import TOKEN, let_go, make_held, new_folder, remove, remove_left
from engines.safe_output import refusing


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """An empty folder, our own alone, as long as the block lasts. Raises OutputError where none can be made.

    What runs with the same `purpose` left that were killed goes first.
    """
    with refusing("a temporary folder", left="The variable TMPDIR names where"):
        above = Path(tempfile.gettempdir())
        _sweep(above, purpose)
        path, handle = make_held(lambda token: above / f"hp-trt-{purpose}-{token}", lambda new: new_folder(new, 0o700))
    try:
        yield path
    finally:
        with suppress(OSError):
            remove(path)
        let_go(path)
        os.close(handle)


def _sweep(above: Path, purpose: str) -> None:
    pattern = re.compile(rf"hp-trt-{re.escape(purpose)}-{TOKEN}")
    for entry in os.scandir(above):
        with suppress(OSError):  # anybody's folders: they come and go
            if pattern.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                remove_left(Path(entry))
