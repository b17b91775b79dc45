"""Whole runs through a session that is no network."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from fractions import Fraction
from itertools import pairwise

import pytest

from engines.errors import InputError, OutputError
from hp_trt.live.run import LiveConfig, check_apart
from hp_trt.streams import pipes
from tests.hp_trt.clips import contents, make_clip, make_sound
from tests.hp_trt.live.fake_session import FakeSession
from tests.hp_trt.streams.media import flashes_and_clicks, long_stream, onsets, packet_times, server, two_clips


def left(folder):
    return sorted(os.listdir(folder))


def test_a_file_becomes_a_file_of_the_same_times_and_sound(live, tmp_path):
    driving = make_clip(tmp_path / "d.mp4", 30, audio="aac")
    ran = live(driving, tmp_path / "o.mp4")
    before, after = contents(driving), contents(tmp_path / "o.mp4")
    assert ran.error is None and ran.outcome.frames == 30 and ran.outcome.ended == "the source ended"
    assert after.times_s == before.times_s and after.rate == before.rate
    assert (after.codec, after.pixel_format, after.size) == ("h264", "yuv420p", (64, 48))
    # The encoder's first packet lies before the first picture.
    assert after.sound == before.sound[1:]
    assert left(tmp_path) == ["d.mp4", "o.mp4"]


def test_what_becomes_dark_in_the_source_becomes_bright_in_the_result(live, tmp_path):
    live(
        flashes_and_clicks(tmp_path / "d.mkv", seconds=7, audio="aac"),
        tmp_path / "o.mp4",
        session=FakeSession(size=(32, 32)),
    )
    assert onsets(tmp_path / "d.mkv", dark_is_on=False)[0] == onsets(tmp_path / "o.mp4", dark_is_on=True)[0] == [5.0]


@pytest.mark.parametrize(("name", "audio"), [("d.ts", "aac"), ("d.mkv", "pcm_s16le")], ids=["copied", "encoded"])
def test_flash_and_click_stay_together_when_frames_are_dropped_and_late(live, tmp_path, name, audio):
    driving = flashes_and_clicks(tmp_path / name, seconds=32, audio=audio)
    ran = live(driving, tmp_path / "o.mp4", session=FakeSession(size=(32, 32), inside=25, drop_every=3))
    assert ran.error is None
    pictures, sounds = onsets(tmp_path / "o.mp4", dark_is_on=True)
    assert len(pictures) == len(sounds) == 6
    # A frame of a tenth of a second; where the first bright one was dropped, the next is two later.
    dropped = [1 if (round(at * 10) + 1) % 3 == 0 else 0 for at in range(5, 32, 5)]
    for picture, sound, late in zip(pictures, sounds, dropped, strict=True):
        assert abs(picture - late * 0.1 - sound) < 0.05


def test_after_ten_minutes_sound_and_pictures_have_moved_by_the_same_amount(live, tmp_path):
    """A transport stream whose clock does not begin at 0, at a rate that fits no clock; every third frame is lost."""
    rate = Fraction(2000, 1001)
    driving = long_stream(tmp_path / "d.ts", seconds=601, rate=rate)
    ran = live(driving, tmp_path / "o.mp4", session=FakeSession(size=(16, 16), inside=10, drop_every=3))
    assert ran.error is None
    source = sorted(time for _, time in packet_times(driving, "video"))
    kept = [time for number, time in enumerate(source, 1) if number % 3]
    assert ran.result["dropped_in"] == len(source) - len(kept) and kept[-1] - kept[0] > 599
    after = [time for _, time in packet_times(tmp_path / "o.mp4", "video")]
    moved = [before - now for before, now in zip(kept, after, strict=True)]
    assert min(moved) > 99 and max(moved) - min(moved) < Fraction(1, 10_000)  # two clocks of 90 kHz
    heard = packet_times(driving, "audio")
    sound = packet_times(tmp_path / "o.mp4", "audio")
    first = next(n for n, (data, _) in enumerate(heard) if data[7:] == sound[0][0])  # behind a header of seven bytes
    assert len(sound) > 4600
    for (data, before), (after_data, now) in zip(heard[first:], sound, strict=False):
        assert data[7:] == after_data
        assert abs(before - now - moved[0]) < Fraction(1, 1000)  # sound's clock has 8 kHz; a frame would be 500 ms


def test_only_so_many_seconds_of_the_source(live, tmp_path):
    ran = live(make_clip(tmp_path / "d.mp4", 50, audio="aac"), tmp_path / "o.mp4", seconds=1.0)
    after = contents(tmp_path / "o.mp4")
    assert ran.outcome.ended == "1 s are over" and len(after.times_s) == 25
    assert after.sound_s == pytest.approx(1.0, abs=0.03)  # a packet is 23 ms


def test_a_recording_keeps_its_own_pace(live, tmp_path):
    start_s = time.monotonic()
    ran = live(make_clip(tmp_path / "d.mp4", 20), tmp_path / "o.mp4", pace="own")
    assert 0.75 < time.monotonic() - start_s < 3  # 19 steps of 40 ms; this machine may be busy
    assert ran.session.policy == "drop-oldest"


def test_at_a_fast_pace_the_session_may_take_its_time(live, tmp_path):
    ran = live(make_clip(tmp_path / "d.mp4", 60), "null:", session=FakeSession(capacity=2, delay_s=0.001))
    assert ran.session.policy == "block" and ran.outcome.frames == 60


def test_sound_that_an_mp4_should_not_hold_becomes_aac(live, tmp_path):
    driving = make_clip(tmp_path / "d.mkv", 50, audio="pcm_s16le")
    assert live(driving, tmp_path / "o.mp4").error is None
    after = contents(tmp_path / "o.mp4")
    assert after.sound_codec == "aac" and after.sound_s == pytest.approx(2.0, abs=0.06)  # whole blocks of 23 ms


def test_frames_of_another_size_are_handed_on_and_told(live, tmp_path):
    driving = two_clips(tmp_path / "d.ts", tmp_path, size=(96, 64))
    ran = live(driving, tmp_path / "o.mp4")
    assert ran.error is None
    assert [shape for shape, _ in ran.session.pushed] == [(48, 64, 3)] * 10 + [(64, 96, 3)] * 10
    assert f"the pictures of {driving} change from 64 x 48 to 96 x 64 after 0.4 s" in ran.notes
    assert len(contents(tmp_path / "o.mp4").times_s) == 20


@pytest.mark.parametrize("starts_s", [0.0, 200.0])
def test_times_that_jump_back_go_on(live, tmp_path, starts_s):
    driving = two_clips(tmp_path / "d.ts", tmp_path, starts_s=starts_s)
    ran = live(driving, tmp_path / "o.mp4", session=FakeSession(inside=5))
    assert ran.error is None
    times_s = contents(tmp_path / "o.mp4").times_s
    assert len(times_s) == ran.result["frames"] == 20
    assert all(later - sooner > 0 for sooner, later in pairwise(times_s))


def test_a_file_that_is_cut_off_gives_what_it_has(live, tmp_path):
    whole = make_clip(tmp_path / "d.mp4", 100, options={"movflags": "faststart"}).read_bytes()
    (tmp_path / "d.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    ran = live(tmp_path / "d.mp4", tmp_path / "o.mp4")
    told = [*ran.notes, str(ran.error)]
    assert any("cut off" in text or "broke off" in text for text in told), told
    assert 10 < len(contents(tmp_path / "o.mp4").times_s) < 100


def test_a_damaged_file_loses_what_is_damaged(live, tmp_path):
    data = bytearray(make_clip(tmp_path / "d.ts", 60).read_bytes())
    for place in range(len(data) // 3 // 188 * 188, len(data) // 2, 188):
        data[place + 20 : place + 188] = bytes(168)
    (tmp_path / "d.ts").write_bytes(data)
    ran = live(tmp_path / "d.ts", tmp_path / "o.mp4")
    assert ran.error is None or isinstance(ran.error, InputError)
    assert len(contents(tmp_path / "o.mp4").times_s) == ran.result["frames"] > 10


def test_only_sound_is_refused(live, tmp_path):
    ran = live(make_sound(tmp_path / "d.mp4"), tmp_path / "o.mp4")
    assert "has only audio" in str(ran.error) and left(tmp_path) == ["d.mp4"]


def test_a_session_that_fails_leaves_what_came_before(live, tmp_path):
    ran = live(make_clip(tmp_path / "d.mp4", 30), tmp_path / "o.mp4", session=FakeSession(fails_at=12))
    assert "failed on purpose" in str(ran.error)
    assert len(contents(tmp_path / "o.mp4").times_s) == 12


def test_not_one_frame_is_an_error_and_leaves_no_file(live, tmp_path):
    ran = live(make_clip(tmp_path / "d.mp4", 10), tmp_path / "o.mp4", session=FakeSession(drop_every=1))
    assert isinstance(ran.error, OutputError) and "not a single frame came out" in str(ran.error)
    assert left(tmp_path) == ["d.mp4"]


def test_the_source_is_not_overwritten(live, tmp_path):
    driving = make_clip(tmp_path / "d.mp4", 5)
    (tmp_path / "link.mp4").symlink_to(driving)
    other = tmp_path / "p.mp4"
    shutil.copy(driving, other)
    whole = driving.read_bytes()
    for out in (driving, tmp_path / "link.mp4"):
        assert "is the driving source itself" in str(live(driving, out).error)
    assert "p.mp4 is the portrait itself" in str(
        live(driving, tmp_path / "p.mp4", inputs={"the portrait": other}).error
    )
    assert driving.read_bytes() == other.read_bytes() == whole
    with pytest.raises(InputError, match="is the driving source itself"):
        check_apart("udp://127.0.0.1:5000", "udp://127.0.0.1:5000", {})


def test_a_source_that_stalls_ends_the_run_and_the_recording_is_whole(live, tmp_path):
    data = make_clip(tmp_path / "d.ts", 40).read_bytes()

    def talk(connection, over):
        connection.sendall(data)
        over.wait(20)

    with server(talk) as url:
        ran = live(url, tmp_path / "o.mp4", timeout_s=1.0, container_format=None)
    assert "sent nothing for 1 s" in str(ran.error) or "did not answer within 1 s" in str(ran.error)
    if "sent nothing" in str(ran.error):
        assert len(contents(tmp_path / "o.mp4").times_s) == ran.result["frames"]


def test_a_url_that_says_nothing_is_told(live, tmp_path):
    with server(lambda connection, over: over.wait(20)) as url:
        ran = live(url, tmp_path / "o.mp4", timeout_s=0.5)
    assert f"{url} did not answer within 0.5 s" in str(ran.error) and left(tmp_path) == []


def test_a_stream_arrives_whole_at_a_receiver(live, tmp_path):
    got = []

    def talk(connection, over):
        while data := connection.recv(65536):
            got.append(data)

    with server(talk) as url:
        ran = live(make_clip(tmp_path / "d.mp4", 30, audio="aac"), url)
    assert ran.error is None
    (tmp_path / "o.ts").write_bytes(b"".join(got))
    after = contents(tmp_path / "o.ts")
    assert len(after.times_s) == 30 and after.sound_codec == "aac"


def test_a_receiver_that_goes_away_is_told(live, tmp_path):
    def talk(connection, over):
        connection.recv(100)

    with server(talk) as url:
        ran = live(make_clip(tmp_path / "d.mp4", 100), url, session=FakeSession(delay_s=0.005))
    assert isinstance(ran.error, OutputError) and f"{url} cannot be sent to: " in str(ran.error)
    assert ran.result["ended"] == "an error"


def test_a_receiver_that_takes_nothing_is_told_in_time(live, tmp_path):
    driving = make_clip(tmp_path / "d.mp4", 30)
    ran = None
    with server(lambda connection, over: over.wait(20)) as url:
        start_s = time.monotonic()
        ran = live(driving, url, session=NoiseSession(), timeout_s=0.5)
    assert isinstance(ran.error, OutputError) and "timed out" in str(ran.error)
    assert time.monotonic() - start_s < 10


class NoiseSession(FakeSession):
    """Frames that no encoder makes small."""

    def pull(self, timeout_s=None):
        frame = super().pull(timeout_s)
        if frame is not None:
            import numpy as np

            frame.crop[:] = np.random.default_rng(frame.index).integers(0, 256, frame.crop.shape, dtype=np.uint8)
        return frame

    def __init__(self):
        super().__init__(size=(640, 480))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_in_order(live, tmp_path, number):
    driving = make_clip(tmp_path / "d.mp4", 200, audio="aac")
    timer = threading.Timer(0.5, os.kill, (os.getpid(), number))
    before = signal.getsignal(number)
    timer.start()
    try:
        ran = live(driving, tmp_path / "o.mp4", pace="own")
    finally:
        timer.join()
    assert ran.error is None and ran.outcome.signal == number
    assert ran.result["ended"] == f"stopped by {signal.Signals(number).name}"
    assert 5 < len(contents(tmp_path / "o.mp4").times_s) == ran.outcome.frames < 100
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_does_not_wait_for_what_is_on_its_way(live, tmp_path):
    driving = make_clip(tmp_path / "d.mp4", 100)
    session = FakeSession(delay_s=0.1)
    timers = [threading.Timer(at_s, os.kill, (os.getpid(), signal.SIGINT)) for at_s in (0.4, 0.7)]
    for timer in timers:
        timer.start()
    start_s = time.monotonic()
    ran = live(driving, tmp_path / "o.mp4", session=session)
    assert time.monotonic() - start_s < 3
    assert ran.error is None and ran.outcome.signal == signal.SIGINT
    assert len(contents(tmp_path / "o.mp4").times_s) == ran.outcome.frames > 1


def test_a_reader_of_standard_output_that_goes_away_ends_it_quietly(live, tmp_path):
    read, write = os.pipe()
    threading.Timer(0.3, os.close, (read,)).start()
    ran = live(make_clip(tmp_path / "d.mp4", 200), "-", stdout_fd=write, container_format="y4m", pace="own")
    os.close(write)
    assert isinstance(ran.error, BrokenPipeError) and not ran.result


def test_standard_output_carries_pictures_and_sound(live, tmp_path):
    read, write = os.pipe()
    got = []

    def drain():
        while data := os.read(read, 65536):
            got.append(data)

    reader = threading.Thread(target=drain)
    driving = make_clip(tmp_path / "d.mp4", 25, audio="aac")
    ran_threads = []
    reader.start()
    ran_threads.append(live(driving, "-", stdout_fd=write))
    os.close(write)
    reader.join()
    os.close(read)
    (tmp_path / "o.ts").write_bytes(b"".join(got))
    after = contents(tmp_path / "o.ts")
    assert len(after.times_s) == 25 and after.sound_codec == "aac"


def test_a_stalled_reader_does_not_keep_the_run_from_ending(live, tmp_path, monkeypatch):
    monkeypatch.setattr(pipes, "LAST_WAIT_S", 0.3)
    read, write = os.pipe()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start_s = time.monotonic()
    ran = live(make_clip(tmp_path / "d.mp4", 100), "-", stdout_fd=write, container_format="y4m")
    os.close(read), os.close(write)
    assert "nobody reads it any more" in str(ran.error)
    assert time.monotonic() - start_s < 6


def test_plain_pictures_repeat_where_one_is_missing(live, tmp_path):
    out = tmp_path / "o.y4m"
    with out.open("wb") as file:
        live(
            make_clip(tmp_path / "d.mp4", 20),
            "-",
            stdout_fd=file.fileno(),
            container_format="y4m",
            session=FakeSession(drop_every=4),
        )
    after = contents(out)
    assert after.rate == 25
    assert [round(float(t) * 25) for t in after.times_s] == list(range(19))  # the twentieth was dropped


def test_status_comes_once_a_second(live, tmp_path):
    ran = live(make_clip(tmp_path / "d.mp4", 30), "null:", pace="own")
    assert len(ran.status) == 1
    assert ran.status[0]["latency_p50_s"] == 0.25 and ran.status[0]["pushed"] > 10
    assert ran.result["frames"] == 30


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pace": "quick"}, "there is no pace 'quick'; there are: own, fast"),
        ({"policy": "drop"}, "there is no policy 'drop'; there are: block, drop-oldest, latest"),
        ({"seconds": 0.0}, "--seconds is a number of seconds above 0, got 0.0"),
        ({"seconds": float("nan")}, "--seconds"),
        ({"timeout_s": -1.0}, "--timeout is a number of seconds above 0, got -1.0"),
        ({"pace": "fast", "policy": "latest"}, "take --policy block, or --pace own"),
        ({"allow_playlist": True}, "--allow-playlist is for URLs, the driving source is d; leave it out"),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    with pytest.raises(InputError) as error:
        LiveConfig(driving="d", out="o", **options)
    assert says in str(error.value)


def test_two_sound_tracks_are_told(live, tmp_path):
    import av

    one = make_clip(tmp_path / "one.mp4", 20, audio="aac")
    with av.open(str(one)) as source, av.open(str(tmp_path / "two.mkv"), "w") as output:
        video, sound = (output.add_stream_from_template(s) for s in (source.streams.video[0], source.streams.audio[0]))
        again = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                copies = (video,) if packet.stream.type == "video" else (sound, again)
                for stream in copies:
                    packet.stream = stream
                    output.mux(packet)
    ran = live(tmp_path / "two.mkv", tmp_path / "o.mp4")
    assert any("has 2 sound tracks: the first is carried" in note for note in ran.notes)
    with av.open(str(tmp_path / "o.mp4")) as after:
        assert len(after.streams.audio) == 1


def test_neighbouring_pictures_never_share_a_time(live, tmp_path):
    driving = make_clip(tmp_path / "d.mkv", 6, ticks=[0, 40, 55, 300, 301, 900])
    live(driving, tmp_path / "o.mkv")
    assert all(a < b for a, b in pairwise(contents(tmp_path / "o.mkv").times_s))


def test_an_old_result_stays_until_the_new_one_is_complete(live, tmp_path):
    out = tmp_path / "o.mp4"
    shutil.copy(make_clip(tmp_path / "d.mp4", 10), out)
    live(tmp_path / "d.mp4", out, session=FakeSession(drop_every=1))
    assert len(contents(out).times_s) == 10
    live(tmp_path / "d.mp4", out, seconds=0.2)
    assert len(contents(out).times_s) == 5
