from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from engines.errors import OutputError
from hp_trt.streams.cut_off import CutOff
from hp_trt.streams.file_sink import FileSink
from hp_trt.streams.sink import Shape
from tests.hp_trt.clips import contents, make_clip, picture
from tests.hp_trt.streams.failing_disk import failing_after

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
from hp_trt.streams.cut_off import CutOff
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


def drawn(number):
    """A picture that takes some hundred bytes."""
    tiles = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return tiles.repeat(8, axis=0).repeat(8, axis=1)


DRAWN = [drawn(number) for number in range(40)]


def recorded(out):
    """What the run says that records 40 pictures, ten a second; an empty text where nothing is wrong."""
    sink, said = FileSink(out), []
    for step in (
        lambda: sink.open(Shape(width=64, height=48, rate=Fraction(10))),
        lambda: [sink.write(image, Fraction(number, 10)) for number, image in enumerate(DRAWN)],
        sink.close,
    ):
        try:
            step()
        except OutputError as error:
            said.append(error)
            break
    sink.close()
    return said, sink.notes


def readable(path):
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_wherever_the_disk_fails_the_message_says_how_many_frames_can_be_read(tmp_path, monkeypatch, ending):
    whole = tmp_path / f"whole.{ending}"
    with monkeypatch.context() as patch:
        made = failing_after(patch, 10**9)
        assert recorded(whole) == ([], [])
    total = 10**9 - made[0].left
    seen = set()
    for most in (*range(0, total, total // 25), *range(total - 1200, total + 60, 40)):
        folder = tmp_path / str(most)
        folder.mkdir()
        out = folder / f"o.{ending}"
        with monkeypatch.context() as patch:
            failing_after(patch, most)
            said, notes = recorded(out)
        if most >= total:
            assert said == [] and readable(out) == 40
            continue
        (error,) = said
        assert str(error).startswith(
            f"{out} could not be written: No space left on device; free some space, or write somewhere else. "
        )
        assert notes == []
        if not left(folder):
            assert "Nothing was left behind" in str(error) and (
                most == 0 or "not one frame" in str(error) or most < 2000
            )
            seen.add(0)
            continue
        count = readable(out)
        seen.add(count)
        kept = "One frame is" if count == 1 else f"The {count} frames until then are"
        assert str(error).endswith(f" {kept} kept in {out}") and error.frames == count > 0
        assert left(folder) == [out.name]
    assert {0, 40} <= seen and len(seen) >= 5


def test_an_error_of_the_disk_that_comes_last_keeps_the_whole_file(tmp_path, monkeypatch):
    def broken(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    said, _ = recorded(tmp_path / "o.mp4")
    assert "Input/output error; the disk fails, or the connection to it: see to it" in str(said[0])
    assert said[0].exit_code == 1 and isinstance(said[0], CutOff)
    assert str(said[0]).endswith(f"The 40 frames until then are kept in {tmp_path / 'o.mp4'}")
    assert readable(tmp_path / "o.mp4") == 40


def test_what_was_cut_off_before_is_not_replaced_by_the_next(tmp_path, monkeypatch):
    for name in ("o.mkv", "o.cut-off.mkv"):
        (tmp_path / name).write_bytes(b"older")
    failing_after(monkeypatch, 20_000, errno.EIO)
    said, notes = recorded(tmp_path / "o.mkv")
    kept = tmp_path / "o.cut-off-2.mkv"
    assert str(said[0]).endswith(f"frames until then are kept in {kept}")
    assert notes == [f"{tmp_path / 'o.mkv'} was there before and stays; what was recorded is {kept}"]
    assert readable(kept) > 10 and left(tmp_path) == ["o.cut-off-2.mkv", "o.cut-off.mkv", "o.mkv"]
    assert (tmp_path / "o.mkv").read_bytes() == (tmp_path / "o.cut-off.mkv").read_bytes() == b"older"


def test_a_live_run_on_a_full_disk_says_one_number(live, tmp_path, monkeypatch):
    driving = make_clip(tmp_path / "d.mp4", 100)
    failing_after(monkeypatch, 8_000)
    ran = live(driving, tmp_path / "o.mp4")
    count = readable(tmp_path / "o.mp4")
    assert f"The {count} frames until then are kept in" in str(ran.error) and ran.result["frames"] == count > 0
