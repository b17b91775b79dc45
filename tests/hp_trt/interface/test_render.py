from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hp_trt.interface.render import render_resumable, render_whole
from hp_trt.media.portrait import Portrait
from hp_trt.media.video import VideoReader, probe
from hp_trt.model import Clip
from hp_trt.resume.loop_state import LoopState
from procedural.motion import State
from procedural.people import Person
from runtime.stages import Stages
from tests.hp_trt.clips import make_clip


@pytest.mark.parametrize("quick", [False, True])
def test_a_clip_and_its_crop_are_written_as_quickly_as_asked(tmp_path, quick):
    driving = make_clip(tmp_path / "a.mp4", 3)
    crops = [np.full((32, 32, 3), level, np.uint8) for level in (10, 90, 200)]

    def begin() -> Clip:
        frames = ((number, None, crop) for number, crop in enumerate(crops))
        return Clip(frames=frames, notes=list)

    portrait = SimpleNamespace(
        image=np.zeros((48, 64, 3), np.uint8),
        square=None,
        notes=(),
        paste=lambda crop: np.resize(crop, (48, 64, 3)),
    )
    out, crop_out = tmp_path / "out.mp4", tmp_path / "crop.mp4"
    made = render_whole(
        begin, portrait, out=out, crop_out=crop_out, side_px=32, driving=probe(driving), quick=quick, stages=Stages()
    )
    assert made.frames == 3
    for path in (out, crop_out):
        levels = [frame.mean() for frame in VideoReader(path)]
        assert levels == pytest.approx([10, 90, 200], abs=3)  # as the encoder rounds them
        assert (b"subme=0" in path.read_bytes()) == quick  # x264 writes its settings into the file


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("lost", [False, True])
def test_a_face_that_was_lost_is_told_with_the_result_and_to_whoever_writes_sidecars(tmp_path, in_chunks, lost):
    square = Person.random(3).draw(State(), 128)
    made_square = cv2.GaussianBlur(square, (0, 0), 8) if lost else square
    driving = make_clip(tmp_path / "a.mp4", 2)
    portrait = Portrait(
        image=square, path=None, notes=("of the portrait",), paste=lambda crop: crop, encoded=None, box=(0, 0, 128, 128)
    )
    told = []
    seal = SimpleNamespace(
        told=lambda: ("before",),
        facts={},
        marked=lambda image: image,
        sealed=lambda part, name, notes=(): told.extend(seal.told()) or part,
        notes_of=lambda files: [],
    )

    def begin(state=None) -> Clip:
        frames = ((number, None, made_square) for number in range(2))
        # A live session tells its portrait's notes once more.
        return Clip(frames=frames, notes=lambda: ["of the portrait", "of the clip"], state=lambda: LoopState())

    where = {"out": tmp_path / "out.mp4", "crop_out": None, "side_px": 128, "stages": Stages(), "seal": seal}
    if in_chunks:
        made = render_resumable(begin, portrait, **where, inputs={}, facts={}, resume="new")
    else:
        made = render_whole(begin, portrait, **where, driving=probe(driving), quick=True)
    assert made.notes[:2] == ("of the portrait", "of the clip")
    assert [note.startswith("the face of the portrait seems lost") for note in made.notes[2:]] == [True] * lost
    assert told == ["before", *made.notes[:2], *made.notes[2:]]
