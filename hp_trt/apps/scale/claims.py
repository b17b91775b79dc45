"""Who works on a job: one process at a time, whatever happens to any of them.

    JOB/claim.3    the name of the process whose turn the third is
    JOB/ended.3    that turn is over
    JOB/cancel     whoever works on it is asked to stop

A turn begins by making a file that is not there yet, which one process alone can. The turn of a process that died is
followed by another's; a process that was only taken for dead learns that it has lost its turn before it writes.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hp_trt.apps.scale.presence import Presence

_TURN = re.compile(r"(claim|ended)\.(\d{1,6})")
CANCEL = "cancel"


@dataclass(frozen=True)
class Claim:
    """One turn of this process."""

    folder: Path
    number: int

    def holds(self) -> bool:
        """Whether nobody else has had a turn since. Raises OSError where the job is gone."""
        return _last(self.folder)[0] == self.number

    def end(self) -> None:
        """The turn is over, and what asked it to stop is answered."""
        with suppress(FileNotFoundError):  # the job was forgotten meanwhile
            (self.folder / f"ended.{self.number}").touch()
            (self.folder / CANCEL).unlink(missing_ok=True)


def claim(folder: Path, presence: Presence) -> Claim | None:
    """The next turn; None while another process that lives has it. Raises OSError where the job is gone."""
    number, ended = _last(folder)
    if number and not ended and presence.lives(_holder(folder, number)):
        return None
    hidden = folder / f".claim.{presence.name}"
    hidden.write_text(presence.name)
    try:
        os.link(hidden, folder / f"claim.{number + 1}")
    except FileExistsError:  # somebody was quicker
        return None
    finally:
        hidden.unlink(missing_ok=True)
    return Claim(folder, number + 1)


def is_left(folder: Path, presence: Presence) -> bool:
    """Whether whoever had the last turn died in it, or nobody had one. Raises OSError where the job is gone."""
    number, ended = _last(folder)
    return not number or (not ended and not presence.lives(_holder(folder, number)))


def ask_to_stop(folder: Path) -> None:
    """Whoever works on the job stops before its next piece of work. Raises OSError."""
    (folder / CANCEL).touch()


def is_asked_to_stop(folder: Path) -> bool:
    return (folder / CANCEL).exists()


def _last(folder: Path) -> tuple[int, bool]:
    """The number of the last turn, 0 before the first, and whether it is over."""
    turns = [found for found in map(_TURN.fullmatch, os.listdir(folder)) if found]
    number = max((int(found[2]) for found in turns), default=0)
    return number, any(found[1] == "ended" and int(found[2]) == number for found in turns)


def _holder(folder: Path, number: int) -> str:
    """Whose turn it is; "" where that is not known, as of one whose machine broke down in between."""
    try:
        return (folder / f"claim.{number}").read_text()
    except FileNotFoundError:
        return ""
