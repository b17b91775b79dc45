"""Hallo2's live stream: samples are cut into frames, a clip's frames become tokens, and the chain makes the clip.

A clip needs the pixels of the clip before, so the thread that denoises decodes as well, and the last one only turns
frames into pixels. A frame's tokens hear two frames behind it: samples leave for the first thread so much later, and
the latency is a clip, these 80 ms, and the computing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from engines.backend import Backend, Buffer, Session
from hp_trt.hallo2.portrait_encoder import encoded
from hp_trt.hallo2.pushed_samples import PushedSamples
from hp_trt.media.portrait import Portrait
from runtime.decode import to_uint8
from runtime.hallo2.clips import ChainState, MadeClip, chain
from runtime.hallo2.live_speech import LiveSpeech
from runtime.hallo2.motion_frames import first_motion
from runtime.hallo2.sampling import Sampling
from runtime.hallo2.speech import RADIUS


@dataclass(frozen=True)
class SpokenFrame:
    """A 25th of a second of sound, and what is heard right behind it."""

    samples: np.ndarray  # (640,) float32 in [-1, 1]
    ahead: np.ndarray  # (n,), two frames at most


class TalkStream:
    """A `hp_trt.live.stream.Stream`. Sessions by role: those of `runtime.hallo2.clips.chain` and of the speech.

    `pushed` outlives a stream: the next one goes on with the samples that wait.
    """

    held = faceless = 0

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        *,
        portrait: Portrait,
        sampling: Sampling,
        clip: int,
        pushed: PushedSamples | None = None,
    ) -> None:
        self.concurrent = backend.concurrent
        self.pushed = pushed or PushedSamples()
        self._backend, self._sessions = backend, sessions
        self._sampling, self._clip = sampling, clip
        self._speech = LiveSpeech(backend, sessions, clip=clip)
        self._waiting: deque[tuple[np.ndarray, Fraction]] = deque()  # frames, until what is behind them is heard
        self._lock = threading.Lock()
        self._tokens: deque[Buffer] = deque()
        self._state: ChainState | None = None
        self._conditions = encoded(portrait).conditions
        self._clips = self._chain(None)

    def new_frames(self, window: int) -> int:
        return self._clip

    def taken(
        self, item: Any, pts_s: Fraction | None, now_s: Fraction, number: int
    ) -> Sequence[tuple[SpokenFrame, Fraction]]:
        with self._lock:
            self._waiting.extend(self.pushed.frames(item, pts_s, what=f"push {number}"))
            return list(self._heard(RADIUS))

    def rest(self) -> Sequence[tuple[SpokenFrame, Fraction]]:
        with self._lock:
            self._waiting.extend(self.pushed.rest())
            return list(self._heard(0))

    def sound(self, item: SpokenFrame) -> np.ndarray:
        return item.samples

    def see(self, item: SpokenFrame, index: int) -> SpokenFrame:
        return item

    def encode(self, seen: Sequence[SpokenFrame]) -> Buffer:
        return self._speech.tokens([frame.samples for frame in seen], seen[-1].ahead)

    def check_tokens(self) -> None:
        """The features were looked at when they were made."""

    def denoise(self, tokens: Buffer) -> Buffer:
        """The clip's frames (F, 3, S, S) float32: the session hands them on as they are."""
        self._tokens.append(tokens)
        made = next(self._clips)
        self._state = made.after
        return self._backend.upload(np.stack(list(made.frames)))

    def check_latents(self) -> None:
        """The chain has looked at them."""

    def begin(self, latents: Buffer) -> np.ndarray:
        return self._backend.download(latents)

    def frames(self, begun: np.ndarray) -> Iterator[np.ndarray]:
        return (to_uint8(frame) for frame in begun)

    def change(self, portrait: Portrait) -> None:
        """Another portrait begins at its own picture; nothing is kept of the one before but the random stream."""
        conditions = encoded(portrait).conditions
        if conditions is not self._conditions:
            self._conditions, motion = conditions, first_motion(conditions.picture, conditions.motion_frames)
            self._clips = self._chain(self._state and replace(self._state, motion=motion))

    def reanchor(self) -> None:
        """There is no driving face."""

    @property
    def notes(self) -> list[str]:
        return [*self.pushed.notes, *self._backend.notes]

    def _pushed_tokens(self) -> Iterator[Buffer]:
        """Those that `denoise` was given, each asked for when it is there."""
        while True:
            yield self._tokens.popleft()

    def _heard(self, behind: int) -> Iterator[tuple[SpokenFrame, Fraction]]:
        """Frames behind which so many others wait."""
        while len(self._waiting) > behind:
            samples, pts_s = self._waiting.popleft()
            next_ones = [waiting for waiting, _ in list(self._waiting)[:RADIUS]]
            yield SpokenFrame(samples, np.concatenate(next_ones) if next_ones else samples[:0]), pts_s

    def _chain(self, state: ChainState | None) -> Iterator[MadeClip]:
        """Clips that go on from `state`, each as soon as its tokens are there."""
        return chain(
            self._backend,
            self._sessions,
            conditions=self._conditions,
            audio_tokens=self._pushed_tokens(),
            sampling=self._sampling,
            state=state,
            ahead=False,
        )
