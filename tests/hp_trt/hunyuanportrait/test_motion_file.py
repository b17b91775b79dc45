"""A motion file in the place of a driving video: the same clip, bit for bit; or a refusal that says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.encoded.driver import DriverFrame, EncodedDriver
from hp_trt.encoded.encoded_file import EncodedFile
from hp_trt.faces.locators import open_live_locator
from hp_trt.hunyuanportrait.live_crops import LiveCrops
from hp_trt.hunyuanportrait.motion_file import KeptFrame, KeptMotion
from hp_trt.hunyuanportrait.profiles import PROFILES, sampling_of
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.media.video import VideoReader
from runtime.live_windows import LiveWindows
from runtime.stages import Stages
from tests.fakes import FakeBackend
from tests.hp_trt.clips import contents
from tests.hp_trt.encoded.made import BRIEF, FRAMES, forged, shipped_bundle, with_other_graph
from tests.hp_trt.hunyuanportrait import fake_stream
from tests.hp_trt.hunyuanportrait.fake_stream import open_stream


def kept(path, profile="exact", bundle=None, **sampling):
    """The file as a profile takes it."""
    bundle = bundle or shipped_bundle()
    chosen = profile if not isinstance(profile, str) else PROFILES.find(profile)
    chosen = replace(chosen, sampling={**chosen.sampling, **sampling})
    return KeptMotion(bundle, EncodedDriver(path), chosen, sampling_of(bundle.manifest.sampling, chosen))


def test_a_clip_of_the_file_is_the_clip_of_the_video_sound_and_all(made_files, pocket_runtime, tmp_path):
    who = pocket_runtime.portrait(made_files.portrait)
    portrait = pocket_runtime.portrait(made_files.portrait_file)
    for name, one, driving in (("video", who, made_files.driving), ("file", portrait, made_files.motion)):
        out, crop_out = tmp_path / f"{name}.mp4", tmp_path / f"{name}.mov"
        made = pocket_runtime.animate(one, driving, out, crop_out=crop_out, **BRIEF)
        assert (made.frames, made.rate, made.notes) == (FRAMES, 25, ())
    assert contents(tmp_path / "video.mp4").sound
    for suffix in ("mp4", "mov"):
        assert (tmp_path / f"file.{suffix}").read_bytes() == (tmp_path / f"video.{suffix}").read_bytes()


def test_a_live_profile_makes_of_the_file_what_it_makes_of_the_video(made_files, live_runtime, tmp_path):
    live_runtime.animate(made_files.portrait, made_files.driving, tmp_path / "video.mp4", seed=1)
    live_runtime.animate(made_files.portrait_file, made_files.live, tmp_path / "file.mp4", seed=1)
    assert (tmp_path / "file.mp4").read_bytes() == (tmp_path / "video.mp4").read_bytes()


def test_a_portable_file_is_encoded_again_by_another_graph_as_the_video_would_be(made_files, pocket_runtime):
    """It is the same graph under another name, so its tokens are known."""
    other = kept(made_files.portable, bundle=with_other_graph(shipped_bundle(), "motion"))
    assert not other.as_it_is
    session, backend = pocket_runtime.graphs.sessions["motion"], pocket_runtime.backend
    made = backend.download(other.bank(backend, session, stages=Stages()).finish(0))
    np.testing.assert_array_equal(made, EncodedFile(made_files.motion, "motion").array("tokens"))


def test_frames_that_set_the_crop_anew_begin_a_group(made_files, tmp_path):
    path = forged(
        made_files.portable, tmp_path / "x", tensors=put("anew", lambda array: array | np.uint8([0, 0, 1, 0, 1]))
    )
    other = kept(path, bundle=with_other_graph(shipped_bundle(), "motion"))
    assert list(other._groups(2)) == [range(0, 2), range(2, 4), range(4, 5)]
    assert list(other._groups(9)) == [range(0, 2), range(2, 4), range(4, 5)]


def test_a_portable_file_of_live_frames_gives_a_session_their_crops(made_files, live_runtime, tmp_path):
    path = tmp_path / "live.safetensors"
    live_runtime.write_motion(path, driving=made_files.driving, portable=True)
    driver = EncodedDriver(path)
    other = KeptMotion(with_other_graph(shipped_bundle(), "motion"), driver, PROFILES.find("live"), _live_sampling())
    crops = [other.item(frame) for frame, _ in driver.timed()]
    tracked = LiveCrops(open_live_locator("haar"), shipped_bundle().manifest.geometry)
    for number, (crop, image) in enumerate(zip(crops, VideoReader(made_files.driving), strict=True)):
        expected = tracked.crop(image, number)
        for name in ("face_image", "pose_image", "landmarks", "anew"):
            np.testing.assert_array_equal(getattr(crop, name), getattr(expected, name), err_msg=name)


def test_a_file_that_is_not_portable_holds_nothing_but_what_moves(made_files):
    file = EncodedFile(made_files.motion, "motion")
    assert set(file.tensors) == {"tokens", "landmarks", "ticks", "sound", "sound_ticks"}
    assert str(made_files.folder) not in repr(file.about) + repr(file.notes)
    assert {"crops", "anew"} <= set(EncodedFile(made_files.portable, "motion").tensors)


def test_frames_are_at_their_times_and_what_is_known_of_the_video_is_known_of_the_file(made_files):
    video, file = VideoReader(made_files.driving), EncodedDriver(made_files.motion)
    assert file.times == [frame.time_s for frame in video.timed()]
    known = ("width", "height", "rate", "rate_varies", "time_base", "has_sound")
    assert {n: getattr(file.info, n) for n in known} == {n: getattr(video.info, n) for n in known}
    assert file.info.frames == FRAMES


@pytest.mark.parametrize(
    ("path", "profile", "said"),
    [
        ("motion", "live", "was encoded for whole clips, the profile live is as a live session sees frames; encode"),
        ("live", "exact", "was encoded as a live session sees frames, the profile exact is for whole clips"),
        ("portable", "live", "was encoded for whole clips"),
    ],
)
def test_a_file_of_the_other_mode_is_refused_with_the_profile_to_take(made_files, path, profile, said):
    with pytest.raises(InputError, match=said):
        kept(getattr(made_files, path), profile)


def test_a_file_of_another_graph_is_refused_with_both_keys_and_what_to_do(made_files):
    own = shipped_bundle().manifest.graphs["motion"].key[:12]
    with pytest.raises(InputError) as refused:
        kept(made_files.motion, bundle=with_other_graph(shipped_bundle(), "motion"))
    assert f"by a graph motion with the key {own}, that of " in str(refused.value)
    assert "has ffffffffffff" in str(refused.value) and "hp-trt motion --bundle" in str(refused.value)


def test_a_file_of_other_groups_is_refused_and_a_portable_one_is_not(made_files):
    short = replace(PROFILES.find("live"), windows=LiveWindows(size=4, overlap=1, lead_in=0))
    with pytest.raises(InputError, match="7 frames at a time, the first 8, needed are 3, the first 4: how much a face"):
        kept(made_files.live, short)
    assert kept(made_files.portable).as_it_is
    window = shipped_bundle().manifest.frames
    about = {"group": [window - 1, window - 1]}
    path = forged(made_files.portable, made_files.folder / "g", about=lambda said: said["of"]["seen"].update(about))
    assert not kept(path).as_it_is


def test_cuts_matter_where_there_are_any(made_files, tmp_path):
    assert kept(made_files.motion, "balanced").as_it_is  # cuts = "anew", and there is none
    path = forged(made_files.motion, tmp_path / "x", about=lambda said: said["of"]["seen"].update(leaps=2))
    assert kept(path).as_it_is
    with pytest.raises(InputError, match='cuts = "released" and has 2 of them, the profile balanced has "anew"'):
        kept(path, "balanced")


def drop(name):
    return lambda tensors: tensors.pop(name)


def put(name, change):
    return lambda tensors: tensors.update({name: change(tensors[name])})


def nan(array):
    array[-1] = np.nan
    return array


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (drop("landmarks"), "it has no landmarks"),
        (drop("tokens"), "it has no tokens"),
        (drop("ticks"), "it has no ticks"),
        (drop("sound_ticks"), "it has no sound_ticks"),
        (put("tokens", nan), "tokens holds NaN"),
        (put("landmarks", nan), "landmarks holds NaN"),
        (put("landmarks", lambda array: array * 1e9), "outside of any picture"),
        (put("tokens", lambda array: array.astype(np.float16)), r"float16, needed is \(5, .*\) float32"),
        (put("tokens", lambda array: array[:-1]), r"tokens is \[4, .* needed is \(5"),
        (put("landmarks", lambda array: array[:, :4]), r"landmarks is \[5, 4, 2\]"),
        (put("ticks", lambda array: array[::-1]), "times do not increase"),
        (put("ticks", lambda array: array.astype(np.float64)), "needed is .* int64"),
        (put("ticks", lambda array: array + 2**61), "times are of no clock"),
        (put("sound_ticks", lambda array: array[:, :2]), "sound_ticks is"),
        (put("sound", lambda array: array[:0]), "sound has 0 bytes"),
        (lambda tensors: tensors.update(more=np.zeros(3)), "of which nothing is known"),
    ],
)
def test_tensors_that_are_no_motion_are_refused(made_files, tmp_path, tensors, said):
    path = forged(made_files.motion, tmp_path / "x", tensors=tensors)
    with pytest.raises(InputError, match=said) as refused:
        kept(path).bank(_Nothing(), None, stages=Stages())
    assert str(path) in str(refused.value) and "hp-trt motion" in str(refused.value)


def test_a_sound_that_is_none_is_refused_when_it_is_wanted(made_files, pocket_runtime, tmp_path):
    path = forged(made_files.motion, tmp_path / "x", tensors=put("sound", lambda array: array[::-1]))
    with pytest.raises(InputError, match=r"the sound in .* cannot be opened"):
        pocket_runtime.animate(made_files.portrait_file, path, tmp_path / "out.mp4", **BRIEF)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("change", [lambda array: array[: len(array) // 2], lambda array: array[::-1]])
def test_crops_that_end_too_soon_or_are_none_are_refused(made_files, tmp_path, change):
    path = forged(made_files.portable, tmp_path / "x", tensors=put("crops", change))
    other = kept(path, bundle=with_other_graph(shipped_bundle(), "motion"))
    with pytest.raises(InputError, match="the crops of "):
        other.item(DriverFrame(EncodedDriver(path), FRAMES - 1))


@pytest.mark.parametrize("name", ["rate", "time_base", "width"])
def test_numbers_of_the_video_that_cannot_be_are_refused(made_files, tmp_path, name):
    for value in ("0", "1/0", "-25", "nan", "10000000000", "9" * 59, 0, None, [], True):
        path = forged(
            made_files.motion, tmp_path / "x", about=lambda said, v=value: said["of"]["video"].update({name: v})
        )
        with pytest.raises(InputError, match="is no motion file that can be used"):
            EncodedDriver(path)


def test_landmarks_for_a_file_are_refused(made_files, pocket_runtime):
    with pytest.raises(InputError, match="is encoded already, and its faces were found then; leave them out"):
        pocket_runtime.frames(made_files.portrait_file, made_files.motion, landmarks=made_files.driving)
    with pytest.raises(InputError, match="is encoded already"):
        pocket_runtime.portrait(made_files.portrait_file, landmarks=made_files.driving)


def test_a_motion_file_is_not_encoded_again(made_files, pocket_runtime):
    with pytest.raises(InputError, match="cannot be encoded into a motion file; give a driving video"):
        pocket_runtime.write_motion(made_files.folder / "again.safetensors", driving=made_files.motion)


def test_more_frames_than_a_clip_may_have_are_refused(made_files):
    with pytest.raises(InputError, match="5 frames, at most 4 are taken"):
        DrivingFrames(made_files.motion).check_length(FRAMES - 1)


def test_whoever_wants_pictures_of_a_motion_file_is_told_that_there_are_none(made_files):
    with pytest.raises(InputError, match="is a motion file, which has no pictures; give the driving video itself"):
        iter(DrivingFrames(made_files.motion))


def test_a_window_in_which_the_driver_changes_has_pictures_and_what_was_encoded(made_files):
    backend = FakeBackend()
    stream = open_stream(backend)
    crops = [stream.see(fake_stream.picture(20 + 9 * i), i) for i in range(3)]
    alone = backend.download(stream.encode(crops))
    own = np.full(alone.shape[1:], 0.5, alone.dtype)
    mixed = backend.download(open_stream(backend).encode([KeptFrame(own), *crops, KeptFrame(own)]))
    np.testing.assert_array_equal(mixed, np.stack([own, *alone, own]))


def _live_sampling():
    return sampling_of(shipped_bundle().manifest.sampling, PROFILES.find("live"))


class _Nothing:
    """A backend that nothing reaches."""

    asynchronous = False

    def upload(self, array):
        return array

    empty = staticmethod(np.empty)

    def view(self, buffer, start, stop):
        return buffer[start:stop]

    def take(self, source, indices, target):
        target[:] = source[list(indices)]
