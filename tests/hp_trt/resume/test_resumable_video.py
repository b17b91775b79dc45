from __future__ import annotations

import os
from fractions import Fraction

import av
import numpy as np
import pytest

from engines.errors import Cancelled, InputError, OutputError
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from hp_trt.resume.loop_state import LoopState
from hp_trt.resume.resumable_video import ResumableVideo, Track, store_of
from tests.hp_trt.clips import make_clip
from tests.hp_trt.resume.rendering import CROP, FACTS, FRAMES, SIZE, Loop, decoded, render, tracks


def write_and_raise(video: ResumableVideo, error: type[BaseException]) -> None:
    """Three frames of the next chunk, and an error of the loop."""
    for picture in Loop(video.state).chunk(3):
        video.write({"out": picture, "crop": picture[:CROP, :CROP]})
    raise error


def call_off(video: ResumableVideo) -> None:
    """Behind its first chunk."""
    with video:
        loop = Loop(video.state)
        for picture in loop.chunk():
            video.write({"out": picture, "crop": picture[:CROP, :CROP]})
        video.close_chunk(loop.state())
        raise Cancelled("a button")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted run of three chunks makes."""
    folder = tmp_path_factory.mktemp("whole")
    render(folder)
    return folder


def test_a_run_that_was_left_goes_on_and_its_result_is_that_of_a_whole_one(tmp_path, whole):
    render(tmp_path, until=1)
    assert sorted(os.listdir(tmp_path)) == ["talk.mp4.resume"]
    video = render(tmp_path, mode="resume", until=2)
    assert video.notes == []
    video = render(tmp_path, mode="resume")
    assert (video.frames, video.chunks) == (3 * FRAMES, 3)  # of a store that is gone
    assert sorted(os.listdir(tmp_path)) == ["crop.mkv", "talk.mp4"]
    for name in ("talk.mp4", "crop.mkv"):
        assert decoded(tmp_path / name) == decoded(whole / name)
    assert (tmp_path / "talk.mp4").read_bytes() == (whole / "talk.mp4").read_bytes()  # Matroska has random numbers


def test_frame_i_is_at_i_over_the_rate_and_decoding_times_increase(whole):
    for name in ("talk.mp4", "crop.mkv"):
        times = [time_s for time_s, _ in decoded(whole / name)["pictures"]]
        assert times == [Fraction(i, 25) for i in range(3 * FRAMES)]
    with av.open(str(whole / "talk.mp4")) as file:
        stream = file.streams.video[0]
        packets = [packet for packet in file.demux(stream) if packet.size]
        assert (stream.average_rate, stream.duration * stream.time_base) == (25, Fraction(3 * FRAMES, 25))
        assert [packet.dts * stream.time_base for packet in packets] == [
            Fraction(i - 2, 25) for i in range(len(packets))
        ]
        assert all(packet.pts >= packet.dts for packet in packets)
        assert sum(packet.is_keyframe for packet in packets) == 3


def test_pictures_are_those_that_were_written(whole):
    found = np.array(list(VideoReader(whole / "talk.mp4")), int)
    assert found.shape == (3 * FRAMES, 36, 46, 3)
    given = np.array(list(Loop(None).chunk(3 * FRAMES)), int)
    off = np.abs(found[:, None, :35] - given[None]).mean((2, 3, 4))
    assert off.diagonal().max() < 9  # colours at half the resolution, of blocks of seven pixels
    assert (off.argmin(1) == np.arange(3 * FRAMES)).all()


def test_a_chunk_is_encoded_as_the_video_writer_does(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", width=SIZE[0], height=SIZE[1]) as writer:
        for picture in Loop(None).chunk():
            writer.write(picture)
    render(tmp_path, chunks=1)
    headers = []
    for name in ("a.mp4", "talk.mp4"):
        with av.open(str(tmp_path / name)) as file:
            coder = file.streams.video[0].codec_context
            headers.append((coder.extradata, coder.colorspace, coder.pix_fmt, coder.profile))
    assert headers[0] == headers[1]


def test_chunks_of_one_frame_and_of_two_are_joined_like_any_other(tmp_path):
    """The encoder's own decoding times of so few frames are others."""
    lengths = [1, 2, 7, 1]
    with ResumableVideo(tracks(tmp_path, crop=False), facts=FACTS) as video:
        loop = Loop(None)
        for length in lengths:
            for picture in loop.chunk(length):
                video.write({"out": picture})
            video.close_chunk(loop.state())
        video.finish()
    found = decoded(tmp_path / "talk.mp4")["pictures"]
    assert [time_s for time_s, _ in found] == [Fraction(i, 25) for i in range(sum(lengths))]


def test_a_run_that_is_there_is_neither_begun_over_nor_gone_on_with_unasked(tmp_path):
    render(tmp_path, until=2)
    with pytest.raises(InputError) as found:
        render(tmp_path)
    assert str(found.value) == (
        f"{tmp_path}/talk.mp4.resume/ holds an unfinished run (2 chunks, 0.40 s); go on with --resume, or begin anew "
        "with --restart"
    )
    assert render(tmp_path, until=2, mode="resume").chunks == 2


def test_a_restart_begins_at_the_first_frame_under_any_facts(tmp_path, whole):
    render(tmp_path, until=2, facts={"options": {"seed": 4}})
    begun = []
    render(tmp_path, mode="restart", tell=lambda video: begun.append(video.frames))
    assert begun[0] == 0
    assert decoded(tmp_path / "talk.mp4") == decoded(whole / "talk.mp4")


def test_to_go_on_with_nothing_is_to_begin_and_told(tmp_path, whole):
    video = render(tmp_path, mode="resume")
    assert video.notes == [f"{tmp_path}/talk.mp4.resume/ holds no finished chunk: the run begins at its first frame"]
    assert decoded(tmp_path / "talk.mp4") == decoded(whole / "talk.mp4")


def test_another_run_than_the_one_that_was_begun_is_refused_and_says_what_differs(tmp_path):
    render(tmp_path, until=1)
    other = {"portrait": "b" * 64, "options": {"seed": 3, "steps": 20}, "guidance": 3.5}
    with pytest.raises(InputError) as found:
        render(tmp_path, facts=other, mode="resume")
    assert "portrait differs; options.steps was 40, is 20; guidance is new" in str(found.value)
    assert "or begin anew with --restart" in str(found.value)
    with pytest.raises(InputError, match=r"video\.tracks\.crop is missing now"):
        render(tmp_path, crop=False, mode="resume")
    assert render(tmp_path, until=1, mode="resume").chunks == 1


def test_two_runs_at_one_result_at_once_are_refused(tmp_path):
    says = f"is being written by process {os.getpid()} on .*; wait until it is done"
    with ResumableVideo(tracks(tmp_path), facts=FACTS), pytest.raises(InputError, match=says):
        ResumableVideo(tracks(tmp_path), facts=FACTS, mode="restart")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_in_the_block_keeps_what_is_done_and_leaves_no_half_result(tmp_path, whole, error):
    (tmp_path / "talk.mp4").write_bytes(b"the old result")
    render(tmp_path, until=1)
    with pytest.raises(error), ResumableVideo(tracks(tmp_path), facts=FACTS, mode="resume") as video:
        write_and_raise(video, error)
    assert (tmp_path / "talk.mp4").read_bytes() == b"the old result"
    assert sorted(os.listdir(tmp_path)) == ["talk.mp4", "talk.mp4.resume"]
    assert not [name for name in os.listdir(tmp_path / "talk.mp4.resume") if name.endswith(".part")]
    render(tmp_path, mode="resume")
    assert decoded(tmp_path / "talk.mp4") == decoded(whole / "talk.mp4")


@pytest.mark.parametrize("mode", ["new", "restart", "resume"])
def test_calling_a_run_off_leaves_nothing_unless_it_was_begun_to_be_gone_on_with(tmp_path, mode):
    with pytest.raises(Cancelled):
        call_off(ResumableVideo(tracks(tmp_path), facts=FACTS, mode=mode))
    assert [path.is_dir() for path in tmp_path.iterdir()] == ([] if mode == "new" else [True])


def test_a_run_that_failed_before_its_first_chunk_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), ResumableVideo(tracks(tmp_path), facts=FACTS) as video:
        write_and_raise(video, RuntimeError)
    assert os.listdir(tmp_path) == []


def test_not_a_single_frame_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="not a single frame"), ResumableVideo(tracks(tmp_path), facts=FACTS) as video:
        video.finish()
    assert os.listdir(tmp_path) == []


def test_frames_that_do_not_fit_and_frames_without_a_chunk_are_programming_errors(tmp_path):
    with ResumableVideo(tracks(tmp_path, crop=False), facts=FACTS) as video:
        with pytest.raises(ValueError, match=r"got \['crop'\]"):
            video.write({"crop": np.zeros((1, 1, 3), np.uint8)})
        with pytest.raises(ValueError, match="46 x 35"):
            video.write({"out": np.zeros((46, 35, 3), np.uint8)})
        with pytest.raises(ValueError, match="at least one frame"):
            video.close_chunk(LoopState())
        video.write({"out": np.zeros((35, 46, 3), np.uint8)})
        with pytest.raises(ValueError, match="1 frames belong to no chunk"):
            video.finish()
    with pytest.raises(ValueError, match="this run is over"):
        video.write({"out": np.zeros((35, 46, 3), np.uint8)})


def test_places_where_no_result_can_be_are_told_before_anything_is_made(tmp_path):
    with pytest.raises(OutputError, match="is no folder; make it first"):
        ResumableVideo(tracks(tmp_path / "missing"), facts=FACTS)
    with pytest.raises(OutputError, match=r"written as \.mp4, \.mov, \.mkv"):
        ResumableVideo(tracks(tmp_path, out="talk.gif"), facts=FACTS)
    sound = make_clip(tmp_path / "talk.mp4", 3, audio="aac")
    with pytest.raises(InputError, match="is the sound itself"):
        ResumableVideo(tracks(tmp_path), facts=FACTS, sound=sound)
    with pytest.raises(InputError, match="is the portrait itself"):
        ResumableVideo(tracks(tmp_path), facts=FACTS, inputs={"the portrait": sound})
    one = Track(path=sound, width=2, height=2)
    with pytest.raises(InputError, match="would be one file"):
        ResumableVideo({"out": one, "crop": one}, facts=FACTS)
    with pytest.raises(InputError, match=r"no such file"):
        ResumableVideo(tracks(tmp_path), facts=FACTS, sound=tmp_path / "no.wav")
    assert os.listdir(tmp_path) == ["talk.mp4"]
    store_of(sound).write_bytes(b"mine")
    with pytest.raises(OutputError, match="resume is a file"):
        ResumableVideo(tracks(tmp_path), facts=FACTS)
    assert store_of(sound).read_bytes() == b"mine"


def test_an_input_in_the_folder_of_the_unfinished_run_is_not_taken(tmp_path):
    render(tmp_path, until=1)
    chunk = tmp_path / "talk.mp4.resume" / "000000.out.mp4"
    with pytest.raises(InputError, match="lies in"):
        ResumableVideo(tracks(tmp_path), facts=FACTS, mode="resume", sound=chunk)


def test_a_size_that_the_encoder_refuses_is_an_output_error(tmp_path):
    huge = {"out": Track(path=tmp_path / "a.mp4", width=16386, height=2)}
    with pytest.raises(OutputError, match="takes up to 16384 pixels a side"), ResumableVideo(huge, facts={}) as video:
        video.write({"out": np.zeros((2, 16386, 3), np.uint8)})
    assert os.listdir(tmp_path) == []


def test_sound_that_cannot_be_carried_is_told_when_the_run_begins(tmp_path):
    silent = make_clip(tmp_path / "a.mkv", 3)
    with ResumableVideo(tracks(tmp_path), facts=FACTS, sound=silent) as video:
        assert video.notes == [f"the sound of {silent} is missing in the result: the file has none"]
