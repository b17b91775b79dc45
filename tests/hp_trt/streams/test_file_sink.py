from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from engines.errors import OutputError
from hp_trt.streams.file_sink import FileSink
from hp_trt.streams.sink import Shape
from tests.hp_trt.clips import contents, picture

SHAPE = Shape(width=64, height=48, rate=Fraction(25))


def written(sink, count, shape=SHAPE, start=0):
    sink.open(shape)
    for number in range(count):
        sink.write(picture(number, shape.width, shape.height), Fraction(start + number, 25))
    return sink


def left(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_file_grows_out_of_sight_and_begins_at_0(tmp_path, ending):
    out = tmp_path / f"o.{ending}"
    sink = written(FileSink(out), 5, start=1000)
    assert not out.exists() and len(left(tmp_path)) == 1
    sink.close()
    sink.close()
    after = contents(out)
    assert [round(float(t) * 25) for t in after.times_s] == [0, 1, 2, 3, 4]
    assert left(tmp_path) == [out.name]


def test_a_complete_mp4_is_a_plain_one(tmp_path):
    written(FileSink(tmp_path / "o.mp4"), 60).close()
    boxes, data, at = [], (tmp_path / "o.mp4").read_bytes(), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        boxes.append(data[at + 4 : at + 8])
        at += size or len(data)
    assert b"moof" not in boxes and boxes.count(b"moov") == 1


def test_odd_sizes_are_padded(tmp_path):
    written(FileSink(tmp_path / "o.mp4"), 2, Shape(width=63, height=47, rate=Fraction(25))).close()
    assert contents(tmp_path / "o.mp4").size == (64, 48)


def test_no_frame_no_file(tmp_path):
    written(FileSink(tmp_path / "o.mp4"), 0).close()
    FileSink(tmp_path / "p.mp4").close()  # never opened
    assert left(tmp_path) == []


KILLED = """
import sys, time
from fractions import Fraction
from pathlib import Path
from hp_trt.streams.file_sink import FileSink
from hp_trt.streams.sink import Shape
from tests.hp_trt.clips import picture
sinks = [FileSink(Path(name)) for name in sys.argv[1:]]
for sink in sinks:
    sink.open(Shape(width=64, height=48, rate=Fraction(25)))
    for number in range(90):
        sink.write(picture(number), Fraction(number, 25))
print("written", flush=True)
time.sleep(60)
"""


def test_what_kill_9_leaves_can_be_played_and_the_next_run_tells_of_it(tmp_path):
    names = ["a.mp4", "b.mov", "c.mkv"]
    command = [sys.executable, "-c", KILLED, *(str(tmp_path / name) for name in names)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    for name in names:
        (part,) = tmp_path.glob(f".{name}.*.part")
        assert len(contents(part).times_s) >= 65  # at most the last second is missing, up to the next keyframe
        sink = written(FileSink(tmp_path / name), 3)
        sink.close()
        assert sink.notes == [f"{part} is what a run left that was killed: play it, keep or remove it"]
        assert part.exists()


def test_an_empty_part_is_not_worth_a_word(tmp_path):
    (tmp_path / ".o.mp4.1.part").write_bytes(bytes(88))
    sink = written(FileSink(tmp_path / "o.mp4"), 1)
    sink.close()
    assert sink.notes == [] and left(tmp_path) == ["o.mp4"]


FULL_DISK = """
import resource, signal, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from engines.errors import OutputError
from hp_trt.streams.file_sink import FileSink
from hp_trt.streams.sink import Shape
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing past the limit then fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
random = np.random.default_rng(0)
sink = FileSink(Path(sys.argv[1]))
sink.open(Shape(width=96, height=96, rate=Fraction(25)))
try:
    for number in range(300):
        sink.write(random.integers(0, 256, (96, 96, 3), dtype=np.uint8), Fraction(number, 25))
except OutputError as error:
    print(error)
sink.close()
print(*sink.notes)
"""


@pytest.mark.parametrize(("ending", "old"), [("mp4", True), ("mkv", False)])
def test_a_disk_that_fills_up_keeps_what_was_recorded(tmp_path, ending, old):
    out = tmp_path / f"o.{ending}"
    if old:
        out.write_bytes(b"the old result")
    ended = subprocess.run([sys.executable, "-c", FULL_DISK, str(out)], capture_output=True, text=True, check=False)
    assert f"{out} could not be written: File too large; free some space" in ended.stdout, ended.stdout + ended.stderr
    kept = tmp_path / f"o.cut-off.{ending}" if old else out
    assert len(contents(kept).times_s) > 10
    if old:
        assert out.read_bytes() == b"the old result"
        assert f"{out} was there before and stays; what was recorded is {kept}" in ended.stdout
    assert len(left(tmp_path)) == 1 + old


def test_a_name_that_cannot_be_given_keeps_the_recording(tmp_path, monkeypatch):
    def refuse(*names):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    sink = written(FileSink(tmp_path / "o.mp4"), 3)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError, match=r"Permission denied.* The recording is .*\.part"):
        sink.close()
    (part,) = tmp_path.iterdir()
    assert len(contents(part).times_s) == 3


def test_a_picture_of_plain_colour_comes_back_in_its_colour(tmp_path):
    colour = np.full((48, 64, 3), (200, 60, 90), np.uint8)
    sink = FileSink(tmp_path / "o.mp4")
    sink.open(SHAPE)
    sink.write(colour, Fraction(3))
    sink.close()
    from hp_trt.media.video import VideoReader

    # 8-bit YUV is off by a few levels.
    assert np.abs(next(iter(VideoReader(tmp_path / "o.mp4"))).astype(int) - colour).max() <= 6
