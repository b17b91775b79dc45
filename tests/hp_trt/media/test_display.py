from __future__ import annotations

import math
import struct
from fractions import Fraction

import numpy as np
import pytest

from hp_trt.media.contact_sheet import write_sheet
from hp_trt.media.video import VideoReader
from tests.hp_trt.awkward_clips import (
    MODES,
    cut_off,
    disc_shape,
    lopsided,
    patch,
    read_clip,
    read_live,
    sizes,
    with_matrix,
    with_pixel_shape,
)
from tests.hp_trt.clips import make_clip, picture

LEVELS = 4  # H.264 and the trip through YUV move a smooth ramp by a few levels
ROUND = 0.08  # a disc of 24 pixels across has edges of a pixel


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
    ],
    ids=["as is", "mirror", "flip", "half", "clockwise", "counterclockwise", "transposed", "transversed"],
)
def test_every_turn_and_mirror_in_the_track_header_is_applied(tmp_path, read, matrix, expected):
    path = lopsided(tmp_path / "a.mp4")
    plain, _ = read(path)
    with_matrix(path, *matrix)  # the same coded pictures: x264 may make others the next time
    images, notes = read(path)
    assert notes == [] and len(images) == 3
    for image, straight in zip(images, plain, strict=True):
        assert np.array_equal(image, expected(straight))


@pytest.mark.parametrize("read", MODES)
def test_an_odd_angle_is_told_and_left(tmp_path, read):
    cos = math.sqrt(0.5)
    images, notes = read(with_matrix(make_clip(tmp_path / "a.mp4", 3), cos, cos, -cos, cos))
    assert np.abs(images[0].astype(int) - picture(0)).max() <= LEVELS
    (note,) = notes
    assert "is turned by an odd angle (-45 degrees)" in note and note.endswith("left as it is")


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
@pytest.mark.parametrize("shape", [Fraction(16, 9), Fraction(3, 4), Fraction(1)])
def test_pixels_become_square(tmp_path, read, name, shape):
    path = with_pixel_shape(tmp_path / name, shape, codec="mpeg4" if name == "a.avi" else "libx264")
    images, notes = read(path)
    assert sizes(images) == {(48, round(64 * shape), 3)} and notes == []
    assert abs(disc_shape(images[-1]) - 1) < ROUND


def test_a_telephones_tall_picture_of_wide_pixels_has_its_face_back(tmp_path):
    info = VideoReader(with_pixel_shape(tmp_path / "a.mp4", Fraction(16, 9), size=(216, 384), count=2)).info
    assert (info.width, info.height) == (384, 384)


@pytest.mark.parametrize("read", MODES)
def test_pixels_are_made_square_before_the_picture_is_turned(tmp_path, read):
    path = with_matrix(with_pixel_shape(tmp_path / "a.mp4", Fraction(2)), 0, 1, -1, 0)
    images, _ = read(path)
    assert sizes(images) == {(128, 48, 3)} and abs(disc_shape(images[0]) - 1) < ROUND


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize(
    ("across", "down", "told"),
    [(1, 10**6, True), (10**6, 1, True), (0, 1, False), (1, 0, False), (0, 0, False), (2**31 - 1, 3, True)],
)
def test_an_absurd_shape_is_told_and_taken_as_square(tmp_path, read, across, down, told):
    path = with_pixel_shape(tmp_path / "a.mp4", Fraction(1), codec="mpeg4")
    images, notes = read(patch(path, b"pasp", 0, struct.pack(">II", across, down)))
    assert sizes(images) == {(48, 64, 3)}
    assert [note.endswith("taken as square") for note in notes] == [True] * told


def joined(folder):
    """Ten frames of wide pixels, then ten of narrow ones."""
    one = with_pixel_shape(folder / "one.ts", Fraction(16, 9), count=10)
    two = with_pixel_shape(folder / "two.ts", Fraction(3, 4), count=10)
    path = folder / "both.ts"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    return path


def test_a_shape_that_changes_on_the_way_leaves_every_face_as_it_was(tmp_path):
    path = joined(tmp_path)
    clip, _ = read_clip(path)
    assert sizes(clip) == {(48, 114, 3)} and len(clip) == 20
    assert all(abs(disc_shape(image) - 1) < ROUND for image in clip)
    live, _ = read_live(path)
    assert [image.shape for image in live] == [(48, 114, 3)] * 10 + [(48, 48, 3)] * 10
    assert all(abs(disc_shape(image) - 1) < ROUND for image in live)


def test_a_contact_sheet_shows_square_pixels(tmp_path):
    driving = with_pixel_shape(tmp_path / "a.mp4", Fraction(2), count=3)
    result = make_clip(tmp_path / "r.mp4", 3)
    from PIL import Image

    Image.fromarray(picture(0)).save(tmp_path / "p.png")
    write_sheet(tmp_path / "s.png", portrait=tmp_path / "p.png", driving=driving, result=result, frames=3)
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    white = (np.abs(sheet.astype(int) - 220).max(axis=2) < 12)[:190, 250:400]
    across, down = white.any(axis=0).sum(), white.any(axis=1).sum()
    assert down > 20 and abs(across / down - 1) < 2 * ROUND


def test_a_file_that_is_cut_off_keeps_its_display(tmp_path):
    path = with_matrix(make_clip(tmp_path / "a.mp4", 60, options={"movflags": "faststart"}), -1, 0, 0, 1)
    images, notes = read_clip(cut_off(path, 0.7))
    assert np.abs(images[0].astype(int) - picture(0)[:, ::-1]).max() <= LEVELS and "cut off" in notes[0]
