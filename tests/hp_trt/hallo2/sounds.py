"""Files of sound with known samples."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def tone(seconds: float, *, hz: float = 440, rate: int = 44_100, level: float = 0.5) -> np.ndarray:
    """(n,) float64, from 0 on."""
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def write_sound(
    path: Path,
    channels: np.ndarray,
    rate: int,
    *,
    codec: str = "pcm_s16le",
    layout: str | None = None,
    form: str = "s16",
    start_s: float = 0,
    holes: tuple[tuple[float, float], ...] = (),
) -> Path:
    """`channels` (c, n) or (n,), floats in [-1, 1], as they are in `form`. `holes`: what is not written, from and to,
    in seconds."""
    channels = np.atleast_2d(channels)
    layout = layout or {1: "mono", 2: "stereo"}[len(channels)]
    kept = np.ones(channels.shape[1], bool)
    for begin, end in holes:
        kept[round(begin * rate) : round(end * rate)] = False
    with av.open(str(path), "w") as output:
        track = output.add_stream(codec, rate=rate, layout=layout, format=form, options={"strict": "-2"})
        for at in range(0, channels.shape[1], 1024):
            if not kept[at : at + 1024].all():
                continue
            frame = av.AudioFrame.from_ndarray(_packed(channels[:, at : at + 1024], form), format=form, layout=layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = at + round(start_s * rate)
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return path


def _packed(levels: np.ndarray, form: str) -> np.ndarray:
    plain = form.removesuffix("p")
    if plain == "u8":
        values = np.clip(np.rint(levels * 128 + 128), 0, 255).astype(np.uint8)
    elif plain in ("s16", "s32"):
        most = 2.0 ** (int(plain[1:]) - 1)
        values = np.clip(np.rint(levels * most), -most, most - 1).astype(f"int{plain[1:]}")
    else:
        values = levels.astype({"flt": np.float32, "dbl": np.float64}[plain])
    return np.ascontiguousarray(values if form.endswith("p") else values.T.reshape(1, -1))
