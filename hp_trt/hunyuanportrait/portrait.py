"""The portrait as the networks see it: one square crop, and the face in it turned upright.

Source: SPEC 7.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.errors import InputError
from hp_trt.faces.align import aligned_face, arcface_input
from hp_trt.faces.doubts import doubts, small
from hp_trt.faces.face import Face, FaceLocator, largest_face, no_face
from hp_trt.faces.found import find_faces
from hp_trt.hunyuanportrait.crops import reference_image, transformed_image
from hp_trt.hunyuanportrait.geometry import corners, portrait_box
from hp_trt.media.pixels import crop_resized

_SMALLEST_CROP_PX = 8
_CLOSE = 0.72  # of the square's side, that a face has: drawn people have 0.42 to 0.68, and closer ones suffer


@dataclass(frozen=True, kw_only=True)
class PortraitCrop:
    """Everything the portrait gives to the networks."""

    box: tuple[int, int, int, int]  # x0, y0, x1, y1 in the picture: where to paste back
    crop: np.ndarray  # (S, S, 3) uint8 RGB
    reference: np.ndarray  # (3, S, S) float32 in [-1, 1]: the VAE's
    transformed: np.ndarray  # (3, 224, 224) float32, ImageNet-normalised: the appearance network's
    arcface: np.ndarray  # (3, 112, 112) float32 in [0, 1]: ArcFace's
    face: np.ndarray  # (h, w, 3) uint8 RGB: the face alone, as it is in the picture
    notes: tuple[str, ...]  # what a user should know, a line each


def portrait_crop(
    image: np.ndarray,
    locator: FaceLocator,
    *,
    crop_px: int = 512,
    appearance_px: int = 224,
    what: str = "the portrait",
) -> PortraitCrop:
    """Find the largest face of `image` (H, W, 3) uint8 RGB and make its crops.

    The face is located again inside the crop, as released; where that fails, the face
    found in the whole picture is used. Raises FaceNotFound.
    """
    height, width = image.shape[:2]
    faces = find_faces(locator, image)
    if not faces:
        raise no_face(what, locator, height, width)
    face = largest_face(faces)
    notes = [] if len(faces) == 1 else [f"{len(faces)} faces in {what}: the largest is animated"]
    notes += doubts(face, locator, image, what)
    box = portrait_box(corners(face.box), height=height, width=width)
    x0, y0, x1, y1 = box
    if min(x1 - x0, y1 - y0) < _SMALLEST_CROP_PX:
        raise InputError(
            f"the face in {what} leaves a crop of {x1 - x0} x {y1 - y0} pixels; needed are at least "
            f"{_SMALLEST_CROP_PX}: use a larger picture"
        )
    notes += _of_square(face, min(x1 - x0, y1 - y0), crop_px, what)
    crop = crop_resized(image, box, crop_px)
    again = find_faces(locator, crop) if locator.reads_pixels else []
    moved = face.moved(x0, y0, (crop_px / (x1 - x0), crop_px / (y1 - y0)))
    landmarks = (largest_face(again) if again else moved).landmarks
    try:
        aligned = aligned_face(crop, landmarks)
    except ValueError as error:
        raise InputError(f"the face in {what} has no direction: {error}") from error
    return PortraitCrop(
        box=box,
        crop=crop,
        reference=reference_image(crop),
        transformed=transformed_image(crop, appearance_px),
        arcface=arcface_input(aligned),
        face=_inside(image, face),
        notes=tuple(notes),
    )


def _of_square(face: Face, side: int, crop_px: int, what: str) -> tuple[str, ...]:
    """What a user should know about the square of `side` pixels round the face."""
    if (part := max(face.box[2:]) / side) <= _CLOSE:
        return small(side, crop_px, what)
    return (
        *small(side, crop_px, what),
        f"the face in {what} has {part:.0%} of the side of the square that is animated, and the networks know about "
        "half: take a picture with more around the face",
    )


def _inside(image: np.ndarray, face: Face) -> np.ndarray:
    """The part of `image` in the face's box."""
    x0, y0, x1, y1 = (max(round(edge), 0) for edge in corners(face.box))
    return image[y0:y1, x0:x1]
