"""What the denoiser learns from: a window of a clip or some pictures of it, and the portrait they are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from runtime.hunyuanportrait.guidance import Row


@dataclass(frozen=True, kw_only=True)
class PortraitFrame:
    """One frame of a clip, as the portrait."""

    latents: Tensor  # (4, h, w), scaled as the loop's
    image: Tensor  # (3, P, P): the appearance network's picture
    points: Tensor  # (K, 2): landmarks in latent cells
    identity: Tensor  # (512,): who it is; zeros for who is drawn


@dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """F frames of one clip."""

    latents: Tensor  # (F, 4, h, w), scaled as the loop's
    features: Tensor  # (F, E): what the expression network says
    degrees: Tensor  # (F, 3): what the head pose network says
    points: Tensor  # (F, K, 2): landmarks in latent cells
    states: Tensor | None  # (F, S): what was drawn, normalised; None of people who were filmed
    ramps: Tensor  # (F,): how much of the motion each frame is told
    ids: Tensor  # (2,): head and expression intensity
    sees: Row  # which conditions are not dropped
    portrait: PortraitFrame


def ring_window(rng: np.random.Generator, *, clip: int, pad: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (size,) of a clip of `clip` frames and their motion's ramps (size,), as one window of a random ring.

    The ring is a part of the clip with `pad` faded frames before and after (SPEC 7.5), walked circularly (SPEC 8).
    """
    length = int(rng.integers(max(1, min(size, clip) // 2), clip + 1))
    first = int(rng.integers(clip - length + 1))
    total = length + 2 * pad
    places = (int(rng.integers(total)) + np.arange(size)) % total
    ramps = np.minimum(1.0, np.minimum(places / max(pad, 1), 1 - (places - pad - length) / max(pad, 1)))
    if not pad:
        ramps = np.ones(size)
    return first + np.clip(places - pad, 0, length - 1), ramps.astype(np.float32)
