"""The portrait as the networks see it: a square, its masks, and the face turned upright.

A square picture is used whole, as released, and the video is as large as it. The released program squeezes any other
picture into a square; here a square round the face is cut from it, and pasted back.

Source: SPEC 7, portrait.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.errors import InputError
from hp_trt.faces.align import aligned_face, arcface_input
from hp_trt.faces.doubts import doubts, small
from hp_trt.faces.face import Face, FaceLocator, largest_face, no_face
from hp_trt.faces.found import find_faces
from hp_trt.hallo2.masks import TalkMasks, masks
from hp_trt.hallo2.regions import Box, Regions, Tight, grown, inside, tight_of
from hp_trt.media.pixels import resized

# The released guidance to users is a face of 50 to 70 % of a square picture, along its longer side.
FACE_PART = 0.6
_SMALL_PART = 0.3  # below it a user is told
_SMALLEST_PX = 8


@dataclass(frozen=True, kw_only=True)
class TalkPortrait:
    """Everything the portrait gives to the networks, of S x S pixels."""

    box: Box  # in the picture: where to paste back
    source: np.ndarray  # (1, 3, S, S) float32 in [-1, 1]
    regions: Regions  # in the square's own pixels
    masks: TalkMasks
    arcface: np.ndarray  # (3, 112, 112) float32 in [-1, 1]: ArcFace's
    face: np.ndarray  # (h, w, 3) uint8 RGB: the face alone, as it is in the picture
    notes: tuple[str, ...]  # what a user should know, a line each


def talk_portrait(
    image: np.ndarray,
    locator: FaceLocator,
    *,
    side_px: int,
    levels: int,
    face_ratio: float = 1.2,
    lip_ratio: float = 2.0,
    what: str = "the portrait",
) -> TalkPortrait:
    """Find the largest face of `image` (H, W, 3) uint8 RGB and make what networks of S = `side_px` take of it.

    `levels` of masks; the ratios are those by which the boxes of face and lips grow. Raises FaceNotFound, and
    InputError for a face that has no direction or leaves next to nothing.
    """
    height, width = image.shape[:2]
    faces = find_faces(locator, image)
    if not faces:
        raise no_face(what, locator, height, width)
    face = largest_face(faces)
    notes = [] if len(faces) == 1 else [f"{len(faces)} faces in {what}: the largest is animated"]
    notes += doubts(face, locator, image, what)
    try:
        tight, guessed = tight_of(face)
        box = square_round(tight, height=height, width=width)
        x0, y0, x1, y1 = box
        if x1 - x0 < _SMALLEST_PX:
            raise InputError(
                f"the face in {what} leaves a square of {x1 - x0} x {y1 - y0} pixels; needed are at least "
                f"{_SMALLEST_PX}: use a larger picture"
            )
        square, in_square = np.ascontiguousarray(image[y0:y1, x0:x1]), face.moved(x0, y0, (1, 1))
        aligned = aligned_face(square, in_square.landmarks)
    except ValueError as error:
        raise InputError(f"the face in {what} has no direction: {error}") from error
    side = x1 - x0
    tight, _ = tight_of(in_square)
    part = tight.longer_side / side
    if height != width:
        notes.append(
            f"{what} has {width} x {height} pixels and is no square: {side} x {side} of it from ({x0}, {y0}) on, in "
            f"which the face has {part:.0%} of the side, are animated and put back"
        )
    if part < _SMALL_PART:
        notes.append(
            f"the face has {part:.0%} of the side of the square that is animated, and the networks know 50 to 70 %: "
            "crop it closer"
        )
    notes += small(side, side_px, what)
    regions, cut = _regions(tight, side, face_ratio, lip_ratio, what)
    return TalkPortrait(
        box=box,
        source=source_picture(square, side_px),
        regions=regions,
        masks=masks(regions, height=side, width=side, side_px=side_px, levels=levels, whole_face=True),
        arcface=(2 * arcface_input(aligned) - 1).astype(np.float32),
        face=_inside(image, face),
        notes=(*notes, *cut, *guessed),
    )


def source_picture(square: np.ndarray, side_px: int) -> np.ndarray:
    """(1, 3, S, S) float32 in [-1, 1] of a picture (h, w, 3) uint8 RGB, resized to S = `side_px`."""
    planes = resized(square, side_px, "bilinear").transpose(2, 0, 1).astype(np.float32)
    return np.ascontiguousarray(planes)[None] / np.float32(127.5) - np.float32(1)


def square_round(tight: Tight, *, height: int, width: int) -> Box:
    """The whole of a square picture; of another one the square in which the face has `FACE_PART` of the side.

    It lies inside the picture: at most as large as the picture's shorter side, and slid where the face is at an edge.
    """
    if height == width:
        return 0, 0, width, height
    side = min(height, width, round(tight.longer_side / FACE_PART))
    x0, y0, x1, y1 = tight.face
    left = min(max(round((x0 + x1 - side) / 2), 0), width - side)
    top = min(max(round((y0 + y1 - side) / 2), 0), height - side)
    return left, top, left + side, top + side


def _regions(
    tight: Tight, side: int, face_ratio: float, lip_ratio: float, what: str
) -> tuple[Regions, tuple[str, ...]]:
    """The boxes in the square, inside it; and what a user should know about that."""
    released = grown(tight, height=side, width=side, face_ratio=face_ratio, lip_ratio=lip_ratio)
    face, lips = (inside(box, height=side, width=side) for box in (released.face, released.lips))
    if (face, lips) == (released.face, released.lips):
        return released, ()
    note = (
        f"the face in {what} with what belongs round it is larger than the picture and is cut to it, where the "
        "released program would lose it: a picture with more around the face is better"
    )
    return Regions(face=face, lips=lips), (note,)


def _inside(image: np.ndarray, face: Face) -> np.ndarray:
    """The part of `image` in the face's box."""
    x, y, w, h = face.box
    x0, y0, x1, y1 = (max(round(edge), 0) for edge in (x, y, x + w, y + h))
    return image[y0:y1, x0:x1]
