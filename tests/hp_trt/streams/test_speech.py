"""Speech as it is read from wherever it comes: nothing of it lost, nothing of it twice."""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engines.errors import InputError
from hp_trt.streams.sources import SoundPacket
from hp_trt.streams.speech import Heard, open_speech
from tests.hp_trt.clips import make_clip
from tests.hp_trt.hallo2.sounds import tone, write_sound
from tests.hp_trt.sounding import clip_with_click
from tests.hp_trt.streams.media import server


def opened(what, *, sound=False, timeout_s=5.0):
    return open_speech(str(what), sound=sound, timeout_s=timeout_s, stop=threading.Event())


def all_heard(source):
    items = list(source.read())
    source.close()
    return [item for item in items if isinstance(item, Heard)], [i for i in items if isinstance(i, SoundPacket)]


def together(heard) -> np.ndarray:
    """(n,) with silence where there are pauses, from the first sample on."""
    rate, start_s = heard[0].rate, heard[0].time_s
    ends = max(round((h.time_s - start_s) * rate) + len(h.samples) for h in heard)
    found = np.zeros(ends)
    for item in heard:
        at = round((item.time_s - start_s) * rate)
        found[at : at + len(item.samples)] = item.samples.mean(axis=1)
    return found


@pytest.mark.parametrize("form", ["s16", "u8", "flt"])
def test_samples_are_those_of_the_file(tmp_path, form):
    wave = tone(0.7, rate=16_000)
    codec = {"s16": "pcm_s16le", "u8": "pcm_u8", "flt": "pcm_f32le"}[form]
    heard, packets = all_heard(opened(write_sound(tmp_path / "a.wav", wave, 16_000, codec=codec, form=form)))
    assert packets == [] and {item.rate for item in heard} == {16_000}
    np.testing.assert_allclose(together(heard), wave, atol=0.01)
    assert all(item.samples.dtype == np.float32 for item in heard)


def test_a_pause_is_kept_and_six_channels_are_mixed(tmp_path):
    wave = tone(1.0, rate=16_000)
    path = write_sound(tmp_path / "a.mkv", wave, 16_000, holes=((0.3, 0.6),))
    found = together(all_heard(opened(path))[0])
    assert len(found) == pytest.approx(16_000, abs=2) and np.abs(found[6000:9000]).max() == 0
    surround = clip_with_click(tmp_path / "b.mkv", layout="5.1")
    assert all_heard(opened(surround))[0][0].samples.shape[1] == 1


def test_packets_come_with_what_was_decoded_of_them_for_whoever_keeps_the_sound(tmp_path):
    path = write_sound(tmp_path / "a.flac", tone(0.5), 44_100, codec="flac")
    heard, packets = all_heard(opened(path, sound=True))
    assert sum(frame.samples for packet in packets for frame in packet.frames) == round(0.5 * 44_100)
    assert sum(len(item.samples) for item in heard) == round(0.5 * 44_100)
    assert packets[0].time_s == heard[0].time_s


def test_a_videos_sound_keeps_the_videos_clock(tmp_path):
    path = clip_with_click(tmp_path / "a.mkv", pictures_s=2, sound_s=2, click_s=3)
    heard, _ = all_heard(opened(path))
    assert heard[0].time_s == pytest.approx(2, abs=0.01)
    loud = np.flatnonzero(np.abs(together(heard)) > 0.1)[0] / heard[0].rate
    assert float(heard[0].time_s) + loud == pytest.approx(3, abs=0.01)


def test_an_address_is_heard_as_it_sends(tmp_path):
    data = clip_with_click(tmp_path / "a.ts", codec="aac").read_bytes()

    def talk(connection, over):
        connection.sendall(data)

    with server(talk) as address:
        source = opened(address)
        heard, _ = all_heard(source)
    assert sum(len(item.samples) for item in heard) / heard[0].rate == pytest.approx(2, abs=0.1)
    assert not source.recorded, "it comes as quick as it is said"


def test_a_clock_that_goes_back_a_little_gives_no_times_that_do(tmp_path):
    """Two recordings one behind the other, the second of which begins before the first has ended."""
    parts = [
        clip_with_click(tmp_path / "1.ts", codec="aac", seconds=1, click_s=0.2),
        clip_with_click(tmp_path / "2.ts", codec="aac", seconds=1, pictures_s=0.7, sound_s=0.7, click_s=1.2),
    ]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    heard, _ = all_heard(opened(tmp_path / "both.ts"))
    for before, after in pairwise(heard):
        assert after.time_s >= before.time_s + len(before.samples) / before.rate - 1e-9
    assert 1.6 < float(heard[-1].time_s - heard[0].time_s) < 2.2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.mkdir(), "is not a file"),
        (lambda p: os.mkfifo(p), "is not a file"),
        (lambda p: p.write_text("hello " * 50), "is no sound that FFmpeg can open"),
        (lambda p: make_clip(p, 5), "has no sound"),
    ],
    ids="nothing folder pipe text silent-video".split(),
)
def test_what_is_no_sound_is_refused_when_it_is_opened(tmp_path, make, says):
    make(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=says):
        opened(tmp_path / "a.mp4")


def test_an_address_that_says_nothing_is_told(tmp_path):
    with (
        server(lambda connection, over: over.wait(5)) as address,
        pytest.raises(InputError, match="did not answer within"),
    ):
        opened(address, timeout_s=0.5)


@pytest.mark.parametrize("which", ["mic:9", "mic:", "mic:hw0"])
def test_a_microphone_that_is_not_there_names_those_that_are(monkeypatch, which):
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([Path("/dev/snd/pcmC1D0c")]))
    with pytest.raises(InputError, match=f"the microphone {which} is not there; microphones: mic:1. Name another"):
        opened(which)
