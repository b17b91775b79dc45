"""How often a loop calls its graphs: what `hp-trt plan` gives times to, and the bench multiplies by FLOPs.

No device, no time, no model: the numbers are made beside each model's loops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Call:
    """A graph called `times` times with the same sizes."""

    graph: str
    units: int  # of one call, by what its graph promises to be counted by: rows, steps; of a stitch velocities a frame
    times: int
    frames: int = 0  # of a window, where windows go in
    total: int = 0  # of a stitch, a weighted sum and no network: velocities that it is given


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that is done for `frames` driving frames, in the order in which a clip goes through its stages."""

    mode: Literal["clip", "live"]
    frames: int  # N
    steps: int
    rows: int  # of all steps of one window together
    windows: int  # clip: of a step, at most; live: of all frames
    window: int  # F
    new_frames: int  # that leave with a window; clip: all of them at once
    padded: int  # frames whose tokens are held at one time; live: their latents too
    held: int = 0  # of a clip: frames whose latents are held at one time
    first: float = 1.0  # of a clip: the share of its windows, all steps together, that the first frames need
    graphs: Mapping[str, tuple[Call, ...]]  # by stage
    host: Mapping[str, int] = field(default_factory=dict)  # pieces by stage
    kept: str = ""  # the graph that some steps leave out: what it gave, of every frame and row, is kept for them

    @property
    def row_forwards(self) -> int:
        """Denoiser rows, all steps and windows together."""
        calls = [call for call in self.graphs["denoise"] if call.frames and call.graph != self.kept]
        return sum(call.units * call.times for call in calls)
