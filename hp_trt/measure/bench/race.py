"""The bench's race: the exact path against the released algorithm in eager PyTorch, from file to file.

The two sides are callables (`hp_trt.hunyuanportrait.race_sides`) that do the same work outside of the networks. They
take turns, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from runtime.decode import to_uint8


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run of either side gave."""

    seconds: float
    shared_s: float  # of them, in code that both sides share
    latents: np.ndarray  # (T, 4, h, w) as the loop ends with them
    frames: np.ndarray  # (N, 3, S, S) raw decoder output


@dataclass(frozen=True, kw_only=True)
class Race:
    """Both sides' times, turn by turn, and how far their results are apart."""

    frames: int
    steps: int
    threads: int
    torch: str
    exact_s: tuple[float, ...]  # from the call to the finished file
    reference_s: tuple[float, ...]
    exact_network_s: tuple[float, ...]  # of them, from the crops to the raw frames
    reference_network_s: tuple[float, ...]
    latents_error: float  # the largest difference over the reference's rms
    frames_error: float  # the same for raw decoder output
    levels_error: int  # the largest difference of an 8-bit value

    def to_json(self) -> dict[str, Any]:
        """The report's `reference`; a ratio says how many times the reference's frames/s."""
        ratios = _ratios(self.reference_s, self.exact_s)
        return {
            **asdict(self),
            "ratios": ratios,
            "ratio": statistics.median(ratios),
            "network_ratio": statistics.median(_ratios(self.reference_network_s, self.exact_network_s)),
            "exact_frames_per_s": self.frames / statistics.median(self.exact_s),
            "reference_frames_per_s": self.frames / statistics.median(self.reference_s),
        }


Side = Callable[[], Outcome]  # one run from file to file


def race(
    exact: Side,
    reference: Side,
    *,
    turns: int,
    steps: int,
    threads: int,
    torch: str,
    tell: Callable[[str, int, int], None],
) -> Race:
    """One turn each that is not timed, for the comparison and to warm up; then `turns` more.

    `steps`, `threads` and the version `torch` are those that both sides were set up with.
    """
    tell("race, warm up", 0, 1 + turns)
    ours, released = exact(), reference()
    times: list[tuple[float, ...]] = []
    for turn in range(turns):
        tell("race", 1 + turn, 1 + turns)
        mine, other = exact(), reference()
        times.append((mine.seconds, other.seconds, mine.seconds - mine.shared_s, other.seconds - other.shared_s))
    exact_s, reference_s, exact_network_s, reference_network_s = zip(*times, strict=True)
    return Race(
        frames=len(released.frames),
        steps=steps,
        threads=threads,
        torch=torch,
        exact_s=exact_s,
        reference_s=reference_s,
        exact_network_s=exact_network_s,
        reference_network_s=reference_network_s,
        latents_error=_relative(ours.latents, released.latents),
        frames_error=_relative(ours.frames, released.frames),
        levels_error=max(_levels(*pair) for pair in zip(ours.frames, released.frames, strict=True)),
    )


def _ratios(reference_s: Sequence[float], exact_s: Sequence[float]) -> list[float]:
    return [reference / exact for reference, exact in zip(reference_s, exact_s, strict=True)]


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.sqrt(np.mean(np.square(expected, dtype=np.float64))))


def _levels(frame: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(to_uint8(frame).astype(int) - to_uint8(other)).max())
