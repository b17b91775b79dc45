"""Where two clips of the chain meet: the new one begins where the old one was going, and ends as it was made.

A clip sees the last frames before it and still begins off them, all frames by about the same amount, because a small
network makes a face a little differently every time. Of one frame that is nothing; as a step from frame to frame it
is seen. Here the step is taken away where the clips meet and given back over the clip's frames, so that nothing is
handed on to the clip behind. At the lips nothing is moved: they change within a frame, and the sound says how.

The released program has none of this (SPEC 8): `Sampling.join` says of which weights it is wanted.
"""

from __future__ import annotations

import numpy as np

BEFORE = 2  # frames of the clips before that a joint is made from: where they ended, and how fast they moved


def joined(latents: np.ndarray, before: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """A clip's latents (F, 4, h, w) float32 that go on from those of up to `BEFORE` frames before it, (n, 4, h, w).

    lips: (h, w) float32, 1 where they are and nothing moves, 0 elsewhere.

    With the last two frames a, b before and the first two c, d of the clip, the face should move on as it did and as
    it will: c should be b + ((b - a) + (d - c)) / 2. By what it is off, frame k of F is moved back, (F - k) / F of it.
    A clip of one frame moves on as those before it did, and behind a single frame nothing has moved yet.
    """
    a, b = before[0], before[-1]
    moves = b - a
    if len(latents) > 1:
        moves = np.float32(0.5) * (moves + latents[1] - latents[0])
    off = (b + moves - latents[0]) * (1 - np.clip(lips, 0, 1))
    kept = np.linspace(1, 0, len(latents) + 1, dtype=np.float32)[:-1]
    return latents + kept[:, None, None, None] * off


def last_of(before: np.ndarray | None, latents: np.ndarray) -> np.ndarray:
    """The last of the frames seen so far, up to `BEFORE`: (n, 4, h, w), memory of its own."""
    frames = latents if before is None else np.concatenate([before, latents])
    return frames[-BEFORE:].copy()
