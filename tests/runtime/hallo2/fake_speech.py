"""Stand-ins for the two graphs of speech: they hear their whole input, as the networks do, and tell frames apart."""

from __future__ import annotations

import numpy as np

from tests.fakes import FakeBackend, FakeSession, spec

LAYERS, HIDDEN = 2, 3
TOKENS, WIDTH = 2, 4
HOP, REACH = 320, 400  # of one position of the encoder's convolutions


def positions_heard(wave: np.ndarray) -> np.ndarray:
    """(n, layers, hidden) from what each position of the convolutions reaches, and a little from all of the wave."""
    count = (len(wave) - REACH) // HOP + 1
    sums = np.concatenate([[0], np.cumsum(wave.astype(np.float64))])
    starts = np.arange(count) * HOP
    mean = (sums[starts + REACH] - sums[starts]) / REACH
    whole = np.abs(wave).mean()
    scale = np.arange(1, LAYERS * HIDDEN + 1)
    return np.tanh(mean[:, None] * scale + 0.1 * whole).reshape(count, LAYERS, HIDDEN)


def project(windows: np.ndarray) -> np.ndarray:
    """(F, k, Da) that weighs each place of the window differently."""
    weights = np.array([0.1, -0.2, 1.0, 0.3, -0.4])
    mixed = np.einsum("w,fwlh->flh", weights, windows).reshape(len(windows), -1)
    return np.stack([mixed[:, :WIDTH], mixed[:, -WIDTH:]], axis=1)


def speech_sessions(backend: FakeBackend, *, token_dtype: str = "float32", most: int = 64) -> dict[str, FakeSession]:
    """`speech_encoder` and `audio_tokens`, which takes `most` frames a call."""

    def encoder(wave, left, fraction):
        heard = positions_heard(wave)
        assert left.min() >= 0 and left.max() < len(heard)
        behind = heard[np.minimum(left + 1, len(heard) - 1)]
        mixed = heard[left] + (behind - heard[left]) * fraction[:, None, None]
        return {"features": mixed.astype(np.float32)}

    return {
        "speech_encoder": backend.session(
            spec(
                "speech_encoder",
                {"wave": ("samples",), "left": ("frames",), "fraction": ("frames",)},
                {"features": ("frames", LAYERS, HIDDEN)},
                dtypes={"left": "int64"},
                most=1_100_000,
                unit="frames",
            ),
            encoder,
        ),
        "audio_tokens": backend.session(
            spec(
                "audio_tokens",
                {"windows": ("frames", 5, LAYERS, HIDDEN)},
                {"tokens": ("frames", TOKENS, WIDTH)},
                dtypes={"tokens": token_dtype},
                most=most,
                unit="frames",
            ),
            lambda windows: {"tokens": project(windows).astype(token_dtype)},
        ),
    }
