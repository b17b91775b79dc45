from __future__ import annotations

import os
import threading
import time

import pytest

from hp_trt.streams.pipes import PartWriter, PipeReader, PipeWriter


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        try:
            os.close(fd)
        except OSError:
            continue


def test_a_reader_waits_no_longer_than_it_may(pipe):
    reader = PipeReader(pipe[0], timeout_s=0.2, stop=threading.Event())
    with pytest.raises(TimeoutError, match=r"nothing came for 0\.2 s"):
        reader.read(10)
    os.write(pipe[1], b"abc")
    assert reader.read(10) == b"abc"
    os.close(pipe[1])
    assert reader.read(10) == b""


def test_a_reader_that_is_told_to_stop_sees_an_end(pipe):
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    assert PipeReader(pipe[0], timeout_s=30, stop=stop).read(10) == b""


def test_a_writer_waits_for_its_reader(pipe):
    data = os.urandom(300_000)  # more than a pipe holds
    got = []
    reader = threading.Thread(target=lambda: got.extend(iter(lambda: os.read(pipe[0], 50_000), b"")))
    reader.start()
    PipeWriter(pipe[1], stop=threading.Event()).write(data)
    os.close(pipe[1])
    reader.join(10)
    assert b"".join(got) == data


def test_a_writer_whose_reader_is_gone_says_so_each_time(pipe):
    writer = PipeWriter(pipe[1], stop=threading.Event())
    os.close(pipe[0])
    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            writer.write(b"abc")


def test_a_writer_gives_up_soon_after_the_run_has_ended(pipe, monkeypatch):
    monkeypatch.setattr("hp_trt.streams.pipes.LAST_WAIT_S", 0.2)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    start_s = time.monotonic()
    with pytest.raises(TimeoutError, match="nobody reads it any more"):
        PipeWriter(pipe[1], stop=stop).write(bytes(300_000))
    assert time.monotonic() - start_s < 3


def test_a_part_that_broke_stays_as_it_is(tmp_path):
    path = tmp_path / "part"
    path.write_bytes(b"")
    writer = PartWriter(path)
    writer.write(b"0123456789")
    writer.seek(4)
    writer.write(b"xy")
    assert writer.tell() == 6 and path.read_bytes() == b"0123xy6789"
    writer.shut()  # as a disk that takes nothing any more
    with pytest.raises(ValueError, match="closed file"):
        writer.write(b"more")
    writer.broken = OSError(28, "full")
    writer.seek(0)
    assert writer.write(b"a trailer") == 9 and writer.tell() == 9
    assert path.read_bytes() == b"0123xy6789"
    writer.shut()
