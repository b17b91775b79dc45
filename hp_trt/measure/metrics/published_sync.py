"""The published Sync-C and Sync-D, by the user's two files of the published network (SyncNet).

| option | network | takes | gives |
|---|---|---|---|
| --sync-audio | its half for sound | cepstral coefficients (n, 1, 13, 20), one for 10 ms | vectors (n, 1024) |
| --sync-video | its half for pictures | five frames (n, 3, 5, 224, 224), BGR, 0 to 255 | vectors (n, 1024) |

As the published program does: pictures are cut round the face with 0.4 of its box beside and below it, 25 frames a
second, sound is 16 bits at 16 kHz, and beyond the ends windows are compared with zeros. Its box comes from a detector
of its own, and here from whoever calls.

Source: Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.errors import InputError
from hp_trt.measure.metrics.networks import OnnxNetwork
from hp_trt.measure.metrics.sound_features import ROWS_A_FRAME, mfcc
from hp_trt.measure.metrics.sync import WINDOW, Sync, sync_of

_BESIDE = 0.4  # of the box's longer side
_AT_ONCE = 8  # windows: 24 MB of pictures


class PublishedSync:
    """Both files, opened once. Raises InputError for what is no such network."""

    def __init__(self, audio: Path, video: Path) -> None:
        self._audio = OnnxNetwork(audio, "coefficients (n, 1, 13, 20)", ranks=(4,), channels=1)
        self._video = OnnxNetwork(video, "five frames (n, 3, 5, 224, 224)", ranks=(5,))
        self._px = self._video.fixed(4) or 224

    def sync(self, frames: Sequence[np.ndarray], squares: np.ndarray, samples: np.ndarray) -> Sync:
        """Of N frames (S, S, 3) uint8, 640 `samples` each, N at least 6.

        `squares` (N, 3): the middle of each frame's face, x and y, and half of its longer side, in pixels.
        """
        pictures = np.stack(
            [face_square(frame, *square, px=self._px) for frame, square in zip(frames, squares, strict=True)]
        )
        rows = mfcc(samples)
        windows = min(len(frames) - WINDOW, (len(rows) - WINDOW * ROWS_A_FRAME) // ROWS_A_FRAME) + 1
        seen = (pictures[i : i + WINDOW].transpose(3, 0, 1, 2) for i in range(windows))
        heard = (
            rows[i * ROWS_A_FRAME : (i + WINDOW) * ROWS_A_FRAME].T[None].astype(np.float32) for i in range(windows)
        )
        of_pictures, of_sounds = _vectors(self._video, list(seen)), _vectors(self._audio, list(heard))
        if of_pictures.shape != of_sounds.shape:
            raise InputError(
                f"{self._video.path} gives vectors of {of_pictures.shape[1]} numbers and {self._audio.path} of "
                f"{of_sounds.shape[1]}; needed are both halves of one network"
            )
        return sync_of(of_pictures, of_sounds, zeros_beyond=True)


def face_square(frame: np.ndarray, x: float, y: float, half: float, *, px: int) -> np.ndarray:
    """(px, px, 3) float32, blue, green, red: the square of 1 + 2 * `_BESIDE` times the face, which is in its middle
    across and at its top; grey beyond the picture."""
    import cv2

    scale = px / (2 * half * (1 + _BESIDE))
    left, top = x - half * (1 + _BESIDE), y - half
    matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
    cut = cv2.warpAffine(frame, matrix, (px, px), borderMode=cv2.BORDER_CONSTANT, borderValue=(110, 110, 110))
    return cut[..., ::-1].astype(np.float32)


def _vectors(network: OnnxNetwork, windows: list[np.ndarray]) -> np.ndarray:
    """(n, D) of windows, as many at once as the file takes."""
    at_once = network.fixed(0) or _AT_ONCE
    found = []
    for start in range(0, len(windows), at_once):
        part = windows[start : start + at_once]
        padded = [*part, *[part[-1]] * (at_once - len(part))] if network.fixed(0) else part
        vectors = network(np.stack(padded).astype(np.float32))
        found.append(vectors.reshape(len(padded), -1)[: len(part)].astype(np.float64))
    return np.concatenate(found)
