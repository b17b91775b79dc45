"""What makes a portrait doubtful before any network runs: notes, never a refusal, of where its face is.

A cartoon may have no eyes that a detector knows, and a painting's head may be turned: both may be animated well. What
is refused is a picture in which nobody finds a face (`hp_trt.faces.face.no_face`), and what is lost nevertheless is
told afterwards (`hp_trt.faces.lost`).

The limits are of drawn people, plain and varied, none of whom has a note at 22 degrees, which is how far they turn:
of a head turned by 40 degrees YuNet's and the mesh's five points say 0.5 or more.
"""

from __future__ import annotations

import numpy as np

from hp_trt.faces.face import Face, FaceLocator
from hp_trt.faces.haar import HaarLocator

_TURNED = 0.5  # distances of the eyes, that the nose's tip is from the middle between them, along their line
_OUTSIDE = 0.1  # part of a face's box that lies outside of the picture
_SMALL = 0.5  # of the pixels that networks make, a side: less is enlarged so much that it is soft


def doubts(face: Face, locator: FaceLocator, image: np.ndarray, what: str) -> tuple[str, ...]:
    """Notes, a line each, of the `face` that `locator` found in `image` (H, W, 3) uint8 RGB, called `what`."""
    notes = []
    if locator.name == HaarLocator.name and face.score <= HaarLocator.EYELESS:
        notes.append(
            f"no eye is seen in the face of {what}: where it is shut, hidden, or no person's, the result may be "
            "nonsense; --locator mesh (hp-trt fetch mesh) or a landmarks file knows better"
        )
    if abs(turned(face.landmarks)) > _TURNED:
        notes.append(
            f"the face in {what} is turned far to a side, and the half that cannot be seen is made up; needed is one "
            "that looks ahead: take another picture where the result is wrong"
        )
    if (part := outside(face, image)) > _OUTSIDE:
        notes.append(
            f"{part:.0%} of the face in {what} is outside of the picture, and what is not there is made up; take a "
            "picture with the whole head"
        )
    return tuple(notes)


def small(side: int, wanted: int, what: str) -> tuple[str, ...]:
    """A note where the square round a face, `side` pixels, is far smaller than the `wanted` ones that are made."""
    if side >= _SMALL * wanted:
        return ()
    return (
        f"the square round the face in {what} has {side} x {side} pixels, and {wanted} x {wanted} are made of it: it "
        "stays as soft as it is; take a larger picture",
    )


def turned(landmarks: np.ndarray) -> float:
    """How far the nose of five `landmarks` (5, 2) is off the middle of the eyes, in distances of the eyes; 0: ahead.

    Haar guesses the nose from the eyes, and so sees nobody turned.
    """
    left, right, nose = (np.asarray(point, np.float64) for point in landmarks[:3])
    across = right - left
    square = float(across @ across)
    return float((nose - (left + right) / 2) @ across) / square if square else 0.0


def outside(face: Face, image: np.ndarray) -> float:
    """Which part of the face's box lies outside of `image` (H, W, 3)."""
    height, width = image.shape[:2]
    x, y, w, h = face.box
    inside = max(min(x + w, width) - max(x, 0.0), 0.0) * max(min(y + h, height) - max(y, 0.0), 0.0)
    return 1 - inside / (w * h)
