from __future__ import annotations

import threading
import weakref

import cv2
import numpy as np
import pytest

from engines.errors import Cancelled, FaceNotFound
from hp_trt.enhancer.pipeline import Resting, Wanted, enhanced, result_size, waiting_frames
from runtime.enhancer.detector import FoundFace
from runtime.stages import Stages
from tests.golden_cases import HALLO2_FOLDER, Case, golden_cases, load_case

FACE = 200


class Recorded:
    """The stand-ins that the golden program was recorded with."""

    restores = True

    def __init__(self, case: Case) -> None:
        self._case, self._frame = case, 0

    def detect(self, picture):
        assert min(picture.shape[:2]) == 512
        number, scale = self._frame, 640 / 512  # as the detector sees it
        self._frame += 1
        rows = self._case.inputs["detections"][number][: self._case.inputs["detection_counts"][number]]
        return [
            FoundFace(box=row[:4] / scale, score=row[4], points=(row[5:] / scale).reshape(5, 2)) for row in rows
        ]  # fmt: skip

    def restore(self, faces, fidelity):
        x = np.stack(faces).astype(np.float32) / 255 * 2 - 1
        made = 0.5 * x + 0.5 * x.mean(axis=0)
        return list(np.rint((np.clip(made, -1, 1) + 1) / 2 * 255).astype(np.uint8))

    def labels(self, face):
        assert face.shape == (512, 512, 3)
        return self._case.inputs["labels"]

    def enlarge(self, picture, scale):
        return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)


@golden_cases(targets=("restore_program",), folder=HALLO2_FOLDER)
def test_the_enhancers_released_way_matches_the_golden_program(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    frames = case.inputs["frames"][..., ::-1]  # BGR as recorded
    wanted = Wanted(scale=case.options["scale"], face_upsample=case.options["face_upsample"], released=True)
    made = list(
        enhanced(lambda n: ((f, None) for f in frames[n:]), Recorded(case), wanted, stages=Stages(), frame_bytes=1)
    )
    ends = [0, *(frame.after.done for frame in made if frame.after)]
    starts = [max(end - 4, 0) for end in ends[:-1]]
    assert [end - start for start, end in zip(starts, ends[1:], strict=True)] == case.outputs["windows"].tolist()
    assert len(made) == case.outputs["num_frames"][0]
    pictures = np.stack([frame.image[..., ::-1] for frame in made])
    for part in case.facts["outputs"]["frames"]["select"]:
        pictures = np.take(pictures, part["indices"], axis=part["axis"])
    assert np.abs(pictures.astype(int) - case.outputs["frames"]).max() <= 2


class Plain:
    """A face wherever `where` says so, by frame: (left, score) of squares of 40 px. Restored ones are white."""

    restores = True

    def __init__(self, where) -> None:
        self._where, self.windows, self.detected = where, [], []

    def detect(self, picture):
        number = int(picture[0, 0, 0])
        self.detected.append(number)
        points = np.array(((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75)))
        return [
            FoundFace(box=np.array((left, 10, left + 40, 50), np.float32), score=score, points=(left, 10) + 40 * points)
            for left, score in self._where(number)
        ]

    def restore(self, faces, fidelity):
        self.windows.append(len(faces))
        return [np.full((512, 512, 3), FACE, np.uint8) for _ in faces]

    def labels(self, face):
        return np.ones((512, 512), np.uint8)

    def enlarge(self, picture, scale):
        return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def numbered(count, size=(160, 60)):
    frames = np.zeros((count, size[1], size[0], 3), np.uint8)
    frames[..., 1] = np.linspace(20, 140, size[0])  # one colour alone would count as grey
    frames[:, 0, 0, 0] = np.arange(count)
    return lambda first: ((frame, None) for frame in frames[first:])


def run(networks, count=20, **options):
    start = options.pop("start", None)
    wanted = Wanted(scale=2, **options)
    frames = numbered(count)
    return list(enhanced(frames, networks, wanted, stages=Stages(), frame_bytes=1, start=start))


def restored_at(frame, left):
    return bool((frame.image[60, 2 * left + 40] > 190).all())


def test_all_frames_come_and_keep_their_size_where_the_released_program_loses_the_last_and_enlarges():
    ours, released = run(Plain(lambda _: [(10, 1)]), 3), run(Plain(lambda _: [(10, 1)]), 3, released=True)
    assert [frame.index for frame in ours] == [0, 1, 2] and len(released) == 2
    assert ours[0].image.shape == (120, 320, 3) and released[0].image.shape == (1024, 2730, 3)
    assert result_size(160, 60, scale=2, released=False) == (320, 120)
    assert result_size(160, 60, scale=2, released=True) == (2730, 1024)


def test_the_best_face_is_restored_where_the_released_program_takes_the_worst():
    two = Plain(lambda _: [(10, 0.99), (100, 0.9)])
    assert all(restored_at(frame, 10) and not restored_at(frame, 100) for frame in run(two, 3))


def test_frames_without_a_face_are_enlarged_alone_and_leave_the_window():
    networks = Plain(lambda number: [] if number in (3, 4, 17) else [(10, 1)])
    made = run(networks)
    assert [frame.index for frame in made if not frame.has_face] == [3, 4, 17]
    assert not restored_at(made[3], 10) and restored_at(made[5], 10)
    assert networks.windows == [14, 7], "and a window's first frames are seen again"


def test_a_clip_without_a_face_is_enlarged_and_the_released_way_refuses_it():
    networks = Plain(lambda _: [])
    assert not any(frame.has_face for frame in run(networks)) and networks.windows == [0, 0]
    with pytest.raises(FaceNotFound, match="frame 0 shows no face"):
        run(Plain(lambda _: []), released=True)


def test_a_run_that_is_gone_on_with_makes_the_frames_that_are_left():
    def where(number):  # who was followed matters behind the first window
        return [(10, 0.9), (100, 0.99)] if number > 2 else [(10, 0.9)]

    whole = run(Plain(where), 34)
    for done in [frame.after for frame in whole if frame.after]:
        networks = Plain(where)
        rest = run(networks, 34, start=done)
        assert [frame.index for frame in rest] == list(range(done.done, 34))
        assert all((a.image == b.image).all() for a, b in zip(rest, whole[done.done :], strict=True))
        assert not networks.detected or networks.detected[0] == done.done - 4


@pytest.mark.parametrize("count", [1, 16, 17])
def test_a_video_of_any_length_has_all_its_frames(count):
    made = run(Plain(lambda number: [(10, 1)] if number < 2 else []), count)
    assert len(made) == count and made[-1].after.done == count


def test_leaving_early_ends_the_threads_and_so_does_a_call_off():
    frames = enhanced(numbered(60), Plain(lambda _: []), Wanted(scale=2), stages=Stages(), frame_bytes=1)
    next(frames)
    frames.close()
    off = threading.Event()
    called = enhanced(
        numbered(60), Plain(lambda _: []), Wanted(scale=2), stages=Stages(cancel=off), frame_bytes=1
    )  # fmt: skip
    next(called)
    off.set()
    with pytest.raises(Cancelled):
        list(called)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("enhance-")]


@pytest.mark.parametrize(("frame_bytes", "waiting"), [(1, 12), (1 << 30, 2)])
def test_however_long_a_video_is_two_windows_of_its_frames_are_held(frame_bytes, waiting):
    alive, most = weakref.WeakSet(), 0

    class Picture(np.ndarray):
        """Which a weak set can hold."""

    def frames(first):
        nonlocal most
        for number in range(first, 150):
            picture = np.zeros((60, 160, 3), np.uint8).view(Picture)
            picture[0, 0, 0] = number
            alive.add(_Held(picture))
            most = max(most, len(alive))
            yield picture, None

    class _Held:
        def __init__(self, picture):
            picture.held = self

    made = enhanced(frames, Plain(lambda _: []), Wanted(scale=2), stages=Stages(), frame_bytes=frame_bytes)
    assert sum(1 for _ in made) == 150
    assert 16 < most <= 16 + 2 * waiting + 10


def test_few_large_frames_wait_and_a_window_of_small_ones():
    assert waiting_frames(512 * 512 * 3) == 12 and waiting_frames(3840 * 2160 * 3) == 2
    assert Resting.first().done == 0
