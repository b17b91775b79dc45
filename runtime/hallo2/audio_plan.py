"""From a length of sound to frames and clips: what the speech encoder is given, and how many frames are saved.

Sound is encoded in pieces of 60 s, whose features are put one after another. Clips have F frames each, so silence is
appended to the last piece until the frames fill their clips. The default plan keeps every frame of the sound and saves
none that was appended. The released plan rounds the sound to whole milliseconds, counts frames in floating point, and
looks only at the last piece to see whether it must append, so that it may lose the end, or make a clip in vain.

A plan is a stream: pieces come one after another, and only the last one's padding needs to know that it is the last.
Index arithmetic only.

Source: SPEC 7 (Audio), SPEC 8 (Segments).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import TypeVar

from runtime.hallo2.presets import FPS, PIECE_S, SAMPLE_RATE

KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)  # the speech encoder's convolutions (SPEC 5)
SHORTEST = 400  # samples that those need for one output: `conv_outputs(400) == 1`
CLIPS_PER_SEGMENT = 60
Sound = TypeVar("Sound", bound=Sized)


def conv_outputs(samples: int) -> int:
    """How many positions the speech encoder's convolutions make of `samples`; 0 below SHORTEST."""
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
    return samples


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What the speech encoder is given of one piece of sound."""

    start_frame: int  # its first frame in the track
    samples: int  # of sound; the released plan may cut some off the last piece, or ask for zeros
    frames: int  # of sound
    padding: int = 0  # frames of silence that follow
    frame_samples: int = SAMPLE_RATE // FPS
    last: bool = False

    @property
    def encoded_frames(self) -> int:
        return self.frames + self.padding

    @property
    def encoded_samples(self) -> int:
        """With the silence. A piece that is too short for the encoder's convolutions gets more of it: SHORTEST."""
        return max(self.samples + self.padding * self.frame_samples, SHORTEST)

    @property
    def stop_frame(self) -> int:
        return self.start_frame + self.encoded_frames


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One file of the released program's, which a product writes as one."""

    start: int  # its first frame
    frames: int
    clip: int  # number of the clip after which it is written, from 1


class AudioPlan:
    """Pieces as they come: `piece` for each but the last, `last` for that one; `frames` and `clips` from then on.

    `clip`: F. `rate` in samples a second, a multiple of `fps`; `piece_s` seconds of a piece.
    """

    def __init__(
        self, *, clip: int, released: bool = False, rate: int = SAMPLE_RATE, fps: int = FPS, piece_s: int = PIECE_S
    ) -> None:
        if clip < 1 or rate % fps or (released and rate % 1000):
            raise ValueError(
                f"need at least one frame a clip and a whole number of samples a frame (and, as released, a "
                f"millisecond), got {clip=}, {rate=}, {fps=}"
            )
        self.piece_samples = rate * piece_s
        self.frames: int | None = None  # to be saved
        self.clips: int | None = None
        self._clip, self._released, self._rate, self._fps = clip, released, rate, fps
        self._total = 0  # frames of the pieces so far

    def heard(self, samples: int) -> int:
        """How much of a piece of `samples` counts: as released, whole milliseconds, half to even.

        All pieces but the last are whole milliseconds, and an even number of them, so that rounding the last one rounds
        the whole.
        """
        if not self._released:
            return samples
        millisecond = self._rate // 1000
        return round(samples / millisecond) * millisecond

    def piece(self, samples: int) -> Piece:
        """The next piece, which is not the last. Raises ValueError unless it is a whole one."""
        if samples != self.piece_samples:
            raise ValueError(
                f"a piece that others follow needs {self.piece_samples} samples, got {samples}; cut the sound into "
                "whole pieces, and let the last alone be shorter"
            )
        return self._planned(samples)

    def last(self, samples: int) -> Piece:
        """The last piece, of 1 to `piece_samples` samples (as released: after rounding)."""
        if not 0 < self.heard(samples) <= self.piece_samples:
            raise ValueError(f"the last piece needs 1 to {self.piece_samples} samples, got {samples}")
        whole = self._planned(self.heard(samples))
        over, real = self._total % self._clip, self._total
        if self._released:
            padding = self._clip - over if whole.frames % self._clip else 0
        else:
            padding = self._clip - over if over else 0
        self._total += padding
        self.clips = self._total // self._clip
        self.frames = min(self.clips * self._clip, real)
        return Piece(
            start_frame=whole.start_frame,
            samples=whole.samples,
            frames=whole.frames,
            padding=padding,
            frame_samples=whole.frame_samples,
            last=True,
        )

    def _planned(self, samples: int) -> Piece:
        frames = self._count(samples)
        planned = Piece(start_frame=self._total, samples=samples, frames=frames, frame_samples=self._rate // self._fps)
        self._total += frames
        return planned

    def _count(self, samples: int) -> int:
        if self._released:  # in double precision, in this order: 0.56 s x 25 is 14.000000000000002, and 15 frames
            return math.ceil(samples / self._rate * self._fps)
        return -(-samples * self._fps // self._rate)


def planned(plan: AudioPlan, pieces: Iterable[Sound]) -> Iterator[tuple[Sound, Piece]]:
    """Each of `pieces`, anything with a length in samples, with its plan; one piece behind. A sound without a sample
    has none, and `frames` is 0.

    As released, a last piece of less than half a millisecond is none, and the piece before it is the last.
    """
    held: Sound | None = None
    for sound in pieces:
        if not plan.heard(len(sound)):
            continue
        if held is not None:
            yield held, plan.piece(len(held))
        held = sound
    if held is not None:
        yield held, plan.last(len(held))
    else:
        plan.frames = plan.clips = 0


def segments(*, clips: int, frames: int, clip: int, every: int = CLIPS_PER_SEGMENT) -> Iterator[Segment]:
    """The files that the released program writes on its way: after every 60 clips, and after the last.

    The last one may have no frames: those of a clip that was made in vain.
    """
    start = 0
    for number in range(1, clips + 1):
        if number % every == 0 or number == clips:
            stop = min(number * clip, frames)
            yield Segment(start=start, frames=stop - start, clip=number)
            start = number * clip
