from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engines.errors import OutputError
from hp_trt.resume.chunk_writer import ChunkWriter
from hp_trt.resume.joining import join_chunks
from tests.hp_trt.clips import contents
from tests.hp_trt.sounding import clip_with_click

RATE = Fraction(25)


def chunk(path: Path, frames: int, *, size: tuple[int, int] = (32, 32)) -> Path:
    writer = ChunkWriter(path, size=size, rate=RATE)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 20 + 10 * (number % 20), np.uint8))
    writer.close()
    writer.commit()
    return path


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """25 frames."""
    return chunk(tmp_path_factory.mktemp("chunk") / "000000.out.mp4", 25)


def joined(files: list[Path], out: Path, sound: Path | None = None) -> list[str]:
    frames, notes = join_chunks(files, out, result=out, rate=RATE, sound=sound)
    assert frames == len(contents(out).times_s)
    return notes


def sound_with_click(path: Path, *, codec: str, hz: int = 44100, click_s: float = 1.3, seconds: float = 3) -> Path:
    """Silence but for a tenth of a second at `click_s`, in a file of sound alone."""
    with av.open(str(path), "w") as output:
        sound = output.add_stream(codec, rate=hz, layout="mono")
        times = np.arange(round(seconds * hz)) / hz
        wave = np.where((times >= click_s) & (times < click_s + 0.1), np.sin(2 * np.pi * 1000 * times), 0)
        for start in range(0, len(wave), 1024):
            part = (wave[None, start : start + 1024] * 26000).astype(np.int16)
            block = av.AudioFrame.from_ndarray(part, "s16", "mono")
            block.sample_rate, block.pts, block.time_base = hz, start, Fraction(1, hz)
            output.mux(sound.encode(block))
        output.mux(sound.encode(None))
    return path


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def click_s(path: Path) -> float:
    """When a file becomes loud, by FFmpeg alone, on its clock."""
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            levels = (
                av.AudioResampler(format="fltp", layout="mono", rate=frame.sample_rate)
                .resample(frame)[0]
                .to_ndarray()[0]
            )
            if (loud := np.flatnonzero(np.abs(levels) > 0.1)).size:
                return float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
    raise AssertionError("not a sound")


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    ("name", "codec", "hz"),
    [
        ("a.wav", "pcm_s16le", 16000),
        ("a.mp3", "libmp3lame", 44100),
        ("a.m4a", "aac", 44100),
        ("a.flac", "flac", 48000),
        ("a.ogg", "libopus", 48000),
        ("a.aac", "aac", 44100),
    ],
)
def test_a_file_of_sound_alone_is_heard_from_its_beginning_on(tmp_path, second, name, codec, hz, ending):
    sound, out = sound_with_click(tmp_path / name, codec=codec, hz=hz), tmp_path / f"o.{ending}"
    with av.open(str(sound)) as source:
        begins_s = (source.start_time or 0) / 1e6
        kind = source.streams.audio[0].codec_context.codec.canonical_name
    assert joined([second] * 3, out, sound) == []
    after = contents(out)
    assert after.times_s[0] == 0 and len(after.times_s) == 75
    # A fifth of a frame: the encoder of AAC and Matroska's whole milliseconds are the only ones that blur.
    assert click_s(out) == pytest.approx(click_s(sound) - begins_s, abs=0.008)
    if ending == "mkv" and kind != "pcm_s16le":  # which an mp4 may not hold all of
        given = packets(sound)
        # Copied, but for AAC's own header, and for what comes before the beginning, of which Matroska cannot say so.
        assert after.sound_codec.removesuffix("float") == kind and len(given) - len(after.sound) in (0, 1)
        assert all(before.endswith(packet) for before, packet in zip(given[::-1], after.sound[::-1], strict=False))


@pytest.mark.parametrize(
    ("pictures_s", "sound_s"),
    [(0, 0), (3600, 3600.5), (6, 5), (-5, -5)],
    ids=["at 0", "an hour", "sound first", "below 0"],
)
def test_time_0_is_where_a_video_with_sound_begins(tmp_path, second, pictures_s, sound_s):
    """Whichever of its streams does."""
    begins_s = min(pictures_s, sound_s)
    sound = clip_with_click(
        tmp_path / "a.mkv", codec="aac", pictures_s=pictures_s, sound_s=sound_s, click_s=begins_s + 1.2
    )
    assert joined([second] * 3, tmp_path / "o.mp4", sound) == []
    # The first packet of AAC may begin a block, 23 ms, before the sound.
    assert click_s(tmp_path / "o.mp4") == pytest.approx(1.2, abs=0.03)


@pytest.mark.parametrize("at_s", [Fraction(1, 2), Fraction(6, 5), Fraction(-1, 4)])
def test_the_first_picture_may_be_anywhere_in_the_sound(tmp_path, second, at_s):
    sound, out = sound_with_click(tmp_path / "a.wav", codec="pcm_s16le"), tmp_path / "o.mp4"
    join_chunks([second] * 3, out, result=out, rate=RATE, sound=sound, begins_s=at_s)
    assert click_s(out) == pytest.approx(1.3 - float(at_s), abs=0.008)


def test_sound_longer_than_the_pictures_by_less_than_a_frame_stays_and_more_is_cut(tmp_path, second):
    for seconds, kept_s in ((1.03, 1.03), (6, 1.5)):
        sound = sound_with_click(tmp_path / "a.wav", codec="pcm_s16le", click_s=0.2, seconds=seconds)
        joined([second], tmp_path / "o.mp4", sound)
        with av.open(str(tmp_path / "o.mp4")) as file:
            ends_s = [float(frame.pts * frame.time_base) + frame.samples / 44100 for frame in file.decode(audio=0)][-1]
        assert kept_s <= ends_s + 1e-6 and ends_s < kept_s + 0.05  # AAC's last block is filled up


def test_an_hour_does_not_drift(tmp_path):
    out = tmp_path / "o.mp4"
    join_chunks([chunk(tmp_path / "000000.out.mp4", 300)] * 300, out, result=out, rate=RATE)
    with av.open(str(out)) as file:
        stream = file.streams.video[0]
        packets = [
            (packet.pts * stream.time_base, packet.dts * stream.time_base)
            for packet in file.demux(stream)
            if packet.size
        ]
        assert stream.duration * stream.time_base == 3600
    assert sorted(pts for pts, _ in packets) == [Fraction(i, 25) for i in range(90_000)]
    assert [dts for _, dts in packets] == [Fraction(i - 2, 25) for i in range(90_000)]


def test_chunks_of_another_encoder_are_not_joined(tmp_path, second):
    other = chunk(tmp_path / "000001.out.mp4", 25, size=(48, 32))
    with pytest.raises(OutputError, match=r"another version of x264 .* begin anew with --restart"):
        joined([second, other], tmp_path / "o.mp4")


def test_sound_goes_in_between_the_pictures_and_not_after_them(tmp_path, second):
    sound = sound_with_click(tmp_path / "a.m4a", codec="aac", seconds=8)
    joined([second] * 8, tmp_path / "o.mkv", sound)
    with av.open(str(tmp_path / "o.mkv")) as file:
        order = [packet.stream.type for packet in file.demux() if packet.dts is not None]
    assert "audio" in order[: len(order) // 8]
