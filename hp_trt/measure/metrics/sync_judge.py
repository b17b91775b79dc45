"""The sync judge: two small networks of our own that say how well a drawn mouth and a sound go together.

They are in the form of the networks that published numbers are made with, and were trained on drawn people and
synthetic speech alone, by `python -m export.judge.sync_judge`: numbers of them compare only among themselves. The card
in `hp_trt/shipped/sync_judge` says how well they tell a sound that is shifted from one that is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines import families
from engines.file_names import utf8_name
from engines.foreign import foreign
from hp_trt.measure.metrics.judge import at_size
from hp_trt.measure.metrics.sound_features import ROWS_A_FRAME, log_mel
from hp_trt.measure.metrics.sync import WINDOW, Sync, sync_of
from hp_trt.shipped import SYNC_PICTURES, SYNC_SOUND
from procedural.landmarks import POINTS

MOUTH_PX = (32, 40)  # height and width of what is seen of a mouth, pixels of JUDGE_PX
ROWS = WINDOW * ROWS_A_FRAME  # of `log_mel`, heard with a window
_BELOW_PX = 3  # the middle is so far below the mouth's corners: jaws open downwards
_STEADY = 2  # frames before and behind whose landmarks are averaged
_AT_ONCE = 64  # windows
_EYES = [POINTS.index(name) for name in ("left eye", "right eye")]
_CORNERS = [POINTS.index(name) for name in ("left mouth corner", "right mouth corner")]


class SyncJudge:
    """The networks in two files, opened once for any number of clips. EngineMismatch without ONNX Runtime."""

    def __init__(self, pictures: Path = SYNC_PICTURES, sound: Path = SYNC_SOUND, *, threads: int | None = None) -> None:
        onnxruntime = families.load(families.ONNXRUNTIME)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0

        def opened(file: Path):
            with foreign(f"{file}, which comes with hp-trt, cannot be opened", "install hp-trt again"):
                return onnxruntime.InferenceSession(utf8_name(file), options, providers=["CPUExecutionProvider"])

        self._pictures, self._sound = opened(pictures), opened(sound)

    def sync(self, frames: Sequence[np.ndarray], landmarks: np.ndarray, samples: np.ndarray) -> Sync:
        """Of N frames (S, S, 3) uint8, at least `WINDOW` + 1, and their sound, 640 samples a frame.

        `landmarks` (N, K, 2): as `Judge.read` has them.
        """
        return sync_of(self.of_pictures(mouths(frames, landmarks)), self.of_sound(log_mel(samples)[: 4 * len(frames)]))

    def of_pictures(self, seen: np.ndarray) -> np.ndarray:
        """(N - 4, D): the vectors of the windows of `mouths`."""
        return _run(self._pictures, "pictures", picture_windows(seen))

    def of_sound(self, heard: np.ndarray) -> np.ndarray:
        """(N - 4, D): the vectors of the windows of `log_mel` (4 N, bands)."""
        return _run(self._sound, "sound", sound_windows(heard))


def mouths(frames: Sequence[np.ndarray], landmarks: np.ndarray, size: tuple[int, int] = MOUTH_PX) -> np.ndarray:
    """(N, *size, 3) uint8: the surroundings of each frame's mouth, turned upright by the line of the eyes.

    `landmarks` (N, K, 2) in pixels of JUDGE_PX; their mean over five frames counts, so that what trembles is the mouth.
    """
    import cv2

    places = _steady(landmarks)
    across = places[:, _EYES[1]] - places[:, _EYES[0]]
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1)
    down = np.stack([-across[:, 1], across[:, 0]], axis=1)
    middles = places[:, _CORNERS].mean(axis=1) + _BELOW_PX * down
    height, width = size
    found = np.empty((len(frames), height, width, 3), np.uint8)
    for number, frame in enumerate(frames):
        turn = np.stack([across[number], down[number]])  # picture -> what is seen of it
        shift = np.array([(width - 1) / 2, (height - 1) / 2]) - turn @ middles[number]
        matrix = np.hstack([turn, shift[:, None]])
        found[number] = cv2.warpAffine(at_size(frame), matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return found


def picture_windows(seen: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N - 4, 15, H, W) float32 in [0, 1]: five frames' colours one after the other."""
    planes = seen.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    windows = np.lib.stride_tricks.sliding_window_view(planes, WINDOW, axis=0)  # (N - 4, 3, H, W, 5)
    return np.ascontiguousarray(windows.transpose(0, 4, 1, 2, 3)).reshape(-1, WINDOW * 3, *seen.shape[1:3])


def sound_windows(heard: np.ndarray) -> np.ndarray:
    """(4 N, bands) -> (N - 4, 20, bands): what is heard with each window."""
    windows = np.lib.stride_tricks.sliding_window_view(heard, ROWS, axis=0)[::ROWS_A_FRAME]
    return np.ascontiguousarray(windows.transpose(0, 2, 1))


def _steady(landmarks: np.ndarray) -> np.ndarray:
    padded = np.pad(landmarks, ((_STEADY, _STEADY), (0, 0), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * _STEADY + 1, axis=0).mean(axis=-1)


def _run(session, name: str, windows: np.ndarray) -> np.ndarray:
    parts = [windows[start : start + _AT_ONCE] for start in range(0, len(windows), _AT_ONCE)]
    return np.concatenate([session.run(["vectors"], {name: part})[0] for part in parts]).astype(np.float64)
