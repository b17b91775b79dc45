"""From sound to audio tokens: `speech_encoder` once a piece of 60 s, `audio_tokens` once a clip.

`audio_tokens` reads a finished sound, piece by piece, and holds the features of two pieces at most: a clip at a piece's
end needs the first two frames of the next. `LiveSpeech` is fed as sound comes.

Source: SPEC 5 (Speech encoder), SPEC 7 (Audio).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from engines.backend import Backend, Buffer, Session
from runtime.finite import require_finite
from runtime.hallo2.audio_plan import AudioPlan, Piece, conv_outputs, planned
from runtime.hallo2.presets import AUDIO_WINDOW, FPS, PIECE_S, SAMPLES_PER_FRAME
from runtime.stages import Stages

RADIUS = AUDIO_WINDOW // 2  # frames before and behind a frame that its tokens hear
CONTEXT_S = 8.0  # that live speech is encoded with
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


class LiveSpeech:
    """Audio tokens of sound that is pushed as it comes: clip after clip, each once two frames behind it are heard.

    So the latency of a clip's first frame is F + 2 frames, 80 ms more than the clip, and its computing. `context_s`
    seconds that end there are encoded anew for every clip, and normalised by their own mean and variance. That is what
    differs from a file, whose sound is normalised and encoded 60 s at a time: a live frame hears nothing that is
    further back, and nothing beyond the two frames ahead. Frames lie at the same samples in both, but in a file's last
    piece: where its end is no whole frame, its frames are up to one closer together, as released.

    At the end, silence fills the last clip, and the last frame stands in for those behind it, as in a file.
    Memory is what waits to be taken, and the context. One thread at a time.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        *,
        clip: int,
        context_s: float = CONTEXT_S,
        stages: Stages | None = None,
    ) -> None:
        self._context = round(context_s * FPS)  # frames
        if not clip + 2 * RADIUS <= self._context <= PIECE_S * FPS:
            raise ValueError(
                f"the context needs {(clip + 2 * RADIUS) / FPS:g} to {PIECE_S} s for clips of {clip} frames, "
                f"got {context_s:g}"
            )
        self._backend, self._sessions = backend, sessions
        self._stages = stages or Stages(most_spans=1)  # it may go on for days
        self._clip, self._next = clip, 0
        self._parts: deque[np.ndarray] = deque()
        self._start = self._stop = 0  # samples that `_parts` hold
        self._ended = False
        self._stages.begin(_STAGE)

    @property
    def frames(self) -> int | None:
        """To be saved of all clips together; None before `end`."""
        return -(-self._stop // SAMPLES_PER_FRAME) if self._ended else None

    @property
    def ready(self) -> int:
        """How many clips `tokens` would give now."""
        if self.frames is not None:
            return -(-self.frames // self._clip) - self._next
        return max((self._stop // SAMPLES_PER_FRAME - RADIUS) // self._clip - self._next, 0)

    def push(self, samples: np.ndarray) -> None:
        """More sound: (n,) floats in [-1, 1] at 16 kHz, as many as there are. Raises ValueError."""
        samples = np.array(samples, np.float32)  # a copy: the caller may use its memory again
        if samples.ndim != 1:
            raise ValueError(f"live speech is mono, samples (n,), got {samples.shape}; average its channels")
        if self._ended:
            raise ValueError("live speech has ended and takes no more samples; begin another")
        if len(samples):
            self._parts.append(samples)
            self._stop += len(samples)

    def end(self) -> None:
        """No more sound: the frames that are left are ready. Twice is fine."""
        self._ended = True

    def tokens(self) -> Buffer:
        """The next clip's (F, k, Da), the caller's. Raises ValueError where none is `ready`, NonFiniteError."""
        if not self.ready:
            raise ValueError("no clip is ready; push more samples, or end the sound")
        first = self._next * self._clip
        stop = first + self._clip + RADIUS
        if self.frames is not None:
            stop = min(stop, -(-self.frames // self._clip) * self._clip)
        start = max(stop - self._context, 0)
        with self._stages.unit(_STAGE, self._clip):
            wave = normalised(self._heard(start, stop), (stop - start) * SAMPLES_PER_FRAME)
            what = f"speech encoder: features of live frames {start} to {stop - 1}"
            features = encoded(self._backend, self._sessions["speech_encoder"], wave, stop - start, what=what)
            heard = windows(features, first=first, count=self._clip, start=start, total=stop)
            tokens = tokens_of(self._backend, self._sessions["audio_tokens"], heard)
        self._next += 1
        # At the end, the last clip has no frames behind it, and its context begins so much sooner.
        self._forget((self._next + 1) * self._clip - self._context)
        return tokens

    def _heard(self, start: int, stop: int) -> np.ndarray:
        """The samples of these frames, as far as there are."""
        if len(self._parts) > 1:
            self._parts = deque([np.concatenate(self._parts)])
        return self._parts[0][start * SAMPLES_PER_FRAME - self._start : stop * SAMPLES_PER_FRAME - self._start]

    def _forget(self, frame: int) -> None:
        before = min(frame * SAMPLES_PER_FRAME, self._stop - 1)
        if before > self._start:
            self._parts[0] = self._parts[0][before - self._start :].copy()
            self._start = before


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
