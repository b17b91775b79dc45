"""How much arithmetic a clip is, and how much the released program would do for it.

Every graph's record in the bundle knows the FLOPs of one call with its run-time sizes at 1 (a row, a frame, a
step), one multiply-add as 2; here they are multiplied by how often that happens. The released program runs three
rows where the guidance plan may run two, decodes padding too, and projects the motion context at every pixel.
Its pose guider, which we fold into a constant, is not counted: well under 1 %.

Source: SPEC 8 for what the released program runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.decode import chunks
from runtime.hunyuanportrait.guidance import Row
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.windows import window_starts

Flops = Mapping[str, Mapping[str, Any]]  # graph -> its record's flops


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip as numbers of calls."""

    frames: int  # N, the driving video's
    padded: int  # T
    windows: int  # a step
    rows: tuple[int, ...]  # really run, step by step
    decoded: int  # frames of the chunks that hold any of the N

    @classmethod
    def of(cls, frames: int, sampling: Sampling) -> Clip:
        padded = frames + 2 * sampling.pad_frames
        steps = sampling.guidance()
        parts = chunks(padded, chunk=sampling.decode_chunk, pad_frames=sampling.pad_frames)
        return cls(
            frames=frames,
            padded=padded,
            windows=len(window_starts(padded, size=sampling.window, overlap=sampling.overlap)),
            rows=tuple(len(step.rows) for step in steps),
            decoded=sum(part.stop - part.start for part in parts),
        )


def done(clip: Clip, flops: Flops, *, augmented: bool = False) -> dict[str, int]:
    """FLOPs by stage. `augmented`: the portrait is encoded with noise on it as well."""
    steps = len(clip.rows)
    return {
        "portrait": flops["appearance"]["call"] + (1 + augmented) * flops["vae_encoder"]["call"],
        "motion": clip.frames * flops["motion"]["call"],
        "denoise": sum(clip.rows) * clip.windows * flops["denoiser"]["call"] + steps * flops["step_embedding"]["call"],
        "stitch": steps * clip.padded * clip.windows * flops["stitch"]["call"],
        "decode": clip.decoded * flops["vae_decoder"]["call"],
    }


def released(clip: Clip, flops: Flops) -> dict[str, int]:
    """FLOPs of the released program for the same clip, by the same stages. Its stitching is a running sum: none."""
    row = flops["denoiser"].get("released", flops["denoiser"]["call"])  # time embeddings included
    return {
        "portrait": flops["appearance"]["call"] + 2 * flops["vae_encoder"]["call"],
        "motion": clip.frames * flops["motion"]["call"],
        "denoise": len(Row) * clip.windows * len(clip.rows) * row,
        "stitch": 0,
        "decode": clip.padded * flops["vae_decoder"]["call"],
    }
