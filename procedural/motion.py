"""What a drawn head does: one frame's pose and expression, and seeded clips of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from math import pi

import numpy as np

_START_DEG = 12.0  # a clip starts at most this far from frontal
_BLINK_HALF_S = 0.15
_SACCADE_S = 0.14


@dataclass(frozen=True, kw_only=True)
class State:
    """One frame's pose and expression; all default is a calm look into the camera.

    "Left" is the picture's left. Shifts are in picture sides.
    """

    yaw_deg: float = 0.0  # + turns to the picture's right; about +-30
    pitch_deg: float = 0.0  # + nods down; about +-20
    roll_deg: float = 0.0  # + clockwise; about +-15
    shift_x: float = 0.0  # of the head; about +-0.06, 0 at a clip's first frame
    shift_y: float = 0.0
    scale: float = 1.0  # 1 at a clip's first frame, 0.9 .. 1.1
    lid_left: float = 0.0  # 0 open .. 1 closed
    lid_right: float = 0.0
    gaze_x: float = 0.0  # -1 .. 1
    gaze_y: float = 0.0
    brow_left: float = 0.0  # -1 lowered .. 1 raised
    brow_right: float = 0.0
    jaw: float = 0.0  # 0 closed .. 1 open
    corners: float = 0.0  # lip corners: -1 down .. 1 up
    rounding: float = 0.0  # 0 .. 1 lips round and narrow
    teeth: float = 0.0  # 0 .. 1 how much of the upper teeth an open mouth shows

    def vector(self) -> np.ndarray:
        """(len(NAMES),) float32 in the order of NAMES."""
        return np.array(astuple(self), dtype=np.float32)


NAMES: tuple[str, ...] = tuple(field.name for field in fields(State))


def motion(seed: int, frames: int, *, fps: float = 25.0) -> list[State]:
    """A head that turns, nods, blinks, looks around and talks; longer clips of a seed start as shorter ones do."""
    waves, blinks, looks = (np.random.default_rng([seed, stream]) for stream in range(3))
    t = np.arange(frames) / fps

    def wave(low: float, high: float, hz: tuple[float, float]) -> np.ndarray:
        """A slow sine and a smaller, faster one."""
        size, rate, phase = waves.uniform(low, high), waves.uniform(*hz), waves.uniform(0, 2 * pi, 2)
        return size * (np.sin(2 * pi * rate * t + phase[0]) + 0.2 * np.sin(2 * pi * 2.3 * rate * t + phase[1]))

    def turn(low: float, high: float, hz: tuple[float, float]) -> np.ndarray:
        """A `wave` that starts near frontal: of the offered phases the first that does."""
        size, rate, second = waves.uniform(low, high), waves.uniform(*hz), waves.uniform(0, 2 * pi)
        phases = waves.uniform(0, 2 * pi, 32)
        starts = size * (np.sin(phases) + 0.2 * np.sin(second))
        phase = phases[int(np.argmax(np.abs(starts) <= min(_START_DEG, 0.9 * size)))]
        return size * (np.sin(2 * pi * rate * t + phase) + 0.2 * np.sin(2 * pi * 2.3 * rate * t + second))

    def drift(low: float, high: float, hz: tuple[float, float]) -> np.ndarray:
        """A `wave` from 0."""
        values = wave(low, high, hz)
        return values - values[:1]

    columns = {
        "yaw_deg": turn(12, 19, (0.38, 0.55)),
        "pitch_deg": turn(6, 10.5, (0.42, 0.7)),
        "roll_deg": turn(3, 7, (0.38, 0.6)),
        "shift_x": drift(0.010, 0.028, (0.3, 0.6)),
        "shift_y": drift(0.006, 0.020, (0.3, 0.6)),
        "scale": 1 + drift(0.01, 0.035, (0.25, 0.5)),
    }
    rest = waves.uniform(0, 0.15)
    brows = waves.uniform(-0.2, 0.3) + wave(0.3, 0.7, (0.3, 0.7))
    uneven = wave(0.0, 0.3, (0.2, 0.5))
    columns["brow_left"], columns["brow_right"] = np.clip(brows + uneven, -1, 1), np.clip(brows - uneven, -1, 1)
    size, rate, phase = waves.uniform(0.5, 0.85), waves.uniform(1.4, 2.2), waves.uniform(0, 2 * pi)
    syllables = np.maximum(0, size * np.sin(2 * pi * rate * t + phase) + waves.uniform(0.0, 0.25))
    phrases = 0.6 + 0.4 * np.clip(2 * wave(0.8, 1.0, (0.3, 0.6)), -1, 1)
    columns["jaw"] = np.clip(syllables * phrases, 0, 1)
    columns["corners"] = np.clip(waves.uniform(-0.2, 0.4) + wave(0.35, 0.8, (0.3, 0.8)), -1, 1)
    columns["rounding"] = np.clip(wave(0.5, 1.0, (0.5, 0.9)) - 0.1, 0, 1)
    columns["teeth"] = np.clip(0.5 + wave(0.3, 0.6, (0.3, 0.7)), 0, 1)
    lids = _lids(blinks, t)
    columns["lid_left"], columns["lid_right"] = rest + (1 - rest) * lids[0], rest + (1 - rest) * lids[1]
    columns["gaze_x"], columns["gaze_y"] = _gaze(looks, t)
    rows = zip(*(columns[name].tolist() for name in NAMES), strict=True)
    return [State(**dict(zip(NAMES, row, strict=True))) for row in rows]


def _lids(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """(2, frames): how far blinks, and now and then a wink, close the left and the right eye."""
    lids = np.zeros((2, len(t)))
    for middle, kind in _events(rng, t, first=(0.4, 1.4), gap=(1.4, 2.6)):
        shut = np.clip(1.3 * (1 - np.abs(t - middle) / _BLINK_HALF_S), 0, 1)
        shut = shut * shut * (3 - 2 * shut)
        for eye in range(2):
            if kind > 0.2 or eye == int(kind > 0.1):
                lids[eye] = np.maximum(lids[eye], shut)
    return lids


def _gaze(rng: np.random.Generator, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the gaze: rests, and quick moves to the next place."""
    x, y = np.full(len(t), rng.uniform(-0.4, 0.4)), np.full(len(t), rng.uniform(-0.3, 0.3))
    for start, _ in _events(rng, t, first=(0.2, 0.8), gap=(0.4, 1.3)):
        moved = np.clip((t - start) / _SACCADE_S, 0, 1)
        moved = moved * moved * (3 - 2 * moved)
        x += moved * (rng.uniform(-1, 1) - x)
        y += moved * (rng.uniform(-0.8, 0.8) - y)
    return x, y


def _events(
    rng: np.random.Generator, t: np.ndarray, *, first: tuple[float, float], gap: tuple[float, float]
) -> Iterator[tuple[float, float]]:
    """Time in seconds and a number in 0 .. 1 of every event that can touch `t`, in order."""
    now = rng.uniform(*first)
    while len(t) and now - 1 < t[-1]:
        yield now, rng.uniform()
        now += rng.uniform(*gap)
