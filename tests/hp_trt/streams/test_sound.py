from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest

from hp_trt.streams.sound import WaitingSound
from tests.hp_trt.live.fake_session import FakeSession
from tests.hp_trt.sounding import clip_with_click, heard


@dataclass
class Packet:
    number: int
    size: int = 100


def filled(waiting, count):
    for number in range(count):
        waiting.put(Fraction(number, 10), Packet(number))
    return waiting


def test_sound_leaves_when_its_picture_does():
    waiting = filled(WaitingSound(), 10)
    assert [p.number for p, _ in waiting.take_until(Fraction(3, 10))] == [0, 1, 2]
    assert waiting.take_until(Fraction(3, 10)) == []
    assert len(waiting.take_until(Fraction(100))) == 7


def test_what_runs_too_far_ahead_is_lost_from_the_front_and_counted():
    by_time = filled(WaitingSound(longest_s=2), 50)
    assert by_time.lost == 29 and by_time.take_until(Fraction(100))[0][0].number == 29
    by_size = filled(WaitingSound(most_bytes=1000), 50)
    assert by_size.lost == 40 and [p.number for p, _ in by_size.take_until(Fraction(100))] == list(range(40, 50))


SIZE = (32, 32)
KINDS = {
    "mp3 11025 avi": ("a.avi", {"codec": "libmp3lame", "hz": 11025, "video": "mpeg4"}),
    "pcm 22254": ("a.mkv", {"hz": 22254}),
    "flac 176400": ("a.mkv", {"codec": "flac", "hz": 176400}),
    "pcm 9 unknown": ("a.mkv", {"layout": "9 channels"}),
    "vorbis 5.1": ("a.mkv", {"layout": "5.1"}),
    "an hour": ("a.ts", {"codec": "aac", "pictures_s": 3600, "sound_s": 3600, "click_s": 3601}),
    "sound first": ("a.mkv", {"codec": "aac", "pictures_s": 2, "click_s": 2.5, "seconds": 3}),
    "sound last": ("a.flv", {"codec": "aac", "sound_s": 1, "click_s": 1.5}),
    "below 0": ("a.mkv", {"codec": "aac", "pictures_s": -5, "sound_s": -5, "click_s": -4}),
}


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("name", KINDS)
def test_every_sound_comes_out_of_a_live_run_in_step(live, tmp_path, name, ending):
    file, given = KINDS[name]
    driving = clip_with_click(tmp_path / file, **given)
    ran = live(driving, tmp_path / f"o.{ending}", session=FakeSession(size=SIZE))
    assert ran.error is None and ran.notes == []
    before, after = heard(driving), heard(tmp_path / f"o.{ending}")
    assert after.pictures_s[0] == 0
    assert after.clicks_s == pytest.approx([before.clicks_s[0] - before.pictures_s[0]], abs=0.03)


def test_a_live_run_goes_on_without_sound_that_changes_on_the_way_and_says_so(live, tmp_path):
    parts = [
        clip_with_click(tmp_path / "1.ts", codec="aac"),
        clip_with_click(tmp_path / "2.ts", codec="aac", hz=32000, pictures_s=2, sound_s=2, click_s=3),
    ]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    ran = live(tmp_path / "both.ts", tmp_path / "o.mp4", session=FakeSession(size=SIZE))
    assert ran.error is None
    assert ran.notes == ["the sound changes its rate or its channels on the way: it ends there"]
    after = heard(tmp_path / "o.mp4")
    assert len(after.pictures_s) == 80 and len(after.clicks_s) == 1


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_clock_that_jumps_ahead_by_days_is_closed_for_pictures_and_sound(live, tmp_path, ending):
    parts = [
        clip_with_click(tmp_path / "1.ts", codec="aac"),
        clip_with_click(tmp_path / "2.ts", codec="aac", pictures_s=80_000, sound_s=80_000, click_s=80_000.5),
    ]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    ran = live(tmp_path / "both.ts", tmp_path / f"o.{ending}", session=FakeSession(size=SIZE))
    assert ran.error is None and len(ran.notes) == 1 and "s ahead: frames go on without a gap" in ran.notes[0]
    after = heard(tmp_path / f"o.{ending}")
    start_s = heard(tmp_path / "1.ts").pictures_s[0]
    assert len(after.pictures_s) == 80 and after.pictures_s[-1] < 4.1
    assert after.clicks_s == pytest.approx([heard(tmp_path / "1.ts").clicks_s[0] - start_s, 2.5], abs=0.09)


def test_sound_of_which_nothing_can_be_decoded_leaves_the_pictures_and_a_note(live, tmp_path):
    driving = clip_with_click(tmp_path / "a.avi", codec="adpcm_ms", video="mpeg4")
    data = bytearray(driving.read_bytes())
    header = data.index(b"strf", data.index(b"auds"))
    data[header + 8 : header + 10] = (0x2001).to_bytes(2, "little")  # DTS
    driving.write_bytes(data)
    ran = live(driving, tmp_path / "o.mkv", session=FakeSession(size=SIZE))
    assert ran.error is None and len(ran.notes) == 1 and "sound" in ran.notes[0]
    after = heard(tmp_path / "o.mkv")
    assert len(after.pictures_s) == 40 and after.clicks_s == []


def test_sound_that_nobody_knows_leaves_the_pictures_and_a_note(live, tmp_path):
    driving = clip_with_click(tmp_path / "a.mkv", codec="flac")
    driving.write_bytes(driving.read_bytes().replace(b"A_FLAC", b"A_QQQQ"))
    ran = live(driving, tmp_path / "o.mp4", session=FakeSession(size=SIZE))
    assert ran.error is None
    assert ran.notes == [f"the sound of {driving} is missing in the result: this FFmpeg has no decoder for it"]
