"""A command as it is typed: how it ended, and what a refusal looks like."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Ended:
    """How a command ended: `code`, `out`, `err`, and the one line of its error."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.error = next((line for line in err.splitlines() if line.startswith("error: ")), "")


def as_typed(main: Callable[[], None], *words: object, patch: pytest.MonkeyPatch, capture) -> Ended:
    """Runs a command's `main` in this process, as its console script does; `capture` is pytest's capfd."""
    patch.setattr(sys, "argv", [*map(str, words)])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main()
    signal.signal(signal.SIGTERM, before)
    return Ended(ended.value.code, *capture.readouterr())


def refused(ended: Ended, *says: str, code: int = 2) -> None:
    """One line on standard error but for notes, which says all of `says`."""
    assert ended.code == code, ended.err
    assert ended.err.count("error: ") == 1
    others = [line for line in ended.err.splitlines() if not line.startswith("note: ")]
    assert others == [ended.error], "more than one line"
    for text in says:
        assert text in ended.error


def empty(folder: Path) -> bool:
    return not list(folder.iterdir())


def at_every_frame(patch: pytest.MonkeyPatch, clip: Any, call: Callable[[], object]) -> None:
    """Every frame of the class `clip` calls `call` when it is made, before it is given."""

    def frames(self, plain=clip.frames):
        for made in plain(self):
            call()
            yield made

    patch.setattr(clip, "frames", frames)
