"""Streams that go wrong in the middle, and others that say when they are out of step."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.hp_trt.clips import make_clip

SECOND = 1000  # ticks of `make_clip`


def two_clips(path: Path, folder: Path, *, size=(64, 48), starts_s=0.4, count=10) -> Path:
    """A transport stream of ten frames at 25 a second, then `count` of `size` whose times begin at `starts_s`."""
    first = make_clip(folder / "first.ts", 10)
    ticks = [round(starts_s * SECOND) + 40 * i for i in range(count)]
    second = make_clip(folder / "second.ts", count, size=size, ticks=ticks)
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


def flashes_and_clicks(path: Path, *, seconds: int, rate: int = 10, audio: str, every_s: int = 5) -> Path:
    """Black and silent, but white for half a second and loud for as long whenever `every_s` seconds are over."""
    hz = 44100
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        sound = output.add_stream(audio, rate=hz, layout="mono")
        for second in range(seconds):
            bright = second % every_s == 0 and second > 0
            for part in range(rate):
                level = 230 if bright and part < rate // 2 else 20
                output.mux(video.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8))))
            loud = np.zeros((1, hz), np.float32)
            if bright:
                loud[0, : hz // 2] = np.sin(np.arange(hz // 2) * 0.2) * 0.8
            raw = (loud * 32767).astype(np.int16) if audio.startswith("pcm") else loud
            block = av.AudioFrame.from_ndarray(raw, format="s16" if audio.startswith("pcm") else "fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = hz, second * hz, Fraction(1, hz)
            output.mux(sound.encode(block))
        output.mux(video.encode(None))
        output.mux(sound.encode(None))
    return path


def onsets(path: Path, *, dark_is_on: bool) -> tuple[list[float], list[float]]:
    """When it becomes bright (or dark, for a session that inverts) and when it becomes loud, decoded anew: seconds."""
    pictures, sounds = [], []
    with av.open(str(path)) as file:
        was_on = True
        for frame in file.decode(video=0):
            bright = frame.to_ndarray(format="gray").mean() > 125
            on = bright != dark_is_on
            if on and not was_on:
                pictures.append(float(frame.pts * frame.time_base))
            was_on = on
    with av.open(str(path)) as file:
        quiet_s = 0.0
        for frame in file.decode(audio=0):
            level = np.abs(frame.to_ndarray().astype(np.float32)).reshape(-1)
            loud = np.flatnonzero(level > 0.2 * (1 if level.max() <= 1.5 else 32767))
            start_s = float(frame.pts * frame.time_base)
            if loud.size:
                at_s = start_s + loud[0] / frame.sample_rate
                if not sounds or at_s - quiet_s > 1:
                    sounds.append(at_s)
                quiet_s = start_s + loud[-1] / frame.sample_rate
    return pictures, sounds


def packet_times(path: Path, kind: str) -> list[tuple[bytes, Fraction]]:
    """What the packets of a stream hold, and when they begin."""
    with av.open(str(path)) as file:
        stream = getattr(file.streams, kind)[0]
        return [(bytes(p), p.pts * p.time_base) for p in file.demux(stream) if p.pts is not None]


@contextmanager
def server(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A listener on this machine, as tcp://…; `talk` has the first connection, and ends when the event is set."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    over = threading.Event()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            talk(connection, over)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        with socket.socket() as nobody:  # where no one connected
            nobody.connect_ex(listener.getsockname() if listener.fileno() >= 0 else ("127.0.0.1", 9))
        thread.join(10)
        assert not thread.is_alive()


def long_stream(path: Path, *, seconds: int, rate: Fraction, hz: int = 8000) -> Path:
    """Very small and plain pictures with noise, whose minute comes again and again; quick to make. Begins at 100 s."""
    start = round(100 * rate)
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        video.codec_context.thread_count = 1
        sound = output.add_stream("aac", rate=hz, layout="mono", options={"aac_coder": "fast"})
        noise = random.normal(0, 0.1, (1, 1024 * 469)).astype(np.float32)  # 60.03 s
        block = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        block.sample_rate, block.pts, block.time_base = hz, 0, Fraction(1, hz)
        minute = [bytes(packet) for packet in sound.encode(block)]
        frame = av.VideoFrame.from_ndarray(np.full((24, 16), 100, np.uint8), format="yuv420p")
        heard = 0
        for shown in range(round(seconds * rate)):
            frame.pts, frame.time_base = start + shown, 1 / rate
            output.mux(video.encode(frame))
            while Fraction(heard * 1024, hz) <= shown / rate:
                packet = av.Packet(minute[heard % len(minute)])
                packet.stream, packet.time_base = sound, Fraction(1, hz)
                packet.pts = packet.dts = round(start / rate * hz) + heard * 1024
                packet.duration = 1024
                output.mux(packet)
                heard += 1
        output.mux(video.encode(None))
    return path
