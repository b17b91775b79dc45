"""What the judge learns from and is tested on: drawn faces, and what imperfect pictures of them look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hp_trt.measure.metrics.judge import JUDGE_PX
from hp_trt.measure.metrics.parameters import seen
from hp_trt.media.pixels import resized
from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import landmarks
from procedural.motion import NAMES, State, motion

_LEAST = {"scale": 0.88, "yaw_deg": -28.0, "pitch_deg": -17.0, "roll_deg": -12.0, "shift_x": -0.07, "shift_y": -0.07}
_MOST = {"scale": 1.12, "yaw_deg": 28.0, "pitch_deg": 17.0, "roll_deg": 12.0, "shift_x": 0.07, "shift_y": 0.07}
_SIGNED = ("gaze_x", "gaze_y", "brow_left", "brow_right", "corners")


@dataclass(frozen=True, kw_only=True)
class Faces:
    """n drawn faces, everything about them known."""

    pictures: np.ndarray  # (n, JUDGE_PX, JUDGE_PX, 3) uint8
    points: np.ndarray  # (n, K, 2) float32, pixels of the picture
    parameters: np.ndarray  # (n, len(NAMES)) float32, as `hp_trt.measure.metrics.parameters.seen`


def drawn_faces(first_seed: int, count: int) -> Faces:
    """One face a seed. Half are caught in motion; half have every parameter drawn by itself: none tells another."""
    pictures, points, states = [], [], []
    for seed in range(first_seed, first_seed + count):
        rng = np.random.default_rng([seed, 5])
        identity = Identity.random(seed)
        state = motion(seed, 1 + int(rng.integers(75)))[-1] if seed % 2 else _anything(rng)
        # The evaluation's pictures are drawn larger and cropped to size, the training's drawn at it.
        large = seed % 4 < 2
        picture = draw(identity, state, 2 * JUDGE_PX if large else JUDGE_PX)
        pictures.append(resized(picture, JUDGE_PX, "bicubic") if large else picture)
        points.append(landmarks(identity, state, JUDGE_PX))
        states.append(state)
    return Faces(
        pictures=np.stack(pictures),
        points=np.stack(points).astype(np.float32),
        parameters=seen(states).astype(np.float32),
    )


def _anything(rng: np.random.Generator) -> State:
    values = {
        name: rng.uniform(_LEAST.get(name, -1.0 if name in _SIGNED else 0.0), _MOST.get(name, 1.0)) for name in NAMES
    }
    for eye in ("lid_left", "lid_right"):
        values[eye] = 1.0 if rng.random() < 0.15 else values[eye] ** 2
    if rng.random() < 0.25:
        values["jaw"] = 0.0
    return State(**values)


def spoiled(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same face as a generator might make it: soft, noisy, smeared in blocks, its colours a little off."""
    import cv2

    image = picture
    side = picture.shape[0]
    if rng.random() < 0.35:  # detail that an autoencoder loses
        small = int(side * rng.uniform(0.4, 0.9))
        image = cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6))
    if rng.random() < 0.2:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    values = image.astype(np.float32)
    if rng.random() < 0.6:
        values = (values - 128) * rng.uniform(0.8, 1.15) + 128 + rng.normal(0, 8, 3).astype(np.float32)
    if rng.random() < 0.3:  # coarse blotches
        blotches = rng.normal(0, rng.uniform(2, 10), (16, 16, 3)).astype(np.float32)
        values += cv2.resize(blotches, (side, side), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        values += rng.standard_normal(values.shape, dtype=np.float32) * rng.uniform(1, 10)
    return values.clip(0, 255).astype(np.uint8)


def batches(faces: Faces, size: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Without end: pictures (size, 3, px, px) float32 in [0, 1], most of them spoiled, points and parameters."""
    while True:
        order = rng.permutation(len(faces.pictures))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            pictures = [spoiled(faces.pictures[i], rng) for i in chosen]
            yield planes(pictures), faces.points[chosen], faces.parameters[chosen]


def planes(pictures: list[np.ndarray] | np.ndarray) -> np.ndarray:
    """n pictures (H, W, 3) uint8 -> (n, 3, H, W) float32 in [0, 1]."""
    return np.ascontiguousarray(np.stack(list(pictures)).transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)
