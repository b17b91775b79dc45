"""What a whole run makes of videos whose face is gone for a while, is one of two, or is cut to another place."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import FaceNotFound
from hp_trt import Runtime, RuntimeConfig
from hp_trt.faces.face import Face
from hp_trt.faces.landmarks_file import LandmarksFile
from procedural.clip import clip
from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import face_box, landmarks
from procedural.motion import State

LIVE = '[here]\nbase = "live"\nwindow = 3\noverlap = 1\n'


@pytest.fixture(scope="module", params=["exact", "live"])
def runtime(request, live_bundle, tmp_path_factory):
    profile = request.param
    if profile == "live":  # the small bundle's windows are of three frames
        file = tmp_path_factory.mktemp("profile") / "live.toml"
        file.write_text(LIVE)
        profile = str(file)
    with Runtime(live_bundle, RuntimeConfig(profile=profile)) as opened:
        yield opened


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return draw(Identity.random(0), State(), 128)


@pytest.fixture(scope="module")
def driving() -> list[np.ndarray]:
    return clip(2, frames=14, px=112).frames()


def made(runtime: Runtime, portrait: np.ndarray, driving: list[np.ndarray], **options) -> np.ndarray:
    return np.stack([frame.crop for frame in runtime.frames(portrait, driving, steps=1, pad_frames=0, **options)])


def test_black_frames_are_what_the_last_frame_with_the_face_would_make_again(runtime, portrait, driving, monkeypatch):
    # Where a face that stands still is followed by flow for some pictures, the cascade's next look moves it a little.
    monkeypatch.setattr("hp_trt.faces.flow._LOOK_AGAIN", 1)
    black = [image * 0 if 5 <= i < 10 else image for i, image in enumerate(driving)]
    again = [driving[4] if 5 <= i < 10 else image for i, image in enumerate(driving)]
    np.testing.assert_array_equal(made(runtime, portrait, black), made(runtime, portrait, again))


def test_black_frames_at_the_start_are_what_the_first_with_a_face_would_make(runtime, portrait, driving):
    black = [image * 0 if i < 3 else image for i, image in enumerate(driving[:6])]
    if runtime.profile.mode == "live":  # nothing is made of them, as nobody has been seen
        assert len(made(runtime, portrait, black)) == 3
    else:
        again = [driving[3]] * 3 + driving[3:6]
        np.testing.assert_array_equal(made(runtime, portrait, black), made(runtime, portrait, again))


def test_a_video_without_any_face_is_told(runtime, portrait, driving):
    with pytest.raises(FaceNotFound, match="no face in any of the 4"):
        made(runtime, portrait, [image * 0 for image in driving[:4]])


def test_of_two_people_one_alone_drives(runtime, portrait):
    """The other's face is known, or not known at all: the result is the same."""
    both, frames = [], []
    for i in range(8):
        wave = 0.06 * np.sin(2 * np.pi * i / 8)
        tiles, faces = [], []
        for seed, scale in ((3, 0.905 + wave), (4, 0.9 - wave)):
            who, state = Identity.random(seed), State(scale=scale, jaw=0.05 * i)
            x, y, w, h = face_box(who, state, 96)
            at = np.array([96 * len(tiles), 0])
            faces.append(Face(box=(x + at[0], y, w, h), landmarks=landmarks(who, state, 96)[:5] + at, score=1.0))
            tiles.append(draw(who, state, 96))
        frames.append(np.hstack(tiles))
        both.append(faces)
    ours = int(both[0][1].area > both[0][0].area)
    crowd, alone = (LandmarksFile(faces, height=96, width=192) for faces in (both, [[faces[ours]] for faces in both]))
    assert any((faces[ours].area < faces[1 - ours].area) for faces in both)
    np.testing.assert_array_equal(
        made(runtime, portrait, frames, landmarks=crowd), made(runtime, portrait, frames, landmarks=alone)
    )
