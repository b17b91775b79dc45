"""A clip at a glance: which frames are chosen, where they stand, and that nothing of use is ever overwritten."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError, OutputError
from hp_trt.media import contact_sheet
from hp_trt.media.contact_sheet import CELL_PX, check_sheet, evenly_spaced, write_sheet
from hp_trt.media.video_writer import VideoWriter

PORTRAIT, DRIVING, RESULT = (200, 40, 40), (40, 200, 40), (40, 40, 200)


def video(path: Path, colour, frames: int, size=(64, 64)) -> Path:
    """Frames of one colour, each a little darker than the one before."""
    with VideoWriter(path, width=size[0], height=size[1]) as writer:
        for number in range(frames):
            writer.write(np.full((size[1], size[0], 3), colour, np.uint8) - np.uint8(2 * number))
    return path


@pytest.fixture
def files(tmp_path):
    """Portrait, driving video and result of 12 frames, told apart by their colours."""
    portrait = tmp_path / "p.png"
    Image.new("RGB", (300, 200), PORTRAIT).save(portrait)
    return {
        "portrait": portrait,
        "driving": video(tmp_path / "d.mp4", DRIVING, 12, (96, 64)),
        "result": video(tmp_path / "r.mp4", RESULT, 12),
    }


def patches(sheet: np.ndarray, colour) -> list[tuple[int, int, int]]:
    """(x, y, brightness) of each patch of about this colour along its middle line, from left to right."""
    channel = int(np.argmax(colour))
    strong = (sheet[..., channel] > 120) & (np.delete(sheet, channel, axis=2).max(axis=2) < 90)
    rows = np.flatnonzero(strong.any(axis=1))
    y = int(rows.mean())
    edges = np.flatnonzero(np.diff(np.concatenate([[0], strong[y].astype(int), [0]])))
    return [(int(a), y, int(sheet[y, (a + b) // 2, channel])) for a, b in edges.reshape(-1, 2)]


@pytest.mark.parametrize(
    ("total", "chosen"),
    [(1, [0]), (2, [0, 1]), (8, list(range(8))), (9, [0, 1, 2, 3, 5, 6, 7, 8]), (50, [0, 7, 14, 21, 28, 35, 42, 49])],
)
def test_frames_are_evenly_spaced_from_the_first_to_the_last(total, chosen):
    assert evenly_spaced(total, 8) == chosen


def test_the_portrait_stands_left_and_each_driving_frame_above_its_result(files, tmp_path):
    write_sheet(tmp_path / "s.png", **files, frames=12)
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    [(portrait_x, portrait_y, _)] = patches(sheet, PORTRAIT)
    driving, result = patches(sheet, DRIVING), patches(sheet, RESULT)
    assert len(driving) == len(result) == 8
    assert portrait_x < driving[0][0] and driving[0][1] < portrait_y < result[0][1]
    steps = np.diff([x for x, _, _ in driving])
    assert len(set(steps)) == 1 and steps[0] >= CELL_PX
    assert np.allclose([d[0] for d in driving], [r[0] for r in result], atol=1)
    # Frame n is 2n levels darker than the first: these are frames 0, 2, 3, 5, 6, 8, 9 and 11. H.264 keeps levels by 3.
    for row in (driving, result):
        darker = [row[0][2] - level for _, _, level in row]
        assert np.allclose(darker, [2 * n for n in (0, 2, 3, 5, 6, 8, 9, 11)], atol=3)


def test_a_clip_shorter_than_a_row_shows_each_frame_once(files, tmp_path):
    files["driving"], files["result"] = (video(tmp_path / f"{n}.mp4", c, 3) for n, c in ((1, DRIVING), (2, RESULT)))
    write_sheet(tmp_path / "s.png", **files, frames=3)
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    assert len(patches(sheet, DRIVING)) == len(patches(sheet, RESULT)) == 3


def test_named_pictures_stand_below_pixel_by_pixel(files, tmp_path):
    write_sheet(tmp_path / "plain.png", **files, frames=12)
    shown = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    write_sheet(tmp_path / "s.png", **files, frames=12, below=[("one", shown), ("other", shown[:60, ::-1])])
    plain, sheet = (np.asarray(Image.open(tmp_path / name)) for name in ("plain.png", "s.png"))
    assert (sheet[: len(plain)] == plain).all() and sheet.shape[1] == plain.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(sheet[len(plain) :], (1, 70, 3))[..., 0, :, :]
    at = np.argwhere((windows.reshape(*windows.shape[:2], 70, 3) == shown[0]).all(axis=(2, 3)))
    assert len(at) == 1
    y, x = at[0] + (len(plain), 0)
    assert (sheet[y : y + 90, x : x + 70] == shown).all()


def test_the_cells_are_labelled(files, tmp_path, monkeypatch):
    from PIL import ImageDraw

    said = []
    text = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda pen, at, words, **more: (said.append(words), text(pen, at, words, **more))
    )
    write_sheet(tmp_path / "s.png", **files, frames=12)
    assert said[:3] == ["portrait", "driving", "result"]
    assert said[3:] == [f"{n / 25:.2f} s" for n in (0, 2, 3, 5, 6, 8, 9, 11)]


def test_only_thumbnails_of_the_chosen_frames_are_held(files, tmp_path, monkeypatch):
    made = []
    thumbnail = contact_sheet.thumbnail
    monkeypatch.setattr(contact_sheet, "thumbnail", lambda image: made.append(thumbnail(image)) or made[-1])
    files["driving"] = video(tmp_path / "long.mp4", DRIVING, 60, (640, 480))
    files["result"] = video(tmp_path / "long-result.mp4", RESULT, 60, (640, 480))
    write_sheet(tmp_path / "s.png", **files, frames=60)
    assert len(made) == 1 + 2 * 8
    assert max(max(image.size) for image in made) == CELL_PX


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("s.jpg", OutputError, "is written as .png"),
        ("no/s.png", OutputError, "is no folder; make it first"),
        ("folder.png", OutputError, "is a folder"),
        ("p.png", InputError, "p.png is the portrait itself; give the contact sheet another name"),
        ("link.png", InputError, "link.png is the driving video itself; give the contact sheet another name"),
    ],
)
def test_a_sheet_that_cannot_or_must_not_be_written_is_refused(files, tmp_path, name, error, says):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(files["driving"])
    inputs = {"the portrait": files["portrait"], "the driving video": files["driving"], "the bundle": None}
    with pytest.raises(error, match=says):
        check_sheet(tmp_path / name, inputs)


def test_a_new_name_and_an_old_sheet_may_be_written(files, tmp_path):
    for _ in range(2):
        check_sheet(tmp_path / "s.png", files)
        write_sheet(tmp_path / "s.png", **files, frames=12)


def test_a_full_disk_leaves_the_sheet_that_was_there(files, tmp_path, monkeypatch):
    (tmp_path / "s.png").write_bytes(b"old")
    before = sorted(tmp_path.iterdir())

    def full(image, path, format):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match="could not be written: No space left on device; free some"):
        write_sheet(tmp_path / "s.png", **files, frames=12)
    assert (tmp_path / "s.png").read_bytes() == b"old" and sorted(tmp_path.iterdir()) == before
