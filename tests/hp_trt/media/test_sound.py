"""Sound as people's files have it, in a clip's result: what FFmpeg decodes before, against what it decodes after."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest

from engines.errors import OutputError
from hp_trt.media.audio_track import AudioTrack
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from tests.hp_trt.clips import two_of_each
from tests.hp_trt.sounding import clip_with_click, heard

SYNC_S = 0.03  # what nobody notices; AAC's block is 21 to 23 ms, and none may be lost or doubled


def copied(driving: Path, out: Path) -> list[str]:
    """Every frame of `driving` through the writer; what it had to say."""
    reader = VideoReader(driving)
    with VideoWriter(out, width=32, height=32, driving=reader.info) as writer:
        for frame in reader.timed():
            writer.write(frame.image, frame.time_s)
    return [*reader.notes, *writer.notes]


def in_step(before, after) -> None:
    """The click is as far from the first picture as it was, and the first picture is at 0."""
    assert after.pictures_s[0] == 0
    assert len(after.pictures_s) == len(before.pictures_s)
    since = [click - before.pictures_s[0] for click in before.clicks_s if click > before.pictures_s[0]]
    assert len(after.clicks_s) == len(since)
    for found, given in zip(after.clicks_s, since, strict=True):
        assert abs(found - given) < SYNC_S


SOUNDS = {
    "mp3 11025 avi": ("a.avi", {"codec": "libmp3lame", "hz": 11025, "video": "mpeg4"}),
    "mp3 8000 mkv": ("a.mkv", {"codec": "libmp3lame", "hz": 8000}),
    "pcm 6000": ("a.mkv", {"hz": 6000}),
    "pcm 22254": ("a.mkv", {"hz": 22254}),
    "pcm 192000": ("a.mkv", {"hz": 192000}),
    "pcm 384000": ("a.mkv", {"hz": 384_000}),
    "flac 176400": ("a.mkv", {"codec": "flac", "hz": 176400}),
    "flac 7.1": ("a.mkv", {"codec": "flac", "hz": 48000, "layout": "7.1"}),
    "pcm big end": ("a.mov", {"codec": "pcm_s16be"}),
    "pcm 8 bits": ("a.avi", {"codec": "pcm_u8", "video": "mpeg4"}),
    "pcm doubles": ("a.mov", {"codec": "pcm_f64le"}),
    "a-law": ("a.mov", {"codec": "pcm_alaw", "hz": 8000}),
    "adpcm": ("a.avi", {"codec": "adpcm_ms", "video": "mpeg4"}),
    "pcm 5.1": ("a.mkv", {"layout": "5.1"}),
    "pcm 8 channels": ("a.mkv", {"layout": "7.1"}),
    "pcm 8 unknown": ("a.avi", {"layout": "8 channels", "video": "mpeg4"}),
    "pcm 9 unknown": ("a.mkv", {"layout": "9 channels"}),
    "aac 5.1": ("a.mp4", {"codec": "aac", "layout": "5.1"}),
    "aac 96000": ("a.mp4", {"codec": "aac", "hz": 96000}),
    "vorbis": ("a.mkv", {"codec": "vorbis", "layout": "stereo"}),
    "wma": ("a.asf", {"codec": "wmav2", "video": "mpeg4", "bit_rate": 96000}),
    "opus mkv": ("a.mkv", {"codec": "libopus", "hz": 48000}),
    "opus ts": ("a.ts", {"codec": "libopus", "hz": 48000}),
    "mp2 ts": ("a.ts", {"codec": "mp2", "hz": 48000}),
    "mp3 flv": ("a.flv", {"codec": "libmp3lame", "hz": 22050}),
    "ac3": ("a.mkv", {"codec": "ac3", "hz": 48000, "layout": "5.1"}),
    "alac": ("a.mov", {"codec": "alac", "hz": 44100}),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_every_sound_comes_out_in_every_container_in_step(tmp_path, name):
    file, given = SOUNDS[name]
    driving = clip_with_click(tmp_path / file, **given)
    before = heard(driving)
    assert len(before.clicks_s) == 1
    for ending in ("mp4", "mov", "mkv"):
        notes = copied(driving, tmp_path / f"o.{ending}")
        after = heard(tmp_path / f"o.{ending}")
        in_step(before, after)
        assert not [note for note in notes if note.startswith("the sound")]
        assert after.channels == (before.channels if after.codec == before.codec else min(before.channels, 2))
        assert abs(after.ends_s - (before.ends_s - before.pictures_s[0])) < 0.15  # a codec's last block is filled up


@pytest.mark.parametrize(
    ("name", "ending", "codec"),
    [
        ("aac 5.1", "mp4", "aac"),
        ("flac 176400", "mkv", "flac"),
        ("vorbis", "mkv", "vorbis"),
        ("opus mkv", "mp4", "opus"),
        ("mp3 11025 avi", "mkv", "mp3"),
        ("mp3 11025 avi", "mp4", "aac"),  # an mp4 takes MP3 from 16 kHz on
    ],
)
def test_what_a_container_can_hold_is_copied_and_only_the_rest_encoded(tmp_path, name, ending, codec):
    file, given = SOUNDS[name]
    driving = clip_with_click(tmp_path / file, **given)
    copied(driving, tmp_path / f"o.{ending}")
    assert heard(tmp_path / f"o.{ending}").codec == codec


CLOCKS = {
    "an hour": {"pictures_s": 3600, "sound_s": 3600, "click_s": 3601},
    "an hour, sound later": {"pictures_s": 3600, "sound_s": 3600.5, "click_s": 3601},
    "sound first": {"pictures_s": 2, "sound_s": 0, "click_s": 2.5, "seconds": 3},
    "sound last": {"pictures_s": 0, "sound_s": 1, "click_s": 1.5},
    "below 0": {"pictures_s": -5, "sound_s": -5, "click_s": -4},
}


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
@pytest.mark.parametrize("kind", ["mkv", "ts", "flv"])
@pytest.mark.parametrize("clock", CLOCKS)
def test_the_first_picture_is_at_0_and_sound_keeps_its_distance(tmp_path, clock, kind, codec):
    driving = clip_with_click(tmp_path / f"a.{kind}", codec=codec, **CLOCKS[clock])
    before = heard(driving)
    assert before.clicks_s
    for ending in ("mp4", "mkv"):
        notes = copied(driving, tmp_path / f"o.{ending}")
        in_step(before, heard(tmp_path / f"o.{ending}"))
        assert notes == []


def joined(folder: Path, first: dict, second: dict) -> Path:
    """Two transport streams, one behind the other."""
    parts = [clip_with_click(folder / f"{n}.ts", **given).read_bytes() for n, given in enumerate((first, second))]
    (folder / "both.ts").write_bytes(b"".join(parts))
    return folder / "both.ts"


@pytest.mark.parametrize("codec", ["aac", "mp2", "libmp3lame"])
@pytest.mark.parametrize(
    "second",
    [{"hz": 32000}, {"layout": "stereo"}, {"hz": 48000, "layout": "stereo"}],
    ids=["rate", "channels", "both"],
)
def test_sound_that_changes_on_the_way_is_heard_at_its_pitch_and_in_its_place(tmp_path, codec, second):
    later = {"pictures_s": 2, "sound_s": 2, "click_s": 3}
    driving = joined(tmp_path, {"codec": codec}, {"codec": codec, **second, **later})
    copied(driving, tmp_path / "o.mp4")
    after = heard(tmp_path / "o.mp4")
    assert after.codec == "aac" and len(after.clicks_s) == 2
    assert abs(after.clicks_s[1] - after.clicks_s[0] - 2) < 2 * SYNC_S
    assert abs(after.ends_s - 4) < 0.15


@pytest.mark.parametrize("starts_s", [1, 80_000], ids=["back", "far ahead"])
def test_where_a_clock_jumps_pictures_and_sound_go_on_together(tmp_path, starts_s):
    second = {"pictures_s": starts_s, "sound_s": starts_s, "click_s": starts_s + 0.5}
    driving = joined(
        tmp_path, {"codec": "aac", "pictures_s": 10, "sound_s": 10, "click_s": 11}, {"codec": "aac", **second}
    )
    notes = copied(driving, tmp_path / "o.mp4")
    after = heard(tmp_path / "o.mp4")
    assert notes == [f"the clock of {driving} jumps once: its frames go on there without a gap"]
    assert len(after.pictures_s) == 80 and after.pictures_s[-1] == pytest.approx(3.95, abs=0.01)
    # A joint of AAC is off by its priming, a block, beside the block that any sound may be off.
    assert after.clicks_s == pytest.approx([1, 2.5], abs=3 * SYNC_S)
    assert (tmp_path / "o.mp4").stat().st_size < driving.stat().st_size


def test_a_gap_in_the_sound_stays_a_gap_and_is_no_data(tmp_path):
    later = {"pictures_s": 2000, "sound_s": 2000, "click_s": 2001}
    driving = joined(tmp_path, {"codec": "mp2"}, {"codec": "mp2", **later})
    copied(driving, tmp_path / "o.mp4")
    after = heard(tmp_path / "o.mp4")
    start_s = heard(driving).pictures_s[0]
    assert after.clicks_s == pytest.approx([1 - start_s + 0.1, 2001 - start_s], abs=0.15)
    assert (tmp_path / "o.mp4").stat().st_size < 60_000


def renamed_codec(path: Path, found: bytes, name: bytes) -> Path:
    data = path.read_bytes()
    assert found in data and len(found) == len(name)
    path.write_bytes(data.replace(found, name))
    return path


def test_sound_of_a_codec_that_nobody_knows_is_left_out_and_told(tmp_path):
    driving = renamed_codec(clip_with_click(tmp_path / "a.mkv", codec="flac"), b"A_FLAC", b"A_QQQQ")
    notes = copied(driving, tmp_path / "o.mp4")
    assert notes == [f"the sound of {driving} is missing in the result: this FFmpeg has no decoder for it"]
    assert heard(tmp_path / "o.mp4").codec is None


def test_sound_of_which_no_packet_can_be_decoded_is_left_out_and_told(tmp_path):
    driving = clip_with_click(tmp_path / "a.avi", codec="adpcm_ms", video="mpeg4")
    data = bytearray(driving.read_bytes())
    header = data.index(b"strf", data.index(b"auds"))
    data[header + 8 : header + 10] = struct.pack("<H", 0x2001)  # DTS
    driving.write_bytes(data)
    notes = copied(driving, tmp_path / "o.mov")
    assert len(notes) == 1 and notes[0].startswith(f"the sound of {driving} is missing in the result: ")
    assert heard(tmp_path / "o.mov").codec is None


def test_a_refusal_that_is_the_sounds_names_the_sound(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise av.error.ArgumentError(22, "Invalid argument")

    monkeypatch.setattr(AudioTrack, "mux_until", refuse)
    with pytest.raises(
        OutputError, match=r"it does not take the sound \(aac, 44100 Hz, mono\): Invalid argument; .*-an"
    ):
        copied(clip_with_click(tmp_path / "a.mp4", codec="aac"), tmp_path / "o.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(
    ("own", "click_s", "says"), [(0, 0.5, "the first is carried"), (1, 1.0, "number 2, is carried")]
)
def test_of_two_sound_tracks_the_one_that_players_take_is_carried_and_told(tmp_path, name, own, click_s, says):
    notes = copied(two_of_each(tmp_path / name, own=own), tmp_path / "o.mp4")
    assert heard(tmp_path / "o.mp4").clicks_s == pytest.approx([click_s], abs=SYNC_S)
    assert len(notes) == 1 and says in notes[0] and "2 sound tracks" in notes[0]


@pytest.mark.parametrize("codec", ["flac", "pcm_s16le"])
def test_an_empty_packet_is_a_pause_and_no_end(tmp_path, codec):
    """NUT ends a track with a packet of no bytes that has a time."""
    driving = clip_with_click(tmp_path / "a.nut", codec=codec)
    with av.open(str(driving)) as file:
        assert any(not packet.size and packet.pts is not None for packet in file.demux(audio=0)) == (codec == "flac")
    assert copied(driving, tmp_path / "o.mp4") == []
    assert heard(tmp_path / "o.mp4").clicks_s == pytest.approx([1], abs=SYNC_S)
