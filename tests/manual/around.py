"""What the pages' Python has around it: an application's own functions, and what it has at hand."""

import threading

import av
import numpy as np

from hp_trt import Runtime, RuntimeConfig

frames = [np.full((256, 256, 3), 90 + number, np.uint8) for number in range(25)]
samples = np.sin(np.arange(24_000) / 20).astype(np.float32)  # half a second


def show(picture, *beside) -> None:
    assert picture.ndim == 3 and picture.dtype == np.uint8


def feed(session) -> None:
    def push() -> None:
        with av.open("talk.mp4") as video:
            for frame in video.decode(video=0):
                session.push(frame.to_ndarray(format="rgb24"), frame.time)
        session.close()

    threading.Thread(target=push, daemon=True).start()


def listen(session) -> None:
    def push() -> None:
        for start in range(0, len(samples), 4_000):
            session.push(samples[start : start + 4_000])
        session.close()

    threading.Thread(target=push, daemon=True).start()


__all__ = ["Runtime", "RuntimeConfig", "feed", "frames", "listen", "np", "samples", "show"]
