"""Where faces come in: whatever a locator says is looked at here, once, and trusted from then on.

A detector may be another network, a landmarks file anybody's, a locator an application's own. A box of thirty thousand
pixels would make crops of gigabytes, and five points at one place have no direction. So nobody else calls a locator's
`locate` and `near`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from engines.errors import InputError
from hp_trt.faces.face import MESH_POINTS, Face, FaceFollower, FaceLocator, FaceParts

_MOST_FACES = 1000
# A face that fills a picture and more may be twice as wide as the square of as many pixels. The largest crop that the
# networks see is a square of that side: four times the picture's bytes.
_LARGEST = 2.0
_SMALLEST_PX = 1.0
_FARTHEST = 10.0  # so many largest faces may landmarks be from their box: outside of the picture is no nonsense yet


def find_faces(locator: FaceLocator, image: np.ndarray, frame: int = 0) -> list[Face]:
    """The faces of `image` (H, W, 3) uint8 RGB, number `frame` of its video; without those wholly outside of it.

    Raises InputError for what is no face: numbers that are not finite, boxes of another scale than the picture.
    """
    return _seen(locator.locate(image, frame), locator, image, f"frame {frame}")


def follow_face(locator: FaceLocator, image: np.ndarray, face: Face) -> list[Face]:
    """`face` of the frame before in `image`; nothing where it is not near there, or the locator follows nobody.

    Raises InputError as `find_faces` does.
    """
    if not isinstance(locator, FaceFollower):
        return []
    return _seen(locator.near(image, face), locator, image, "a frame in which it followed a face")


def _seen(found: Sequence[Face], locator: FaceLocator, image: np.ndarray, where: str) -> list[Face]:
    height, width = image.shape[:2]
    if not isinstance(found, Sequence) or len(found) > _MOST_FACES:
        what = f"{len(found)} faces" if isinstance(found, Sequence) else f"a {type(found).__name__}"
        raise _refusal(locator, what, where, image, f"needed is a list of at most {_MOST_FACES} faces")
    faces = [_face(face, locator, image, where) for face in found]
    return [face for face in faces if _overlaps(face, height, width)]


def _face(face: Face, locator: FaceLocator, image: np.ndarray, where: str) -> Face:
    """`face` itself where its numbers are a face's in that picture."""
    if not isinstance(face, Face):
        raise _refusal(locator, f"a {type(face).__name__}", where, image, "needed is a hp_trt.faces.face.Face")
    try:
        box = np.array([float(number) for number in face.box])
        points = np.asarray(face.landmarks, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise _refusal(locator, f"a face of no numbers ({error})", where, image, "needed are floats") from error
    if box.shape != (4,) or points.shape != (5, 2) or not (np.isfinite(box).all() and np.isfinite(points).all()):
        shapes = f"a face with the box {_plain(box)} and landmarks of shape {points.shape}"
        raise _refusal(locator, shapes, where, image, "needed are a box of 4 and 5 landmarks of 2 finite numbers")
    largest = max(_LARGEST * sqrt(image.shape[0] * image.shape[1]), _SMALLEST_PX)
    if not (box[2:].min() >= _SMALLEST_PX and box[2:].max() <= largest):
        needed = f"needed is one of {_SMALLEST_PX:.0f} to {largest:.0f} pixels a side"
        raise _refusal(locator, f"a face of {box[2]:.5g} x {box[3]:.5g} pixels", where, image, needed)
    apart = np.maximum(box[:2] - points, points - (box[:2] + box[2:])).max()
    if apart > _FARTHEST * largest or np.ptp(points, axis=0).max() > largest:
        needed = "needed are landmarks in its box, or near it"
        raise _refusal(locator, f"a face whose landmarks are {apart:.5g} pixels from its box", where, image, needed)
    if not np.ptp(points, axis=0).any():
        raise _refusal(locator, "a face with five landmarks at one place", where, image, "needed are five places")
    mesh, parts = _mesh(face, points, locator, image, where), _parts(face, box, locator, image, where)
    whole = isinstance(face.box, tuple) and isinstance(face.landmarks, np.ndarray) and face.mesh is mesh
    if whole:
        return face
    return Face(box=tuple(box.tolist()), landmarks=points, score=float(face.score), mesh=mesh, parts=parts)


def _mesh(face: Face, landmarks: np.ndarray, locator: FaceLocator, image: np.ndarray, where: str) -> np.ndarray | None:
    """The face's many points, where it has them: about the five."""
    if face.mesh is None:
        return None
    counts = " or ".join(map(str, MESH_POINTS))
    try:
        mesh = np.asarray(face.mesh, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise _refusal(locator, f"a mesh of no numbers ({error})", where, image, "needed are floats") from error
    if mesh.ndim != 2 or mesh.shape[1] != 2 or len(mesh) not in MESH_POINTS:
        found = f"landmarks of {len(mesh) if mesh.ndim else 0} points in a mesh of shape {mesh.shape}"
        raise _refusal(locator, found, where, image, f"needed are {counts} points of x and y")
    if not np.isfinite(mesh).all() or np.abs(mesh - landmarks.mean(axis=0)).max() > _FARTHEST * max(image.shape[:2]):
        raise _refusal(locator, "a mesh far from its face", where, image, "needed are finite points about the face")
    return mesh


def _parts(face: Face, box: np.ndarray, locator: FaceLocator, image: np.ndarray, where: str) -> FaceParts | None:
    """The boxes of its outline and lips, where it has them: about its own."""
    if face.parts is None:
        return None
    for name in ("face", "lips"):
        try:
            part = np.array([float(number) for number in getattr(face.parts, name)])
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise _refusal(
                locator, f"a {name} box of no numbers ({error})", where, image, "needed are floats"
            ) from error
        if part.shape != (4,) or not np.isfinite(part).all() or part[2:].min() <= 0:
            raise _refusal(locator, f"the {name} box {_plain(part)}", where, image, "needed are x, y, w, h of a box")
        if np.abs(part - box).max() > _FARTHEST * max(image.shape[:2]):
            raise _refusal(locator, f"the {name} box {_plain(part)}", where, image, "needed is one about the face")
    return face.parts


def _overlaps(face: Face, height: int, width: int) -> bool:
    x, y, w, h = face.box
    return x < width and y < height and x + w > 0 and y + h > 0


def _plain(numbers: np.ndarray) -> str:
    return f"[{', '.join(f'{number:.5g}' for number in numbers.ravel()[:4])}]"


def _refusal(locator: FaceLocator, what: str, where: str, image: np.ndarray, needed: str) -> InputError:
    height, width = image.shape[:2]
    return InputError(
        f"{locator.name} found {what} in {where} ({width} x {height} pixels); {needed}: give another detector file, or "
        "landmarks of this very picture or video"
    )
