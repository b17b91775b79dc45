"""The invisible mark: what it costs a frame, what it outlives, and what is no mark."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.provenance.mark import MOST_FRAMES, THRESHOLD, Found, InvisibleMark, InvisibleMarkFinder
from procedural.clip import clip
from tests.provenance.encoded import decoded, encoded

PAYLOAD = 0xDEADBEEF


@pytest.fixture(scope="module")
def drawn() -> list[np.ndarray]:
    """Half a second of a drawn person, 512 px. Read only."""
    return clip(3, frames=13, px=512).frames()


@pytest.fixture(scope="module")
def marked(drawn) -> list[np.ndarray]:
    mark = InvisibleMark(PAYLOAD)
    return [mark.embed(frame) for frame in drawn]


@pytest.fixture(scope="module")
def at_23(marked) -> list[np.ndarray]:
    return decoded(encoded(marked, crf=23))


def textured(*size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def find(frames) -> Found:
    return InvisibleMarkFinder().find(frames)


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


def test_a_mark_is_found_after_x264_at_crf_28(marked):
    found = find(decoded(encoded(marked, crf=28)))
    assert found.payload == PAYLOAD
    assert found.score > THRESHOLD


def test_a_mark_is_found_at_half_the_size(at_23):
    assert find([cv2.resize(f, (256, 256), interpolation=cv2.INTER_AREA) for f in at_23]).payload == PAYLOAD


def test_a_mark_is_found_in_a_crop_of_300_px(at_23):
    assert find([frame[101:401, 57:357] for frame in at_23]).payload == PAYLOAD


def test_a_mark_is_found_where_contrast_and_size_have_changed(at_23):
    changed = [cv2.convertScaleAbs(cv2.resize(f, (672, 672)), alpha=0.8, beta=15) for f in at_23]
    assert find(changed).payload == PAYLOAD


def test_a_frame_alone_is_found_as_a_jpeg(marked):
    _, file = cv2.imencode(".jpg", marked[0], [cv2.IMWRITE_JPEG_QUALITY, 75])
    assert find([cv2.imdecode(file, cv2.IMREAD_COLOR)]).payload == PAYLOAD


@pytest.mark.parametrize("payload", [0, 1, 2**31, 2**32 - 1])
def test_the_last_payloads_are_found_like_any(drawn, payload):
    assert find([InvisibleMark(payload).embed(drawn[0])]).payload == payload


def test_nothing_is_found_in_unmarked_clips(drawn):
    for frames in (drawn, decoded(encoded(drawn, crf=28)), [textured(200, 300)], clip(9, frames=3, px=128).frames()):
        found = find(frames)
        assert found.payload is None
        assert 0 <= found.score < THRESHOLD


@pytest.mark.parametrize("size", [(512, 512), (128, 128), (1080, 1920), (333, 501)])
def test_a_marked_frame_is_within_42_db_however_textured_it_is(size):
    frame = textured(*size)
    for blurred in (0, 1, 3, 10):
        shown = cv2.GaussianBlur(frame, (0, 0), blurred) if blurred else frame
        assert psnr_db(InvisibleMark(PAYLOAD).embed(shown), shown) >= 42


def test_two_seconds_of_a_drawn_person_grow_by_at_most_8_percent():
    frames, mark = clip(20, frames=50, px=512).frames(), InvisibleMark(PAYLOAD)
    marked = [mark.embed(frame) for frame in frames]
    assert len(encoded(marked, crf=23)) <= 1.08 * len(encoded(frames, crf=23))


def test_near_an_edge_an_even_frame_is_marked_less():
    frame = np.full((512, 512, 3), 128, np.uint8)
    frame[:, :256] = 60
    changed = InvisibleMark(PAYLOAD).embed(frame) != frame
    assert 0 < changed[:, 240:272].mean() < changed[:, :128].mean() / 1.5


def test_an_even_frame_is_marked_by_two_grey_levels_at_most():
    even = np.full((512, 512, 3), 128, np.uint8)
    marked = InvisibleMark(PAYLOAD).embed(even)
    assert 1 <= np.abs(marked.astype(int) - even).max() <= 2
    assert (marked[..., 0] == marked[..., 1]).all() and (marked[..., 0] == marked[..., 2]).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (7, 5), (63, 65), (127, 129), (511, 513)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_black_and_white_do_not_wrap_round_at_any_size(size, grey):
    frame = np.full((*size, 3), grey, np.uint8)
    marked = InvisibleMark(PAYLOAD).embed(frame)
    assert marked.shape == frame.shape
    assert marked.dtype == np.uint8
    assert np.abs(marked.astype(int) - grey).max() <= 8


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (7, 5), (31, 2000)])
def test_of_frames_smaller_than_a_tile_nothing_wrong_is_found(size):
    assert find([InvisibleMark(PAYLOAD).embed(textured(*size))]).payload in (None, PAYLOAD)


def test_a_frame_is_left_as_it_was_and_its_layout_does_not_matter():
    frame = textured(90, 70)
    before, mark = frame.copy(), InvisibleMark(PAYLOAD)
    marked = mark.embed(frame)
    assert np.array_equal(frame, before)
    assert not np.shares_memory(marked, frame)
    frame.flags.writeable = False
    assert np.array_equal(mark.embed(frame), marked)
    assert np.array_equal(mark.embed(np.asfortranarray(frame)), marked)
    assert np.array_equal(InvisibleMark(PAYLOAD).embed(frame[:, ::-1][:, ::-1]), marked)


def test_threads_with_frames_of_other_sizes_may_share_a_mark_and_a_finder():
    frames = [textured(150 + 40 * (i % 3), 180, seed=i) for i in range(12)]
    alone = [InvisibleMark(PAYLOAD).embed(frame) for frame in frames]
    shared, finder = InvisibleMark(PAYLOAD), InvisibleMarkFinder()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(shared.embed, frames * 5))
        found = list(pool.map(lambda frame: finder.find([frame]), alone[:4]))
    assert all(np.array_equal(a, b) for a, b in zip(together, alone * 5, strict=True))
    assert found == [find([frame]) for frame in alone[:4]]


def test_a_finder_looks_at_a_bounded_number_of_frames():
    seen = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal seen
        while True:
            seen += 1
            yield np.zeros((8, 8, 3), np.uint8)

    assert find(endless()) == Found(payload=None, score=0)
    assert seen == MOST_FRAMES


def test_without_a_frame_nothing_is_found():
    assert find([]) == Found(payload=None, score=0)


@pytest.mark.parametrize("payload", [-1, 2**32, 1.0, "7", None, True])
def test_a_payload_that_is_none_is_refused(payload):
    with pytest.raises(InputError, match="whole number from 0 to 4294967295, got"):
        InvisibleMark(payload)


@pytest.mark.parametrize(
    ("frame", "got"),
    [
        (np.zeros((4, 4, 3), np.float32), r"float32 \(4, 4, 3\)"),
        (np.zeros((4, 4), np.uint8), r"uint8 \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), "has pixels; got 4 x 0"),
        ([[[1, 2, 3]]], "list"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_frame_is_refused_with_what_it_is(frame, got):
    with pytest.raises(InputError, match=got):
        InvisibleMark(1).embed(frame)
    with pytest.raises(InputError, match=got):
        find([frame])


def test_frames_of_two_sizes_are_refused_together():
    with pytest.raises(InputError, match="of one size, got 9 x 8, then 8 x 9; give each part of the clip alone"):
        find([np.zeros((8, 9, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)])
