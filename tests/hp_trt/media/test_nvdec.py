"""The reader with NVDEC against the reader without: the same frames, times and notes, or a refusal that says why.

The decoder is the stand-in's, which is FFmpeg's: what is compared is everything of ours around it, bit for bit.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.media import nvdec
from hp_trt.media.nvdec import planar
from hp_trt.media.video import VideoReader
from tests.hp_trt.awkward_clips import copied_from, cut_off, lopsided, with_matrix, with_pixel_shape
from tests.hp_trt.clips import make_clip
from tests.hp_trt.media.nvcodec_stand_in import PyNvDecoder, PyNvVCException, stand_in


@pytest.fixture
def library(monkeypatch):
    return stand_in(monkeypatch)


def colourful(path: Path, *, count=20, size=(64, 48), pixels="yuv420p", codec="libx264", **context) -> Path:
    """Noise in colour: every level, every chroma, at every edge."""
    draw = np.random.default_rng(0)
    with av.open(str(path), "w") as output:
        video = output.add_stream(codec, rate=25, options={"qp": "10"} if codec == "libx264" else {})
        video.width, video.height, video.pix_fmt = *size, pixels
        for name, value in context.items():
            setattr(video.codec_context, name, value)
        for _ in range(count):
            image = draw.integers(0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(video.encode(None))
    return path


def edited(path: Path) -> Path:
    """A cut by stream copy: its edit list hides the frames before it."""
    return copied_from(make_clip(path.with_name("whole.mp4"), 40), path, 10)


CLIPS = {
    "plain": lambda folder: make_clip(folder / "a.mp4", 60, audio="aac"),
    "colours": lambda folder: colourful(folder / "a.mp4"),
    "all levels": lambda folder: colourful(folder / "a.mp4", pixels="yuvj420p"),
    "BT.709": lambda folder: colourful(folder / "a.mp4", colorspace=1, color_range=1),
    "wide colours": lambda folder: colourful(folder / "a.mp4", color_primaries=9, color_trc=16, colorspace=9),
    "HEVC": lambda folder: colourful(folder / "a.mp4", codec="libx265"),
    "no times that are even": lambda folder: make_clip(folder / "a.mkv", 6, ticks=[0, 40, 55, 300, 301, 900]),
    "a transport stream": lambda folder: make_clip(folder / "a.ts", 30, audio="aac"),
    "turned": lambda folder: make_clip(folder / "a.mp4", 5, rotation=90),
    "mirrored": lambda folder: with_matrix(lopsided(folder / "a.mp4"), -1, 0, 0, 1),
    "wide pixels": lambda folder: with_pixel_shape(folder / "a.mp4", Fraction(4, 3)),
    "hidden frames": lambda folder: edited(folder / "a.mp4"),
    "one frame": lambda folder: make_clip(folder / "a.mp4", 1),
    "cut off": lambda folder: cut_off(make_clip(folder / "a.mkv", 100), 0.5),
    "many key pictures": lambda folder: colourful(folder / "a.mp4", gop_size=3),
}


@pytest.mark.parametrize("clip", CLIPS)
def test_frames_times_and_notes_are_those_of_the_cpu(clip, tmp_path, library):
    path = CLIPS[clip](tmp_path)
    reader, plain = VideoReader(path, nvdec=0), VideoReader(path)
    found, expected = list(reader.timed()), list(plain.timed())
    assert [frame.time_s for frame in found] == [frame.time_s for frame in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert np.array_equal(ours.image, theirs.image)
    assert (reader.info, reader.notes) == (plain.info, plain.notes)
    assert len(library.made) == 1  # the check made no session


def test_a_reader_can_be_walked_again_and_left_in_the_middle(tmp_path, library):
    reader = VideoReader(make_clip(tmp_path / "a.mp4", 12), nvdec=3)
    for _ in zip(range(3), reader, strict=False):
        pass
    assert len(list(reader)) == len(list(reader)) == 12
    assert [made["gpuid"] for made in library.made] == [3, 3, 3]


def test_the_cpu_decodes_where_nobody_asked_for_more(tmp_path, library):
    assert len(list(VideoReader(make_clip(tmp_path / "a.mp4", 3)))) == 3
    assert library.made == []


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda p: make_clip(p / "a.webm", 3, codec="libvpx-vp9"), "a.webm is vp9, NVDEC is given h264 and hevc"),
        (lambda p: make_clip(p / "a.mp4", 3, codec="mpeg4"), "a.mp4 is mpeg4, NVDEC is given h264 and hevc"),
        (lambda p: colourful(p / "a.mp4", pixels="yuv420p10le"), "a.mp4 has pixels of yuv420p10le, NVDEC is given 8"),
        (lambda p: colourful(p / "a.mp4", pixels="yuv444p"), "a.mp4 has pixels of yuv444p, NVDEC is given 8 bit 4:2:0"),
        (
            lambda p: colourful(p / "a.mp4", codec="libx265", pixels="yuv420p10le"),
            "a.mp4 has pixels of yuv420p10le, NVDEC is given 8 bit 4:2:0",
        ),
        (lambda p: make_clip(p / "a.avi", 3), "a.avi is an AVI, which has no times"),
    ],
)
def test_what_would_be_shown_otherwise_is_refused_when_the_reader_is_made(make, found, tmp_path, library):
    path = make(tmp_path)
    with pytest.raises(InputError, match=found) as refused:
        VideoReader(path, nvdec=0)
    assert "leave --decoder nvdec out" in str(refused.value)


def test_interlaced_pictures_are_refused(tmp_path, library):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"x264-params": "tff=1"})
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for level in range(4):
            output.mux(video.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40 * level, np.uint8))))
        output.mux(video.encode(None))
    with pytest.raises(InputError, match=r"a.mp4 is interlaced, which NVDEC shows otherwise than the CPU; leave"):
        VideoReader(path, nvdec=0)


@pytest.mark.parametrize(
    ("caps", "found"),
    [
        ({"supported": 0}, r"a.mp4 is h264, which NVDEC of NVIDIA L4 does not decode"),
        ({"width_max": 48}, r"a.mp4 has pictures of 64 x 48, NVDEC of NVIDIA L4 takes from 48 x 16 to 48 x 4096"),
        ({"height_min": 50}, r"a.mp4 has pictures of 64 x 48, NVDEC of NVIDIA L4 takes from 48 x 50 to 4096 x 4096"),
        ({"mb_num_max": 11}, r"a.mp4 has pictures of 12 blocks of 16 x 16, NVDEC of NVIDIA L4 takes 11"),
    ],
)
def test_what_this_gpu_does_not_take_is_refused_with_what_it_takes(caps, found, tmp_path, library):
    path = make_clip(tmp_path / "a.mp4", 2)
    library.decoder_caps |= caps
    with pytest.raises(InputError, match=found):
        VideoReader(path, nvdec=0)


def test_a_gpu_that_does_not_answer_is_told(tmp_path, library, monkeypatch):
    path = make_clip(tmp_path / "a.mp4", 2)

    def fail(**_):
        raise RuntimeError("Failed to open dynamic library: cuvid\nand more")

    monkeypatch.setattr(library, "GetDecoderCaps", fail)
    with pytest.raises(InputError, match=r"NVDEC of NVIDIA L4 does not answer \(Failed to open dynamic library: cuvid"):
        VideoReader(path, nvdec=0)


def test_a_size_that_changes_on_the_way_is_refused_where_it_changes(tmp_path, library):
    one, two = make_clip(tmp_path / "1.ts", 12), make_clip(tmp_path / "2.ts", 12, size=(96, 80))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    assert len(list(VideoReader(both))) > 12
    with pytest.raises(InputError, match=r"both.ts changes at its packet 13 how it is coded"):
        list(VideoReader(both, nvdec=0))


def damaged(path: Path) -> Path:
    """A clip whose packets in the middle are noise; the container is whole."""
    whole = make_clip(path.with_name("whole.mp4"), 50)
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        track = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(p for p in old.demux(video=0) if p.dts is not None):
            if 20 <= number < 24:
                noise = av.Packet(b"\x00\x00\x00\x06\x41\xff\xff\xff\xff\xff")
                noise.pts, noise.dts, noise.time_base = packet.pts, packet.dts, packet.time_base
                packet = noise
            packet.stream = track
            new.mux(packet)
    return path


def test_damage_in_the_middle_is_told_as_on_the_cpu(tmp_path, library):
    """What hardware makes of damage is its own; that some is missing is told in the same words."""
    path = damaged(tmp_path / "a.mp4")
    reader, plain = VideoReader(path, nvdec=0), VideoReader(path)
    assert len(list(reader)) == len(list(plain)) < 50
    assert reader.notes == plain.notes and "is damaged or cut off" in plain.notes[0]


def test_frames_that_nvdec_swallows_without_a_word_are_told(tmp_path, library, monkeypatch):
    real = PyNvDecoder.Decode
    monkeypatch.setattr(PyNvDecoder, "Decode", lambda self, packet: real(self, packet)[:1])
    reader = VideoReader(make_clip(tmp_path / "a.mp4", 30), nvdec=0)
    count = len(list(reader))
    assert count < 30 and f"the {count} of 30 frames that can be decoded are used" in reader.notes[0]


def test_a_decoder_that_refuses_the_first_picture_is_an_error(tmp_path, library, monkeypatch):
    def refuse(self, packet):
        raise PyNvVCException("Decode : \nError code : 2")

    monkeypatch.setattr(PyNvDecoder, "Decode", refuse)
    with pytest.raises(InputError, match=r"NVDEC cannot decode .*a.mp4 \(Decode :\); leave --decoder nvdec out"):
        list(VideoReader(make_clip(tmp_path / "a.mp4", 3), nvdec=0))


def test_a_decoder_that_gives_nothing_is_an_error(tmp_path, library, monkeypatch):
    monkeypatch.setattr(PyNvDecoder, "Decode", lambda self, packet: [])
    with pytest.raises(InputError, match=r"NVDEC gave not one picture of .*a.mp4; leave --decoder nvdec out"):
        list(VideoReader(make_clip(tmp_path / "a.mp4", 3), nvdec=0))


def test_other_pixels_than_were_asked_for_are_an_error(tmp_path, library, monkeypatch):
    monkeypatch.setattr(PyNvDecoder, "GetHeight", lambda self: 32)
    with pytest.raises(InputError, match=r"NVDEC gave 4608 bytes of Pixel_Format.NV12 for 64 x 32 pixels, needed is"):
        list(VideoReader(make_clip(tmp_path / "a.mp4", 3), nvdec=0))


def test_a_first_picture_that_is_not_the_cpus_is_refused(tmp_path, library, monkeypatch):
    """As the library's are where a video is cropped at its left or top."""
    real = PyNvDecoder.Decode

    def moved(self, packet):
        frames = real(self, packet)
        for frame in frames:
            frame._memory[0] = np.roll(frame._memory[0], 2)
        return frames

    monkeypatch.setattr(PyNvDecoder, "Decode", moved)
    with pytest.raises(
        InputError, match=r"the first picture of .*a.mp4 by NVDEC differs from the CPU's in \d+ of 4608"
    ):
        list(VideoReader(colourful(tmp_path / "a.mp4"), nvdec=0))


def test_a_picture_that_nobody_sent_is_an_error(tmp_path, library, monkeypatch):
    monkeypatch.setattr(nvdec.Decoder, "decode", lambda self, unit, number: [(99, np.zeros((72, 64), np.uint8))])
    with pytest.raises(InputError, match=r"NVDEC gave a picture of .*a.mp4 that no packet was for \(99\)"):
        list(VideoReader(make_clip(tmp_path / "a.mp4", 3), nvdec=0))


@pytest.mark.parametrize("text", ["#EXTM3U\nhttp://example.org/a.ts\n", "ffconcat version 1.0\nfile a.mp4\n"])
def test_lists_of_other_files_are_refused_before_the_library_is_asked(text, tmp_path, library):
    path = tmp_path / "a.mp4"
    path.write_text(text)
    with pytest.raises(InputError, match="is a list of other files"):
        VideoReader(path, nvdec=0)
    assert library.made == []


def test_planes_are_those_of_ffmpeg():
    frame = av.VideoFrame.from_ndarray(np.random.default_rng(1).integers(0, 256, (20, 12, 3), np.uint8))
    pixels = frame.reformat(format="yuv420p")
    assert np.array_equal(planar(pixels.reformat(format="nv12").to_ndarray()), pixels.to_ndarray())
