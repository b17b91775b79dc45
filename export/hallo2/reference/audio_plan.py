"""How a track becomes pieces, frames, clips and segments, as released: some ends are lost, some clips superfluous.

Source: SPEC 7, 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What the speech encoder sees at once."""

    start: int  # in the track's samples
    samples: int  # without padding
    frames: int  # without padding
    padding_frames: int
    padding_samples: int


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What is written at once."""

    start: int  # its first frame
    frames: int  # may be 0
    clip: int  # written after this many clips


@dataclass(frozen=True, kw_only=True)
class AudioPlan:
    """Of one track."""

    samples: int  # of the track in whole milliseconds
    pieces: tuple[Piece, ...]
    audio_frames: int  # the real length
    clips: int
    segments: tuple[Segment, ...]


def audio_plan(
    samples: int,
    *,
    frames_per_clip: int = 16,
    fps: int = 25,
    sample_rate: int = 16000,
    audio_piece_seconds: int = 60,
    clips_per_segment: int = 60,
) -> AudioPlan:
    """The plan for a track of `samples` at `sample_rate`."""
    whole = round(samples * 1000 / sample_rate) * sample_rate // 1000  # halves go to the even millisecond
    longest = audio_piece_seconds * sample_rate
    cut = [(start, min(longest, whole - start)) for start in range(0, whole, longest)]
    # In floating point, so some whole numbers of frames come out one too many.
    frames = [math.ceil(length / sample_rate * fps) for _, length in cut]
    total, pieces = sum(frames), []
    for number, ((start, length), count) in enumerate(zip(cut, frames, strict=True), 1):
        padding = 0
        if number == len(cut) and count % frames_per_clip != 0:  # of the last piece, where the total's was meant
            padding = frames_per_clip - total % frames_per_clip
        pieces.append(
            Piece(
                start=start,
                samples=length,
                frames=count,
                padding_frames=padding,
                padding_samples=padding * sample_rate // fps,
            )
        )
    clips = sum(piece.frames + piece.padding_frames for piece in pieces) // frames_per_clip
    segments, begun = [], 0
    for clip in range(1, clips + 1):
        if clip % clips_per_segment == 0 or clip == clips:
            end = min(clip * frames_per_clip, total)
            segments.append(Segment(start=begun, frames=end - begun, clip=clip))
            begun = clip * frames_per_clip
    return AudioPlan(samples=whole, pieces=tuple(pieces), audio_frames=total, clips=clips, segments=tuple(segments))


def audio_windows(features: torch.Tensor, radius: int = 2) -> torch.Tensor:
    """(T, ...) -> (T, 2 radius + 1, ...): each frame with those around it, indices clamped to the track."""
    last = features.shape[0] - 1
    return torch.stack(
        [
            torch.stack([features[min(max(frame + offset, 0), last)] for offset in range(-radius, radius + 1)])
            for frame in range(last + 1)
        ]
    )
