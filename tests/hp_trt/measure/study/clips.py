"""Clips to compare, each contender's of a colour of its own, so that whoever sees a result knows whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.hp_trt.clips import tone

COLOURS: Mapping[str, tuple[int, int, int]] = {"exact": (200, 40, 40), "live": (40, 40, 200), "third": (40, 170, 40)}


def make_coloured(path: Path, colour, *, frames=8, size=(32, 24), sound=False, title: str = "", **stream) -> Path:
    """`frames` plain pictures at 25 a second, each a little lighter than the one before."""
    with av.open(str(path), "w") as made:
        if title:
            made.metadata["title"] = title
            made.metadata["comment"] = title
        video = made.add_stream(stream.get("codec", "libx264"), rate=25)
        video.width, video.height = size
        video.pix_fmt = stream.get("pixels", "yuv420p")
        if turn := stream.get("turn"):
            video.set_display_rotation(turn)
        track = made.add_stream("aac", rate=44100, layout="mono") if sound else None
        for number in range(frames):
            image = np.full((size[1], size[0], 3), colour, np.uint8) + np.uint8(number)
            image[: size[1] // 3] //= 2  # up is not down
            made.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        made.mux(video.encode(None))
        if track is not None:
            samples = tone(frames / 25)
            for start in range(0, samples.shape[1], 1024):
                block = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, start : start + 1024]), format="fltp", layout="mono"
                )
                block.sample_rate, block.pts = 44100, start
                made.mux(track.encode(block))
            made.mux(track.encode(None))
    return path


def make_speech(path: Path, seconds: float = 0.32) -> Path:
    with av.open(str(path), "w") as made:
        track = made.add_stream("pcm_s16le", rate=16000, layout="mono")
        samples = (tone(seconds, 16000) * 32767).astype(np.int16)
        block = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        block.sample_rate = 16000
        made.mux(track.encode(block))
        made.mux(track.encode(None))
    return path


def make_clips(
    folder: Path,
    *,
    items: Sequence[str] = ("anna", "ben"),
    contenders: Sequence[str] = ("exact", "live"),
    speech: Sequence[str] = (),
    frames: int = 8,
) -> Path:
    """The layout that `hp_trt.measure.study.layout` reads."""
    for name in ("source", "driving", *contenders):
        (folder / name).mkdir(parents=True)
    for number, item in enumerate(items):
        Image.new("RGB", (24, 32), (90, 90 + 40 * number, 90)).save(folder / "source" / f"{item}.png")
        if item in speech:
            make_speech(folder / "driving" / f"{item}.wav", frames / 25)
        else:
            make_coloured(folder / "driving" / f"{item}.mp4", (120, 120, 120), frames=frames, sound=True)
        for contender in contenders:
            make_coloured(
                folder / contender / f"{item}.mp4", COLOURS[contender], frames=frames, title=f"made by {contender}"
            )
    return folder
