"""Audio tokens of speech that is still going on: each clip's from the last seconds of it.

That is what differs from a file, whose sound is normalised and encoded 60 s at a time: a live frame hears nothing
further back than the context, and nothing beyond the two frames ahead that its tokens need.

Source: SPEC 5 and 7, applied to a context that moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from engines.backend import Backend, Buffer, Session
from runtime.hallo2.presets import FPS, PIECE_S, SAMPLES_PER_FRAME
from runtime.hallo2.speech import RADIUS, encoded, normalised, tokens_of, windows

CONTEXT_S = 8.0


class LiveSpeech:
    """Tokens (F, k, Da) of one clip after the other, of F = `clip` frames.

    `context_s` seconds, the clip among them, are encoded anew for each, and normalised by their own mean and variance.
    Memory is theirs. Raises ValueError for a context that does not hold a clip, or is longer than the encoder takes.
    """

    def __init__(
        self, backend: Backend, sessions: Mapping[str, Session], *, clip: int, context_s: float = CONTEXT_S
    ) -> None:
        most = round(context_s * FPS)
        if not clip <= most <= PIECE_S * FPS - RADIUS:
            raise ValueError(f"the context needs {clip / FPS:g} to {PIECE_S - 1} s, got {context_s:g}")
        self._backend, self._sessions, self._clip = backend, sessions, clip
        self._context: deque[np.ndarray] = deque(maxlen=most)
        self._frames = 0

    def tokens(self, frames: Sequence[np.ndarray], ahead: np.ndarray) -> Buffer:
        """Of the next 1 to F `frames`, each (640,) float32 in [-1, 1] at 16 kHz; where they are fewer than F, silence
        fills the clip. `ahead` (n,): what is heard right behind them, two frames of it at most. Raises NonFiniteError.
        """
        silence = np.zeros(SAMPLES_PER_FRAME, np.float32)
        self._context.extend([*frames, *[silence] * (self._clip - len(frames))])
        known = len(self._context)
        behind = 0 if len(frames) < self._clip else min(len(ahead) // SAMPLES_PER_FRAME, RADIUS)
        wave = np.concatenate([*self._context, ahead[: behind * SAMPLES_PER_FRAME]])
        first = self._frames
        self._frames += self._clip
        features = encoded(
            self._backend,
            self._sessions["speech_encoder"],
            normalised(wave),
            known + behind,
            what=f"speech encoder: features of live frames up to {first + self._clip - 1}",
        )
        heard = windows(features, first=known - self._clip, count=self._clip)
        return tokens_of(self._backend, self._sessions["audio_tokens"], heard)
