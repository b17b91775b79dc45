"""Sound that was kept: a result has of it what it has of the original, packet by packet."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.encoded.encoded_file import Encoded, write_encoded
from hp_trt.media.audio_track import AudioTrack
from hp_trt.media.kept_sound import keep_sound, kept_sound
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from tests.hp_trt.clips import make_clip

KINDS = (
    *(("mp4", "aac"), ("mkv", "aac"), ("ts", "aac"), ("mp4", "libmp3lame"), ("mkv", "libopus"), ("ts", "mp2")),
    *(("mov", "pcm_s16le"), ("avi", "pcm_s16le"), ("mkv", "flac")),
)


def keep(video, path):
    """A file with the sound of `video`, and no motion."""
    tensors, said, notes = keep_sound(video)
    assert not notes
    about = {"sound": said} if said else {}
    write_encoded(path, Encoded(kind="motion", model="m", graphs={}, about=about, tensors=tensors))
    return path


def result(info, frames, out):
    """What a result holds, by its packets."""
    with VideoWriter(out, width=64, height=48, driving=info) as writer:
        for frame in frames:
            writer.write(frame.image, frame.time_s)
    with av.open(str(out)) as container:
        found = [(p.stream_index, p.pts, p.dts, p.duration, bytes(p)) for p in container.demux() if p.size]
    assert {row[0] for row in found} == {0, 1}
    return found, writer.notes


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_a_result_has_the_sound_that_the_original_gives_it(tmp_path, container, codec):
    """Copied where that may be, and encoded anew where not, of what is decoded to the same samples."""
    video = make_clip(tmp_path / f"a.{container}", 15, audio=codec)
    reader, path = VideoReader(video), keep(video, tmp_path / "kept")
    frames = list(reader.timed())
    for suffix in ("mp4", "mov", "mkv"):
        found = [
            result(replace(reader.info, path=source), frames, tmp_path / f"{number}.{suffix}")
            for number, source in enumerate((video, path))
        ]
        if (codec, suffix) != ("libopus", "mov"):  # encoded anew: how much of its beginning is not heard is not kept
            assert found[0] == found[1], suffix


def test_a_file_without_sound_keeps_none_and_gives_none(tmp_path):
    path = keep(make_clip(tmp_path / "a.mp4", 3), tmp_path / "kept")
    with av.open(str(tmp_path / "b.mkv"), "w") as output, pytest.raises(Exception, match="the file has none"):
        AudioTrack(path, output)


def test_sound_that_matroska_does_not_hold_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("hp_trt.media.kept_sound.LARGEST_BYTES", 100)
    tensors, said, notes = keep_sound(make_clip(tmp_path / "a.mp4", 3, audio="aac"))
    assert not tensors and not said
    assert notes == ["the sound of a.mp4 is missing in the motion file: it has more than 0 MiB"]


def test_packets_without_a_time_are_refused(tmp_path):
    sound = kept_sound(keep(make_clip(tmp_path / "a.mp4", 3, audio="aac"), tmp_path / "kept"))
    few = replace(sound, ticks=sound.ticks[:2])
    with few.open() as container, pytest.raises(InputError, match="more packets than times"):
        list(few.packets(container, container.streams.audio[0]))


@pytest.mark.parametrize("content", [b"", b"ffconcat version 1.0\nfile /etc/passwd\n", b"#EXTM3U\n/etc/passwd\n"])
def test_what_is_no_sound_is_not_opened(tmp_path, content):
    sound = kept_sound(keep(make_clip(tmp_path / "a.mp4", 3, audio="aac"), tmp_path / "kept"))
    with pytest.raises(InputError, match="the sound in "):
        replace(sound, content=content).open()


def test_a_video_in_the_place_of_a_sound_is_refused(tmp_path):
    video = make_clip(tmp_path / "a.mkv", 3, audio="aac")
    sound = kept_sound(keep(video, tmp_path / "kept"))
    with pytest.raises(InputError, match="is none that can be decoded here"):
        replace(sound, content=video.read_bytes()).open()
    assert np.array_equal(sound.ticks[:, 0], np.sort(sound.ticks[:, 0]))
