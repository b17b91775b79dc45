"""Pictures that are no faces, for an autoencoder that is to keep whatever stands in a portrait.

scikit-image's own sample pictures, those that come inside its wheel and show no person, and textures of
`procedural.variety`. Some pictures are held out, by name: what is measured on them was never seen.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np

from engines.errors import InputError
from procedural.variety.textures import BY_NAME

# Left out: people (astronaut, camera, lfw_subset), and pictures of somebody's tissue (cell, ihc, retina and the like).
TRAINING: tuple[str, ...] = (
    "brick.png", "coffee.png", "color.png", "grass.png", "hubble_deep_field.jpg", "logo.png", "moon.png",
    "motorcycle_left.png", "motorcycle_right.png", "text.png",
)  # fmt: skip
HELD_OUT: tuple[str, ...] = ("chelsea.png", "coins.png", "gravel.png", "rocket.jpg")
_TEXTURES = 0.4  # of what is drawn
_LEAST = 0.35  # of a picture's shorter side, that a cut shows


def sample(name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the sample picture of that file's name. Raises InputError where it is not there."""
    found = importlib.util.find_spec("skimage")
    where = (
        Path(found.submodule_search_locations[0], "data", name) if found and found.submodule_search_locations else None
    )
    picture = cv2.imread(str(where), cv2.IMREAD_COLOR) if where is not None and where.is_file() else None
    if picture is None:
        raise InputError(
            f"the sample picture {name} of scikit-image is not there; pip install 'scikit-image>=0.26', or leave out "
            "--pictures"
        )
    return np.ascontiguousarray(picture[..., ::-1])


def held_out(px: int) -> dict[str, np.ndarray]:
    """(px, px, 3) uint8 each, by name: the middle square of what is never learnt from, made smaller."""
    result = {}
    for name in HELD_OUT:
        picture = sample(name)
        side = min(picture.shape[:2])
        y, x = ((length - side) // 2 for length in picture.shape[:2])
        square = picture[y : y + side, x : x + side]
        result[name.partition(".")[0]] = cv2.resize(square, (px, px), interpolation=cv2.INTER_AREA)
    return result


class Pictures:
    """Cuts of the pictures that are learnt from, at random, and textures. Raises InputError without scikit-image."""

    def __init__(self) -> None:
        self._pictures = [sample(name) for name in TRAINING]

    def draw(self, rng: np.random.Generator, px: int) -> np.ndarray:
        """(px, px, 3) uint8: one, cut, turned, mirrored and coloured as `rng` says."""
        if rng.random() < _TEXTURES:
            names = list(BY_NAME)
            drawn = BY_NAME[names[int(rng.integers(len(names)))]](rng, px) * rng.uniform(0.6, 1.1)
            picture = np.clip(drawn * 255, 0, 255).astype(np.uint8)
        else:
            picture = self._cut(rng, px)
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        picture = np.rot90(picture, int(rng.integers(4)) if rng.random() < 0.3 else 0)
        if rng.random() < 0.5:
            picture = picture[..., rng.permutation(3)]
        tinted = picture.astype(np.float32) * rng.uniform(0.7, 1.25) * rng.uniform(0.85, 1.15, 3)
        return np.clip(np.rint(tinted), 0, 255).astype(np.uint8)

    def _cut(self, rng: np.random.Generator, px: int) -> np.ndarray:
        picture = self._pictures[int(rng.integers(len(self._pictures)))]
        height, width = picture.shape[:2]
        side = round(min(height, width) * rng.uniform(_LEAST, 1.0))
        x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        how = cv2.INTER_AREA if side > px else cv2.INTER_CUBIC
        return cv2.resize(picture[y : y + side, x : x + side], (px, px), interpolation=how)
