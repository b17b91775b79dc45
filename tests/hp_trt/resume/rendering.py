"""A render that is cheap and shows every mistake of a state: each frame is drawn from the one before, by a counter.

As a program of its own, to be killed: `python -m tests.hp_trt.resume.rendering FOLDER CHUNKS`, which says how many
frames there are whenever it begins and whenever a chunk is safe.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from hp_trt.resume.loop_state import LoopState
from hp_trt.resume.resumable_video import ResumableVideo, Track

SIZE = 46, 35  # width, height: one of them odd
CROP = 16
FRAMES = 5  # of a chunk
FACTS = {"portrait": "a" * 64, "options": {"seed": 3, "steps": 40}}


class Loop:
    """The pictures behind a state."""

    def __init__(self, state: LoopState | None) -> None:
        self._drawn = int(state.numbers["drawn"]) if state else 0
        self._last = state.arrays["last"] if state else np.zeros((5, 7, 3), np.float32)

    def chunk(self, frames: int = FRAMES) -> Iterator[np.ndarray]:
        for _ in range(frames):
            noise = np.random.Generator(np.random.Philox(key=7, counter=self._drawn << 64)).random((5, 7, 3))
            self._last = (0.6 * self._last + 0.4 * noise).astype(np.float32)
            self._drawn += 1
            large = np.kron(self._last, np.ones((7, 7, 1)))[:, : SIZE[0]]
            yield (large * 255).astype(np.uint8)

    def state(self) -> LoopState:
        return LoopState(arrays={"last": self._last}, numbers={"drawn": self._drawn, "third": 1 / 3})


def tracks(folder: Path, *, out: str = "talk.mp4", crop: bool = True) -> dict[str, Track]:
    found = {"out": Track(path=folder / out, width=SIZE[0], height=SIZE[1])}
    return found | ({"crop": Track(path=folder / "crop.mkv", width=CROP, height=CROP)} if crop else {})


def render(
    folder: Path, *, chunks: int = 3, until: int | None = None, tell: Any = None, crop: bool = True, **given: Any
) -> ResumableVideo:
    """Render until `chunks` are done and finish, or leave when `until` are."""
    with ResumableVideo(tracks(folder, crop=crop), **{"facts": FACTS, **given}) as video:
        loop = Loop(video.state)
        while video.chunks < (chunks if until is None else until):
            if tell:
                tell(video)
            for picture in loop.chunk():
                video.write({"out": picture, "crop": picture[:CROP, :CROP]} if crop else {"out": picture})
            video.close_chunk(loop.state())
        if tell:
            tell(video)
        if until is None:
            video.finish()
    return video


def decoded(path: Path) -> Mapping[str, Any]:
    """What a player gets of a file: times and hashes of pictures, hashes of sound."""
    pictures, sound = [], []
    with av.open(str(path)) as file:
        for frame in file.decode():
            if isinstance(frame, av.VideoFrame):
                time_s = Fraction(frame.pts) * frame.time_base
                pictures.append((time_s, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()))
            else:
                sound.append((frame.pts, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()))
    return {"pictures": pictures, "sound": sound}


if __name__ == "__main__":
    where, most = Path(sys.argv[1]), int(sys.argv[2])
    render(
        where,
        chunks=most,
        mode="resume",
        sound=where / "talk.wav",
        tell=lambda video: print(video.frames, flush=True),
    )
