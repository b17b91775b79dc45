"""What came of a pair, and how it crosses from one process to another: as JSON."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from engines.errors import HpTrtError, bounded
from engines.safe_output import BROKEN, FULL
from hp_trt.interface.missing import missing_library

State = Literal["made", "there", "failed", "waiting"]
_OURS = 1  # an exit code: a failure of ours


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one clip, and of the larger one where that is asked for."""

    out: str
    state: State  # of the clip; "there": it was done before; "waiting": the batch ended before its turn
    frames: int | None = None
    frames_per_s: float | None = None
    seconds: float | None = None
    error: str | None = None
    code: int = 0  # an exit code: whose turn it is where it failed
    why: str | None = None  # it was made though there was one
    notes: tuple[str, ...] = ()
    enhanced: str | None = None  # the larger clip's name; None: it is not asked for
    enhanced_state: State | None = None
    enhanced_why: str | None = None  # as `why`

    @property
    def over(self) -> bool:
        """Whether nothing is left to do: all is there, or something failed."""
        return self.has_failed or "waiting" not in (self.state, self.enhanced_state)

    @property
    def has_failed(self) -> bool:
        return "failed" in (self.state, self.enhanced_state)

    @property
    def has_clip(self) -> bool:
        """Whether the clip is there, larger or not."""
        return self.state in ("made", "there")

    def to_json(self) -> dict[str, Any]:
        """What is known, by name."""
        return {name: value for name, value in asdict(self).items() if value not in (None, (), 0)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Outcome:
        """As `to_json` of this version says it."""
        return cls(**{**said, "notes": tuple(said.get("notes", ()))})


def failed(out: str, error: BaseException) -> Outcome:
    """A clip that could not be made."""
    return Outcome(out=out, state="failed", error=described(error), code=getattr(error, "exit_code", _OURS))


def described(error: BaseException) -> str:
    """One line for people."""
    error = missing_library(error) or error
    if isinstance(error, HpTrtError):
        text = str(error)
    elif isinstance(error, MemoryError):
        text = "out of memory; close other programs, or use a smaller size or fewer frames"
    else:
        text = f"this is our mistake: {type(error).__name__}: {error or 'no message'}"
    return "; ".join(line.strip().rstrip(";") for line in bounded(text).splitlines())


def ends_all(error: BaseException) -> bool:
    """Whether every other clip would meet it too: a full disk, or one that fails."""
    found: BaseException | None = error
    for _ in range(10):  # causes of causes
        if found is None:
            return False
        if isinstance(found, OSError) and found.errno in (*FULL, *BROKEN, errno.EROFS):
            return True
        found = found.__cause__
    return False
