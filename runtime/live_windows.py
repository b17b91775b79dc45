"""How a stream of frames is cut into causal windows. Numbers only: no device."""

from __future__ import annotations

from dataclasses import dataclass

from engines.errors import InputError


@dataclass(frozen=True, kw_only=True)
class LiveWindows:
    """How a stream is cut: checked when made, raises InputError."""

    size: int = 8  # F, frames denoised together
    overlap: int = 1  # O, of them the last ones of the window before
    lead_in: int = 2  # made-up frames before the first one; they fade in, and are thrown away

    def __post_init__(self) -> None:
        for name, least in (("size", 1), ("overlap", 0), ("lead_in", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"the live {name} needs a whole number of at least {least}, got {value!r}")
        for name in ("overlap", "lead_in"):
            value = getattr(self, name)
            if value >= self.size:
                raise InputError(
                    f"the live {name} must be shorter than the window, got {value} of {self.size}; lower the {name}"
                )

    def new_frames(self, window: int) -> int:
        """How many frames window number `window`, from 0, brings: those that leave when it is done."""
        return self.size - (self.overlap if window else self.lead_in)

    def joints(self, frames: int) -> list[int]:
        """Frames k in 1 .. `frames` - 1 that begin a window: where a seam could be seen between k - 1 and k."""
        return list(range(self.new_frames(0), frames, self.new_frames(1)))
