from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.faces.face import Face, FaceParts
from hp_trt.faces.found import find_faces, follow_face

IMAGE = np.zeros((100, 200, 3), np.uint8)
SHAPE = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def face(x: float, y: float, w: float, h: float) -> Face:
    return Face(box=(x, y, w, h), landmarks=SHAPE * (w, h) + np.array([x, y]), score=1.0)


def more(**known) -> Face:
    """One that also says where its mesh or its parts are."""
    return Face(box=(10, 10, 50, 60), landmarks=SHAPE * (50, 60) + 10.0, score=1.0, **known)


class Saying:
    """An application's own locator, which says what it is told to."""

    name, reads_pixels, steadiness = "our tracker", True, 0.0

    def __init__(self, answer) -> None:
        self.answer = answer

    def locate(self, image, frame=0):
        return self.answer


class Following(Saying):
    def near(self, image, face):
        return self.answer


@pytest.mark.parametrize(
    "box", [(10, 10, 50, 60), (-30, -40, 60, 80), (150, 20, 80, 90), (-60, -50, 282, 180), (3, 3, 1, 1)]
)
def test_a_face_in_the_picture_or_across_its_edge_is_handed_on_as_it_is(box):
    given = face(*box)
    assert find_faces(Saying([given]), IMAGE) == [given]


@pytest.mark.parametrize("count", [468, 478])
def test_a_mesh_and_the_parts_of_a_face_are_handed_on(count):
    parts = FaceParts(face=(12, 14, 40, 50), lips=(25, 50, 15, 5))
    given = more(mesh=np.linspace((10, 10), (60, 70), count), parts=parts)
    assert find_faces(Saying([given]), IMAGE) == [given]
    (listed,) = find_faces(Saying([more(mesh=given.mesh.tolist(), parts=parts)]), IMAGE)
    assert np.array_equal(listed.mesh, given.mesh) and listed.parts == parts


def test_a_face_wholly_outside_of_the_picture_is_none():
    outside = [face(-61, 10, 60, 60), face(201, 10, 60, 60), face(10, 101, 60, 60)]
    assert find_faces(Saying(outside), IMAGE) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([face(-3e4, -3e4, 6e4, 6e4)], r"a face of 60000 x 60000 pixels in frame 7 .*needed is one of 1 to 283"),
        ([face(0, 0, 300, 20)], "a face of 300 x 20 pixels"),
        ([face(0, 0, 1e300, 20)], r"a face of 1e\+300 x 20 pixels"),
        ([face(0, 0, 20, 0)], "a face of 20 x 0 pixels"),
        ([face(0, 0, -20, 20)], "a face of -20 x 20 pixels"),
        ([face(np.nan, 0, 20, 20)], r"a face with the box \[nan, 0, 20, 20\].*finite"),
        ([face(0, 0, np.inf, 20)], "finite"),
        ([Face(box=(10**400, 0, 5, 5), landmarks=SHAPE, score=1.0)], "a face of no numbers"),
        ([Face(box=("a", 0, 5, 5), landmarks=SHAPE, score=1.0)], "a face of no numbers"),
        ([Face(box=(0, 0, 5), landmarks=SHAPE, score=1.0)], "needed are a box of 4"),
        ([Face(box=(0, 0, 5, 5), landmarks=SHAPE[:4], score=1.0)], r"landmarks of shape \(4, 2\)"),
        ([Face(box=(0, 0, 50, 50), landmarks=SHAPE * 50 - 3200, score=1.0)], "landmarks are 3185 pixels from its box"),
        ([Face(box=(0, 0, 5, 5), landmarks=np.ones((5, 2)), score=1.0)], "five landmarks at one place"),
        ([more(mesh=np.ones((300, 2)))], r"landmarks of 300 points .*needed are 468 or 478 points"),
        ([more(mesh=np.ones((468, 3)))], r"a mesh of shape \(468, 3\)"),
        ([more(mesh=np.full((478, 2), np.nan))], "a mesh far from its face"),
        ([more(mesh=np.full((478, 2), 1e9))], "a mesh far from its face"),
        ([more(mesh="points")], "a mesh of no numbers"),
        ([more(parts=FaceParts(face=(1, 2, 3, 0), lips=(1, 2, 3, 4)))], r"the face box \[1, 2, 3, 0\]"),
        ([more(parts=FaceParts(face=(1, 2, 3, 4), lips=(1, 2)))], r"the lips box \[1, 2\]"),
        ([more(parts=FaceParts(face=(1, 2, 3, 4), lips=(9e9, 2, 3, 4)))], "the lips box .*about the face"),
        ([more(parts=(1, 2, 3, 4))], "a face box of no numbers"),
        ([(0, 0, 5, 5)], "a tuple in frame 7"),
        (None, "a NoneType in frame 7"),
        ([face(0, 0, 5, 5)] * 1001, "1001 faces in frame 7"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the nonsense that is made here
def test_what_is_no_face_of_this_picture_is_refused_whoever_says_so(answer, message):
    with pytest.raises(InputError, match=f"our tracker found.*{message}") as told:
        find_faces(Saying(answer), IMAGE, 7)
    assert "give another detector file, or landmarks of this very picture or video" in str(told.value)
    if answer:
        with pytest.raises(InputError, match="our tracker found"):
            follow_face(Following(answer), IMAGE, face(0, 0, 5, 5))


def test_lists_of_plain_numbers_become_arrays():
    plain = Face(box=[0, 0, 50, 50], landmarks=(SHAPE * 50).tolist(), score=1)
    [made] = find_faces(Saying((plain,)), IMAGE)
    assert made.moved(10, 10, (2, 2)).landmarks[0].tolist() == [10, 20]
    assert made.box == (0.0, 0.0, 50.0, 50.0)


def test_who_follows_nobody_finds_nobody_near():
    assert follow_face(Saying([face(0, 0, 5, 5)]), IMAGE, face(0, 0, 5, 5)) == []


def test_nobody_else_calls_a_locator():
    root = Path(__file__).parents[3]
    calls = {
        str(path.relative_to(root)): re.findall(r"(\w*locator)\.(?:locate|near)\(", path.read_text(encoding="utf-8"))
        for storey in ("hp_trt", "export", "runtime")
        for path in (root / storey).rglob("*.py")
    }
    assert {name: found for name, found in calls.items() if found} == {
        "hp_trt/faces/found.py": ["locator", "locator"],
        # Locators themselves, made of others.
        "hp_trt/faces/flow.py": ["_locator", "_locator"],
        "export/hunyuanportrait/training/recorded.py": ["_locator"],
    }
