"""Times as files have them: what is kept, what is closed, and how fast pictures really come."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from hp_trt.media.clock import LONGEST_PAUSE_S, SteadyClock, frame_rate
from hp_trt.media.video import VideoReader, probe
from hp_trt.media.video_writer import VideoWriter
from tests.hp_trt.clips import contents, make_clip

PERIOD = Fraction(1, 25)


def steady(*times: object, **options: int) -> list[float]:
    clock = SteadyClock(PERIOD, **options)
    return [float(clock.at(None if t is None else Fraction(str(t)))) for t in times]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([5, "5.04", "5.08"], [5, 5.04, 5.08]),
        ([-2, "-1.9", 3], [-2, -1.9, 3]),
        ([0, 9999, "9999.04"], [0, 9999, 9999.04]),  # a pause, however long, if a file can hold it
        ([0, None, None, "0.12"], [0, 0.04, 0.08, 0.12]),
        ([None, None], [0, 0.04]),
        ([0, "0.04", "0.04", "0.08", "0.12"], [0, 0.04, 0.06, 0.08, 0.12]),  # one sloppy time, and no more
        ([0, 0, 0, 0], [0, 0.02, 0.06, 0.10]),
        ([0, 10**6, 10**6 + 1], [0, 0.04, 1.04]),
        ([0, "0.04", 10**6, "0.12", "0.16"], [0, 0.04, 0.08, 0.12, 0.16]),  # one that is wrong leaves no trace
        ([100, "100.04", 3, "3.04"], [100, 100.04, 100.08, 100.12]),
    ],
)
def test_a_steady_clock_keeps_what_a_file_can_mean_and_closes_the_rest(given, shown):
    assert steady(*given) == pytest.approx(shown)


def test_a_steady_clock_always_goes_on_and_never_further_than_a_pause():
    draw = random.Random(0)
    for _ in range(50):
        times = [draw.choice([0, 1, -1, 2**31, 10**9, -(10**12), draw.random()]) for _ in range(100)]
        for before, after in pairwise(steady(*times)):
            assert before < after <= before + LONGEST_PAUSE_S + 1e-6


# Steps of a screen recording: its mean is none of the rates that a header may guess.
IRREGULAR = [0]
while len(IRREGULAR) < 60:
    IRREGULAR.append(IRREGULAR[-1] + (17, 17, 33, 50, 33)[len(IRREGULAR) * 7 % 5])


@pytest.mark.parametrize("ending", ["mkv", "ts", "flv", "mp4", "mov"])
def test_the_rate_of_irregular_pictures_is_their_mean_and_is_said_to_be_one(tmp_path, ending):
    info = probe(make_clip(tmp_path / f"a.{ending}", 60, rate=60, ticks=IRREGULAR))
    assert info.rate_varies
    assert float(info.rate) == pytest.approx(59 / (IRREGULAR[-1] / 1000), rel=1e-3)


@pytest.mark.parametrize("ending", ["mkv", "ts", "flv", "mp4", "avi"])
@pytest.mark.parametrize("rate", [25, 30, Fraction(30000, 1001), Fraction(24000, 1001), 60, 1])
def test_a_constant_rate_is_exact_whatever_the_clocks_ticks_are(tmp_path, ending, rate):
    info = probe(make_clip(tmp_path / f"a.{ending}", 40, rate=rate, codec="libx264" if ending == "flv" else "mpeg4"))
    assert not info.rate_varies
    assert info.rate == rate


def test_a_pause_says_nothing_of_the_rate(tmp_path):
    ticks = [40 * n + (600_000 if n > 20 else 0) for n in range(40)]
    info = probe(make_clip(tmp_path / "a.mkv", 40, ticks=ticks))
    assert (info.rate, info.rate_varies) == (25, False)


def test_pictures_of_an_avi_are_shown_in_the_order_and_at_the_pace_of_its_chunks(tmp_path):
    make_clip(tmp_path / "a.avi", 40, options={})  # H.264, some of whose pictures come before those that they follow
    reader = VideoReader(tmp_path / "a.avi")
    times = [frame.time_s for frame in reader.timed()]
    assert {after - before for before, after in pairwise(times)} == {PERIOD}
    assert [int(image[0, 0, 0]) for image in reader] == pytest.approx([20 + 12 * (n % 16) for n in range(40)], abs=4)


class _Said:
    def __init__(self, *rates: object) -> None:
        self.average_rate, self.guessed_rate, self.base_rate = rates


@pytest.mark.parametrize(
    ("rates", "rate"),
    [
        ((None, None, None), 25),
        ((Fraction(0), None, Fraction(30)), 30),
        ((Fraction(90000), Fraction(90000), None), 25),  # a clock, not a rate
        ((Fraction(1, 10**6), None, Fraction(24)), 24),
        ((Fraction(2**31 - 1, 2**26), None, None), Fraction(2**31 - 1, 2**26).limit_denominator(100_000)),
    ],
)
def test_a_header_whose_rate_cannot_be_is_not_believed(rates, rate):
    assert frame_rate(_Said(*rates)) == rate


CLOCKS = {
    "days ahead": ([0, 40, 80, *(10**9 + 40 * n for n in range(5))], Fraction(1, 1000), "mkv"),
    "2^31 in a step": ([0, 2**31 - 2, 2**32 - 4], Fraction(1, 90_000), "mp4"),
    "2^31 ms in a step": ([0, 2**31 - 2, 2**32 - 4], Fraction(1, 1000), "mkv"),
    "whole seconds": ([0, 1, 2, 3], Fraction(1), "mp4"),
    "a very fine clock": ([0, 2**26, 2**27], Fraction(1, 2**31 - 1), "mp4"),
    "below 0": ([-2000, -1960, -1920], Fraction(1, 1000), "mkv"),
}


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_an_odd_clock_gives_a_result_of_its_frames_and_no_more(tmp_path, name, ending):
    ticks, tick_s, kind = CLOCKS[name]
    driving = _clip(tmp_path / f"a.{kind}", ticks, tick_s)
    reader = VideoReader(driving)
    with VideoWriter(tmp_path / f"o.{ending}", width=64, height=48, driving=reader.info) as writer:
        for frame in reader.timed():
            writer.write(frame.image, frame.time_s)
    after = contents(tmp_path / f"o.{ending}")
    assert len(after.times_s) == len(ticks) and after.times_s[0] == 0
    assert all(a < b for a, b in pairwise(after.times_s))
    assert after.times_s[-1] < 10
    assert (tmp_path / f"o.{ending}").stat().st_size < 20_000
    jumps = name.count("2^31") * 2 or name.count("days")
    often = {0: [], 1: ["once"], 2: ["2 times"]}[jumps]
    assert reader.notes == [f"the clock of {driving} jumps {n}: its frames go on there without a gap" for n in often]


def _clip(path, ticks, tick_s):
    """H.264, whose encoder takes any clock."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=30, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = tick_s
        for number, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + number, np.uint8))
            frame.pts, frame.time_base = tick, tick_s
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return path


def test_sound_that_goes_on_after_the_pictures_does_not_make_them_cut_off(tmp_path):
    reader = VideoReader(make_clip(tmp_path / "a.mkv", 25, audio="aac", audio_s=5))
    assert len(list(reader)) == 25 and reader.notes == []
