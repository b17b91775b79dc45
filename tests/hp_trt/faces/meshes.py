"""A face mesh without its network: a picture that says where each of its pixels is, and a network that reads it."""

from __future__ import annotations

import numpy as np

from hp_trt.faces.face import Face
from hp_trt.faces.mesh_points import INPUT_PX, LEFT_EYE, MOUTH_CORNERS, NOSE_TIP, POINTS, RIGHT_EYE

PX = 250  # of a side: numbers of a pixel's place fit its colours


def map_picture(px: int = PX) -> np.ndarray:
    """(px, px, 3) uint8: red is x, green is y, blue is 200 inside the picture."""
    rows, columns = np.mgrid[:px, :px]
    return np.stack([columns, rows, np.full_like(rows, 200)], axis=-1).astype(np.uint8)


def points(x: float, y: float, size: float, *, roll_deg: float = 0.0) -> np.ndarray:
    """(468, 2): an oval of `size` high round (x, y), with eyes, nose and mouth where a face has them."""
    spread = np.random.default_rng(0).uniform(0, 2 * np.pi, POINTS)
    face = np.stack([0.4 * np.cos(spread), 0.5 * np.sin(spread)], axis=-1)
    face[:4] = (-0.4, 0), (0.4, 0), (0, -0.5), (0, 0.5)  # the oval's own ends
    face[[*LEFT_EYE, *RIGHT_EYE]] = (-0.25, -0.15), (-0.1, -0.15), (0.1, -0.15), (0.25, -0.15)
    face[NOSE_TIP] = 0, 0.05
    face[list(MOUTH_CORNERS)] = (-0.15, 0.2), (0.15, 0.2)
    turn = np.exp(1j * np.radians(roll_deg))
    placed = (face[:, 0] + 1j * face[:, 1]) * turn * size + (x + 1j * y)
    return np.stack([placed.real, placed.imag], axis=-1)


def place_of(picture: np.ndarray) -> np.ndarray:
    """(2, 3): from pixels of a `map_picture` to those of this cut of it, from its colours alone."""
    rows, columns = np.nonzero((picture[..., 2] == 200) & (picture[..., :2] > 2).all(axis=2))
    places = np.hstack([picture[rows, columns, :2].astype(np.float64), np.ones((len(rows), 1))])
    return np.linalg.lstsq(places, np.stack([columns, rows], axis=-1), rcond=None)[0].T


class FakeNetwork:
    """Sees the `face` (468, 2) of a map picture wherever its middle is in the crop; None: there is nobody."""

    def __init__(self, face: np.ndarray | None) -> None:
        self.face, self.logit = face, 20.0
        self.squares: list[np.ndarray] = []  # the crops that it was given

    def __call__(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        assert picture.shape == (INPUT_PX, INPUT_PX, 3) and picture.dtype == np.uint8
        self.squares.append(picture)
        nothing = np.zeros((POINTS, 2)), -10.0
        if self.face is None or (picture[..., 2] == 200).sum() < 100:
            return nothing
        matrix = place_of(picture)
        seen = self.face @ matrix[:, :2].T + matrix[:, 2]
        middle = seen.mean(axis=0)
        return (seen, self.logit) if ((middle > 0) & (middle < INPUT_PX)).all() else nothing


class FakeHaar:
    """Haar's cascades: sees that face while it is within 15 degrees from upright, and whole in the picture."""

    def __init__(self, network: FakeNetwork) -> None:
        self._network = network
        self.searches = 0

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        self.searches += 1
        if self._network.face is None:
            return []
        matrix = place_of(image)
        seen = self._network.face @ matrix[:, :2].T + matrix[:, 2]
        low, high = seen.min(axis=0), seen.max(axis=0)
        eyes = seen[list(RIGHT_EYE)].mean(axis=0) - seen[list(LEFT_EYE)].mean(axis=0)
        whole = (low >= 0).all() and (high < (image.shape[1], image.shape[0])).all()
        if abs(np.degrees(np.arctan2(eyes[1], eyes[0]))) > 15 or not whole:
            return []
        return [Face(box=(*low.tolist(), *(high - low).tolist()), landmarks=np.zeros((5, 2)), score=1.0)]
