"""Motion frames: the last frames of a clip, which the next clip goes on from.

They are decoded pixels, not rounded to 8 bits. Before they are encoded again some of their pixels are dropped, so that
the next clip takes the movement from them, and the person's looks from the portrait.

Source: SPEC 8, steps 1 and 2.
"""

from __future__ import annotations

import numpy as np


def first_motion(picture: np.ndarray, motion_frames: int) -> np.ndarray:
    """Of the first clip: the portrait (1, 3, H, W) again and again, (m, 3, H, W)."""
    return np.repeat(picture, motion_frames, axis=0)


def next_motion(motion: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """Of the clip after: the last m of the frames seen so far, (m, 3, H, W) float32 in [-1, 1].

    `motion` (m, 3, H, W) are those that this clip went on from; `tail` (n, 3, H, W) its last frames as the decoder left
    them, about [-1, 1]. Fewer than m of them go behind what was there: a clip may be shorter than m.
    """
    half = np.float32(0.5)
    clamped = np.clip(tail * half + half, 0, 1) * np.float32(2) - np.float32(1)
    return np.concatenate([motion, clamped])[-len(motion) :]


def drop(motion: np.ndarray, face_region: np.ndarray, field: np.ndarray, rate: float) -> np.ndarray:
    """Motion frames (m, 3, H, W) with pixels set to 0, where `field` (H, W), uniform in [0, 1), is at most `rate`.

    A pixel where `face_region` (3, H, W) is not 0 stays. One field serves all frames: there are no patches.
    """
    kept = (field > np.float32(rate)) | (face_region != 0)
    return np.where(kept, motion, np.float32(0))
