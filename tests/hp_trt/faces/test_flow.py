from __future__ import annotations

import cv2
import numpy as np
import pytest

from hp_trt.faces.face import Face
from hp_trt.faces.flow import FlowLocator
from hp_trt.faces.followed import FollowedFace
from hp_trt.faces.haar import HaarLocator
from procedural.clip import clip
from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import face_box, landmarks
from procedural.motion import State

PX = 256


class Known:
    """A locator that finds what it is told, and counts how often it is asked. Faces are those of `faces`, in turn."""

    name, reads_pixels, steadiness = "what is known", True, 0.5

    def __init__(self, *faces: list[Face]) -> None:
        self.faces = list(faces)
        self.asked: list[str] = []

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        self.asked.append("locate")
        return self.faces.pop(0)

    def near(self, image: np.ndarray, face: Face) -> list[Face]:
        self.asked.append("near")
        return self.faces.pop(0)


def drawn(seed: int = 3, state: State | None = None, px: int = PX) -> tuple[np.ndarray, Face]:
    """A drawn picture and its known face."""
    who, state = Identity.random(seed), state or State()
    return draw(who, state, px), Face(
        box=face_box(who, state, px), landmarks=landmarks(who, state, px)[:5].astype(np.float64), score=1.0
    )


def turned(image: np.ndarray, face: Face, *, deg: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """(2, 3): the similarity about the face's middle."""
    x, y, w, h = face.box
    matrix = cv2.getRotationMatrix2D((x + w / 2, y + h / 2), deg, scale)
    matrix[:, 2] += shift
    return matrix


@pytest.mark.parametrize(
    ("deg", "scale", "shift", "px"),
    [
        (0, 1.0, (0, 0), 256),
        (0, 1.0, (5.5, -3.25), 256),
        (4, 1.0, (2, 1), 256),
        (0, 1.05, (0, 0), 256),
        (-3, 0.96, (-4, 2), 256),
        (-3, 0.96, (-12, 6), 900),
        (2, 1.02, (1, 0.5), 90),
    ],
)
def test_a_face_goes_where_its_picture_is_moved_turned_and_grown(deg, scale, shift, px):
    image, face = drawn(px=px)
    matrix = turned(image, face, deg=deg, scale=scale, shift=shift)
    then = cv2.warpAffine(image, matrix, (px, px), borderMode=cv2.BORDER_REPLICATE)
    locator = FlowLocator(Known([face]))
    locator.locate(image)
    [now] = locator.near(then, face)
    # Flow is exact to a fraction of a pixel of the 96 that a face is followed at; a turn carries it to the chin.
    tolerance = 0.02 * face.box[3]
    np.testing.assert_allclose(now.landmarks, face.landmarks @ matrix[:, :2].T + matrix[:, 2], atol=tolerance)
    x, y, w, h = now.box
    middle = matrix[:, :2] @ (face.box[0] + face.box[2] / 2, face.box[1] + face.box[3] / 2) + matrix[:, 2]
    np.testing.assert_allclose((x + w / 2, y + h / 2), middle, atol=tolerance)
    assert (w / face.box[2], h / face.box[3]) == pytest.approx((scale, scale), abs=0.01)


def test_a_followed_face_is_as_true_as_what_the_cascades_find_and_steadier():
    def errors(locator, images, truth):
        weight = locator.steadiness
        followed, before, eyes = FollowedFace(locator, follow=True), None, []
        for number, image in enumerate(images):
            sight = followed.see(image, number)
            assert sight is not None and not sight.held
            points = sight.face.landmarks[:2]
            before = points if before is None else weight * before + (1 - weight) * points  # as the crops steady it
            eyes.append(before)
        off = np.array(eyes) - truth
        return np.linalg.norm(off, axis=2).mean(), np.linalg.norm(np.diff(off, axis=0), axis=2).mean()

    clips = [clip(seed, frames=25, px=PX) for seed in (8, 9, 10)]
    seen = [(made.frames(), made.landmarks()[:, :2]) for made in clips]
    flow_off, flow_jitter = np.mean([errors(FlowLocator(HaarLocator()), *pair) for pair in seen], axis=0)
    haar_off, haar_jitter = np.mean([errors(HaarLocator(), *pair) for pair in seen], axis=0)
    assert flow_off < 1.2 * haar_off  # each look is a throw of the cascades' dice, and flow keeps it for four pictures
    assert flow_jitter < 0.9 * haar_jitter


def test_the_same_pictures_give_the_same_faces():
    def seen():
        followed = FollowedFace(FlowLocator(HaarLocator()), follow=True)
        sights = [followed.see(image, number) for number, image in enumerate(images)]
        return np.array([(*sight.face.box, *sight.face.landmarks.ravel()) for sight in sights])

    images = clip(5, frames=16, px=PX).frames()
    np.testing.assert_array_equal(seen(), seen())


def test_the_locator_looks_on_a_schedule_and_is_believed():
    image, face = drawn()
    found = face.moved(-8, 0, (1, 1))
    known = Known([face], [found], [face])
    locator = FlowLocator(known)
    locator.locate(image)
    now = face
    for _ in range(4):
        [now] = locator.near(image, now)
        np.testing.assert_allclose(now.landmarks, face.landmarks, atol=0.05)  # nothing moved
    assert known.asked == ["locate"]
    assert locator.near(image, now) == [found]
    assert known.asked == ["locate", "near"]
    assert locator.locate(image, 25) == [face]


@pytest.mark.parametrize("what", ["plain", "noise", "another", "turned", "larger", "smaller picture"])
def test_a_face_whose_corners_are_lost_is_looked_for_at_once(what):
    image, face = drawn()
    height = image.shape[0]
    then = {
        "plain": np.full_like(image, 90),
        "noise": np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8),
        "another": np.ascontiguousarray(drawn(8)[0][:, ::-1]),
        "turned": np.ascontiguousarray(image[::-1]),
        "larger": cv2.warpAffine(image, turned(image, face, deg=0, scale=1.4, shift=(0, 0)), (height, height)),
        "smaller picture": image[: height - 2],
    }[what]
    known = Known([face], [])
    locator = FlowLocator(known)
    locator.locate(image)
    assert locator.near(then, face) == []
    assert known.asked == ["locate", "near"]


def test_what_covers_the_face_is_not_followed_away_with_it():
    image, face = drawn()
    x, y, w, h = (round(number) for number in face.box)
    known = Known([face], [])
    locator = FlowLocator(known)
    locator.locate(image)
    then = image.copy()
    then[y : y + h, x : x + round(0.8 * w)] = (200, 150, 120)  # a hand
    assert locator.near(then, face) == []


def test_a_face_of_another_picture_is_left_to_the_locator():
    image, face = drawn()
    other = Face(box=face.box, landmarks=face.landmarks, score=1.0)
    known = Known([face], [other])
    locator = FlowLocator(known)
    locator.locate(image)
    assert locator.near(image, other) == [other]
    assert known.asked == ["locate", "near"]


@pytest.mark.parametrize("shape", [(1, 1, 3), (20, 300, 3), (300, 20, 3)])
def test_thin_pictures_and_faces_outside_of_them_are_followed_nowhere(shape):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    landmarks = np.array([[0, 0], [9, 0], [5, 5], [2, 9], [8, 9]], np.float64)
    for box in [(0.0, 0.0, 10.0, 10.0), (400.0, 400.0, 10.0, 10.0), (-40.0, -40.0, 30.0, 30.0), (0.0, 0.0, 1.0, 1.0)]:
        face = Face(box=box, landmarks=landmarks, score=1.0)
        locator = FlowLocator(Known([face], []))
        locator.locate(image)
        assert locator.near(image, face) == []


def test_it_is_as_steady_as_what_looks():
    assert FlowLocator(HaarLocator()).steadiness == HaarLocator().steadiness
