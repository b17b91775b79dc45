"""The clip's loop asked for all frames at once: then its windows run in the released order, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engines.backend import Backend, Buffer
from runtime.hunyuanportrait.denoise import ClipLoop


def denoise(
    backend: Backend,
    sessions: Any,
    *,
    motion_tokens: Buffer,
    noise: np.ndarray,
    on_step: Callable[[int, np.ndarray], None] | None = None,
    **given: Any,
) -> Buffer:
    """All latents (T, 4, h, w), of noise (T, 4, h, w); `on_step(step, latents)` sees them all once a step is done."""
    frames = motion_tokens.shape[0]
    seen: dict[int, np.ndarray] = {}  # of the step under way

    def part(step: int, done: Sequence[int], latents: np.ndarray) -> None:
        seen.update(zip(done, latents, strict=True))
        if len(seen) == frames and on_step is not None:
            on_step(step, np.stack([seen[t] for t in range(frames)]))
        if len(seen) == frames:
            seen.clear()

    loop = ClipLoop(
        backend,
        sessions,
        motion_tokens=motion_tokens,
        noise=lambda wanted: noise[list(wanted)],
        wanted=range(frames),
        on_step=part,
        **given,
    )
    return loop.finish(range(frames))


def parts_of(backend: Backend, latents: Buffer) -> Callable[[range], Buffer]:
    """All latents, as the decoder asks for them: chunk by chunk."""
    return lambda part: backend.view(latents, part.start, part.stop)
