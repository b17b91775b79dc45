"""From sound to audio tokens: `speech_encoder` once a piece of 60 s, `audio_tokens` once a clip.

`audio_tokens` reads a finished sound, piece by piece, and holds the features of two pieces at most: a clip at a piece's
end needs the first two frames of the next. Speech that is still going on is `runtime.hallo2.live_speech`'s.

Source: SPEC 5 (Speech encoder), SPEC 7 (Audio).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from engines.backend import Backend, Buffer, Session
from runtime.finite import require_finite
from runtime.hallo2.audio_plan import AudioPlan, Piece, conv_outputs, planned
from runtime.hallo2.presets import AUDIO_WINDOW
from runtime.stages import Stages

RADIUS = AUDIO_WINDOW // 2  # frames before and behind a frame that its tokens hear
_STAGE = "speech"
_FLOOR = 1e-7  # of the variance, so that silence stays silence


def normalised(wave: np.ndarray, samples: int | None = None) -> np.ndarray:
    """`wave` (n,), at any level, as float32 of mean 0 and variance 1, with zeros behind it up to `samples`."""
    x = np.asarray(wave, np.float64)
    x = (x - x.mean()) / np.sqrt(x.var() + _FLOOR)
    out = np.zeros(len(x) if samples is None else samples, np.float32)
    out[: len(x)] = x
    return out


def positions(frames: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each of N = `frames` reads between n = `outputs` positions: j (n-1)/(N-1), as a whole number (N,) int64 in
    [0, n) and a fraction (N,) float32 in [0, 1). Both ends are kept; a frame alone reads position 0."""
    left, rest = np.divmod(np.arange(frames, dtype=np.int64) * (outputs - 1), max(frames - 1, 1))
    return left, (rest / max(frames - 1, 1)).astype(np.float32)


def windows(
    features: np.ndarray,
    *,
    first: int = 0,
    count: int | None = None,
    start: int = 0,
    total: int | None = None,
    radius: int = RADIUS,
) -> np.ndarray:
    """What frames `first` to `first + count - 1` hear: (count, 2 radius + 1, ...), their own features in the middle.

    features (T, ...) are those of the frames from `start` on, of a track of `total`; by default they are the track.
    Beyond the track's ends its first and last frame stand in.
    """
    total = start + len(features) if total is None else total
    count = total - first if count is None else count
    near = np.arange(first, first + count)[:, None] + np.arange(-radius, radius + 1)
    at = np.clip(near, 0, total - 1) - start
    assert at.min() >= 0, "features were dropped that are needed"
    return np.asarray(features[at])


class SpeechTokens:
    """Audio tokens of one clip after another: buffers (F, k, Da) of the token type, which belong to the caller.

    Iterate once. `frames` to save and `clips` are known from the last piece of sound on, always before a clip is given
    that is not saved whole; until then they are None.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        pieces: Iterable[np.ndarray],
        *,
        clip: int,
        released: bool = False,
        first_clip: int = 0,
        stages: Stages | None = None,
    ) -> None:
        self._backend, self._sessions, self._stages = backend, sessions, stages or Stages()
        self._clip, self._next = clip, first_clip
        self._plan = AudioPlan(clip=clip, released=released)
        self._track = _Track()
        self._made = self._clips(pieces)

    @property
    def frames(self) -> int | None:
        """Of the whole sound, whatever the first clip is."""
        return self._plan.frames

    @property
    def clips(self) -> int | None:
        return self._plan.clips

    def saved(self, number: int) -> int:
        """How many of clip `number`'s frames are saved, once it was given; clips count from 0."""
        return self._clip if self.frames is None else min(max(self.frames - number * self._clip, 0), self._clip)

    def __iter__(self) -> Iterator[Buffer]:
        return self

    def __next__(self) -> Buffer:
        return next(self._made)

    def _clips(self, pieces: Iterable[np.ndarray]) -> Iterator[Buffer]:
        self._stages.begin(_STAGE)
        for wave, piece in planned(self._plan, pieces):
            if piece.stop_frame <= self._needed:
                self._track.skip(piece.stop_frame)
            else:
                with self._stages.unit(_STAGE, piece.encoded_frames):
                    self._track.add(self._encoded(wave, piece))
            while self._is_complete():
                with self._stages.unit(_STAGE, 0):
                    heard = self._track.windows(self._next * self._clip, self._clip)
                    tokens = tokens_of(self._backend, self._sessions["audio_tokens"], heard)
                self._next += 1
                self._track.forget(self._needed)
                yield tokens
        self._stages.end(_STAGE)

    @property
    def _needed(self) -> int:
        """The first frame whose features the next clip hears."""
        return max(self._next * self._clip - RADIUS, 0)

    def _is_complete(self) -> bool:
        stop = (self._next + 1) * self._clip
        return stop <= self._track.stop if self.clips is not None else stop + RADIUS <= self._track.stop

    def _encoded(self, wave: np.ndarray, piece: Piece) -> np.ndarray:
        heard = np.zeros(piece.samples, np.float32)
        heard[: len(wave)] = wave[: piece.samples]  # as released, a last piece ends at a whole millisecond
        ready = normalised(heard, piece.encoded_samples)
        what = f"speech encoder: features of frames {piece.start_frame} to {piece.stop_frame - 1}"
        return encoded(self._backend, self._sessions["speech_encoder"], ready, piece.encoded_frames, what=what)


def audio_tokens(
    backend: Backend,
    sessions: Mapping[str, Session],
    pieces: Iterable[np.ndarray],
    *,
    clip: int,
    released: bool = False,
    first_clip: int = 0,
    stages: Stages | None = None,
) -> SpeechTokens:
    """The audio tokens of every clip from `first_clip` on, made as they are asked for.

    `pieces`: the sound at 16 kHz, mono, (n,) floats in [-1, 1], 60 s each but the last one, which has 1 to 960 000
    samples; see `runtime.hallo2.audio_plan` for `released`. `sessions`: speech_encoder, audio_tokens. Before
    `first_clip`, pieces are read but not encoded, and clips that come are what they would have been from the start.
    Iterating raises NonFiniteError, ValueError for a piece of another length, and what `pieces` raises.
    """
    return SpeechTokens(backend, sessions, pieces, clip=clip, released=released, first_clip=first_clip, stages=stages)


def encoded(backend: Backend, session: Session, wave: np.ndarray, frames: int, *, what: str) -> np.ndarray:
    """Features (N, layers, hidden) float32 of `wave` (samples,), which is `normalised`, for N = `frames`.

    Raises NonFiniteError, which says `what`.
    """
    left, fraction = positions(frames, conv_outputs(len(wave)))
    given = {"wave": wave, "left": left, "fraction": fraction}
    features = session.run({name: backend.upload(array) for name, array in given.items()})["features"]
    return require_finite(backend.download(features), what)


def tokens_of(backend: Backend, session: Session, heard: np.ndarray) -> Buffer:
    """Tokens (F, k, Da) of `heard` (F, 5, layers, hidden), as many frames a call as the graph takes."""
    most = session.spec.ranges["frames"].max
    if len(heard) <= most:
        return session.run({"windows": backend.upload(heard)})["tokens"]
    promised = session.spec.output("tokens")
    tokens = backend.empty((len(heard), *(int(dim) for dim in promised.dims[1:])), promised.dtype)
    for start in range(0, len(heard), most):
        part = heard[start : start + most]
        out = backend.view(tokens, start, start + len(part))
        session.run({"windows": backend.upload(part)}, {"tokens": out})
    return tokens


class _Track:
    """Features of the frames that some clip still hears, in the pieces in which they were made."""

    def __init__(self) -> None:
        self._parts: deque[np.ndarray] = deque()
        self._start = 0
        self.stop = 0

    def skip(self, stop: int) -> None:
        """Frames that no clip hears."""
        assert not self._parts
        self._start = self.stop = stop

    def add(self, features: np.ndarray) -> None:
        self._parts.append(features)
        self.stop += len(features)

    def forget(self, before: int) -> None:
        while self._parts and self._start + len(self._parts[0]) <= before:
            self._start += len(self._parts.popleft())

    def windows(self, first: int, count: int) -> np.ndarray:
        """What these frames hear, in a track that ends where the features do."""
        low, high = max(first - RADIUS, 0), min(first + count + RADIUS, self.stop)
        near, start = [], self._start
        for part in self._parts:
            near.append(part[max(low - start, 0) : max(high - start, 0)])
            start += len(part)
        return windows(np.concatenate(near), first=first, count=count, start=low, total=self.stop)
