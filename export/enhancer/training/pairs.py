"""What the upscaler learns from: cuts of drawn people, and the same at half the side as videos have them.

Half of the people are varied, because what has seen flat colours alone takes a camera's grain for a fault; and some of
the cuts are of pictures that show no people. Drawing costs milliseconds, so nothing is kept: every batch is drawn anew.
"""

from __future__ import annotations

import numpy as np

from export.training.pictures import Pictures
from procedural.clip import FIRST_TRAINING_SEED
from procedural.motion import motion
from procedural.people import Person

PEOPLE = 1_000_000  # seeds that may be drawn
_SIDES = (128, 192, 256, 320, 384)  # pixels of a picture that is cut
_CUTS = 4  # of a picture
VARIED = 0.5  # of the people
PICTURES = 0.2  # of the pictures: no people, but samples of scikit-image and textures
_MOMENTS = 40  # of somebody's motion, one of which is drawn


def pairs(count: int, px: int, rng: np.random.Generator, others: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """`count` cuts: (count, px/2, px/2, 3) uint8, made small and spoilt, and (count, px, px, 3) uint8, as drawn.

    `others`: pictures that show no people.
    """
    small: list[np.ndarray] = []
    large: list[np.ndarray] = []
    while len(large) < count:
        side = int(rng.choice(_SIDES))
        if rng.random() < PICTURES:
            picture = others.draw(rng, side)
        else:
            seed = FIRST_TRAINING_SEED + int(rng.integers(PEOPLE))
            state = motion(seed, 1 + int(rng.integers(_MOMENTS)))[-1]
            picture = Person.random(seed, varied=bool(rng.random() < VARIED)).draw(state, side)
        for _ in range(min(_CUTS, count - len(large))):
            y, x = (int(v) for v in rng.integers(0, side - px + 1, 2))
            cut = picture[y : y + px, x : x + px]
            large.append(cut)
            small.append(spoilt(cut, rng))
    return np.stack(small), np.stack(large)


def spoilt(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 -> (H/2, W/2, 3) uint8: mildly blurred, halved by one filter or another, noisy, or with the
    blocks of a JPEG, which are those of a video's key frame. Half of them are halved and no more."""
    import cv2
    from PIL import Image

    clean = rng.random() < 0.5
    if not clean and rng.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.9))
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        small = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    else:
        small = np.asarray(Image.fromarray(picture).resize((width // 2, height // 2), Image.Resampling.BICUBIC))
    if clean:
        return small
    if rng.random() < 0.3:
        noise = rng.standard_normal(small.shape, dtype=np.float32) * rng.uniform(0.5, 3)
        small = (small + noise).round().clip(0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 97))]
        packed = cv2.imencode(".jpg", small, quality)[1]
        small = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return small
