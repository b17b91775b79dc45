"""What grows with a clip's length, and what does not: the wait for the first frame, time a frame, memory.

Driving frames are a drawn clip forwards and backwards, as long as asked for, one held at a time. The first frame is
counted from the moment when the motion tokens stand: reading takes as long as the clip is, and is said apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from engines.errors import InputError
from hp_trt.measure.bench import machine
from hp_trt.measure.bench.drawn import DrawnConfig, there_and_back

FORMAT, SCHEMA = "hp-trt growth", 1
_CLIP_FRAMES = 50  # drawn once
_MOST_FRAMES = 10_000
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class GrowthConfig(DrawnConfig):
    """Checked when made; raises InputError."""

    lengths: tuple[int, ...]  # frames, each a clip of its own, in this order
    profile: str = "exact"
    steps: int | None = None
    seed: int = 0  # who is drawn

    def __post_init__(self) -> None:
        if not self.lengths or not all(0 < length <= _MOST_FRAMES for length in self.lengths):
            raise InputError(
                f"--growth takes numbers of frames of 1 to {_MOST_FRAMES}, with commas between, got {self.lengths}"
            )


def growth(config: GrowthConfig, tell: Tell = lambda what, done, total: None) -> dict[str, Any]:
    """The report as JSON data. Raises what `hp_trt.Runtime` raises.

    format, schema    "hp-trt growth", 1
    machine, profile, steps
    clips             [frames, read_s (from the call to the motion tokens), first_frame_s (from there), frame_s (the
                      rest over the other frames), peak_bytes, tokens_bytes]
    """
    from hp_trt.api import Runtime
    from procedural.clip import clip

    config = config.settled("--growth")
    images = clip(config.seed, frames=_CLIP_FRAMES, px=256).frames()
    stood: list[float] = []

    def hear(event: Any) -> None:
        if (event.stage, event.kind) == ("motion", "end"):
            stood.append(time.perf_counter())

    clips = []
    with Runtime(config.bundle, config.runtime(config.profile), on_event=hear) as runtime:
        portrait = runtime.portrait(images[0])
        shape = runtime.bundle.spec("motion").output("motion_tokens")
        frame_bytes = math.prod(int(dim) for dim in shape.dims[1:]) * np.dtype(shape.dtype).itemsize
        # The first clip once before: what every clip takes is there then.
        for number, frames in enumerate((config.lengths[0], *config.lengths)):
            machine.restart_peak()
            begin_s, at_s = time.perf_counter(), []
            for _ in runtime.frames(portrait, Again(images, frames), steps=config.steps):
                at_s.append(time.perf_counter())
                tell(f"{frames} frames", len(at_s), frames)
            found = {
                "frames": frames,
                "read_s": stood[-1] - begin_s,
                "first_frame_s": at_s[0] - stood[-1],
                "frame_s": (at_s[-1] - at_s[0]) / max(frames - 1, 1),
                "peak_bytes": machine.peak_bytes(),
                "tokens_bytes": frames * frame_bytes,
            }
            clips += [found] if number else []
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "machine": config.machine(),
        "profile": config.profile,
        "steps": config.steps,
        "clips": clips,
    }


def lines(report: dict[str, Any]) -> Iterator[str]:
    """For people."""
    for clip in report["clips"]:
        yield (
            f"{clip['frames']:6} frames: read in {clip['read_s']:.2f} s, first frame {clip['first_frame_s']:.2f} s "
            f"after that, then {1000 * clip['frame_s']:.1f} ms a frame; peak {clip['peak_bytes'] / 2**20:.0f} MiB, "
            f"{clip['tokens_bytes'] / 2**20:.1f} MiB of it tokens"
        )


class Again(Sequence[np.ndarray]):
    """`images` forwards and backwards until there are `frames`."""

    def __init__(self, images: Sequence[np.ndarray], frames: int) -> None:
        self._there_and_back = there_and_back(images)
        self._frames = frames

    def __len__(self) -> int:
        return self._frames

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(self._frames)[index]]
        return self._there_and_back[range(self._frames)[index] % len(self._there_and_back)]
