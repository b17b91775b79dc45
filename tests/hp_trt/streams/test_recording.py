from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av

from hp_trt.streams.recording import Recording
from tests.hp_trt.clips import picture


def keyframes(path, *, rate, times):
    with av.open(str(path), "w", format="mpegts") as container:
        recording = Recording(container, "mpegts", width=64, height=48, rate=rate)
        sizes = []
        for time_s in times:
            recording.write(picture(7), time_s)
            sizes.append(path.stat().st_size)
        recording.finish()
    assert all(a < b for a, b in pairwise(sizes)), "a picture waited"
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(video=0) if p.pts is not None]
    assert all(p.pts == p.dts for p in packets), "a picture waits for one from the future"
    return [number for number, packet in enumerate(packets) if packet.is_keyframe]


def test_every_picture_leaves_when_it_comes_and_a_keyframe_every_two_seconds(tmp_path):
    times = [Fraction(number, 25) for number in range(120)]
    assert keyframes(tmp_path / "a.ts", rate=Fraction(25), times=times) == [0, 50, 100]
    # Half of them are dropped, or the source does not know its rate.
    assert keyframes(tmp_path / "b.ts", rate=Fraction(25), times=times[::2]) == [0, 25, 50]
    assert keyframes(tmp_path / "c.ts", rate=Fraction(1000), times=times) == [0, 50, 100]
