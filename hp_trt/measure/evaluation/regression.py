"""The other end of the yardstick for speech: a plain regression from sound to mouth, drawn as people are drawn here.

It needs no network of pictures, so what it draws is sharp and its lips are as well read from the sound as a regression
reads them. It is fitted in seconds when an evaluation begins, on sentences and voices of training seeds: mel energies
of a fifth of a second, a random hidden layer, and a readout by ridge regression.

Source: the layer is that of extreme learning machines (Huang, Zhu, Siew, 2006).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hp_trt.measure.evaluation.spoken import said
from hp_trt.measure.metrics.sound_features import ROWS_A_FRAME, log_mel
from procedural.clip import FIRST_TRAINING_SEED
from procedural.motion import State
from procedural.speech import MOUTH, talking
from runtime.hallo2.presets import SAMPLES_PER_FRAME

_AROUND = 10  # rows of 10 ms that are heard before and behind a frame's moment
_HIDDEN, _RIDGE = 1500, 100.0
_SENTENCES, _FRAMES = 60, 100  # to learn from


@dataclass(frozen=True, kw_only=True)
class Regression:
    """Numbers of one fit."""

    mean: np.ndarray  # (X,) of what is heard round a frame
    scale: np.ndarray  # (X,)
    hidden: np.ndarray  # (X, H)
    bias: np.ndarray  # (H,)
    readout: np.ndarray  # (H, 4)
    rest: np.ndarray  # (4,): the mouth's mean

    def states(self, samples: np.ndarray, first: State) -> list[State]:
        """A state for each 640 of `samples`: the head of `first`, and the mouth that is heard."""
        mouths = self.mouth(_heard(samples)).tolist()
        return [replace(first, **dict(zip(MOUTH, mouth, strict=True))) for mouth in mouths]

    def mouth(self, heard: np.ndarray) -> np.ndarray:
        """(N, X) -> (N, 4), the parameters of MOUTH in their ranges."""
        values = self._layer(heard) @ self.readout + self.rest
        return np.clip(values, [0, 0, -1, 0], 1)

    def _layer(self, heard: np.ndarray) -> np.ndarray:
        return np.maximum((heard - self.mean) / self.scale @ self.hidden + self.bias, 0)


def fitted(sentences: int = _SENTENCES, *, seed: int = FIRST_TRAINING_SEED) -> Regression:
    """On so many sentences of 4 s, from `seed` on."""
    spoken = [said(number, _FRAMES) for number in range(seed, seed + sentences)]
    heard = np.concatenate([_heard(speech.samples[: _FRAMES * SAMPLES_PER_FRAME]) for speech in spoken])
    wanted = np.concatenate(
        [
            [[getattr(state, name) for name in MOUTH] for state in talking(number, speech.phonemes, _FRAMES)]
            for number, speech in enumerate(spoken)
        ]
    )
    rng = np.random.default_rng(0)
    width = heard.shape[1]
    empty = Regression(
        mean=heard.mean(axis=0),
        scale=heard.std(axis=0) + 0.1,
        hidden=rng.standard_normal((width, _HIDDEN)) / np.sqrt(width),
        bias=0.3 * rng.standard_normal(_HIDDEN),
        readout=np.zeros((_HIDDEN, len(MOUTH))),
        rest=wanted.mean(axis=0),
    )
    layer = empty._layer(heard)
    return replace(
        empty,
        readout=np.linalg.solve(layer.T @ layer + _RIDGE * np.eye(_HIDDEN), layer.T @ (wanted - empty.rest)),
    )


def _heard(samples: np.ndarray) -> np.ndarray:
    """(N, X): what is heard round each frame's moment, of 640 samples a frame."""
    rows = np.pad(log_mel(samples), ((_AROUND, _AROUND), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(rows, 2 * _AROUND, axis=0)[::ROWS_A_FRAME]
    return windows[: len(samples) // SAMPLES_PER_FRAME].reshape(-1, windows.shape[1] * windows.shape[2])
