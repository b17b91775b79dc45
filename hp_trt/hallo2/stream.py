"""Hallo2's live stream: samples are cut into frames, a clip's frames become tokens, and the chain makes the clip.

A clip needs the last frames of the clip before, so the thread that denoises decodes as well, and the last one only
hands pixels on. A frame's tokens hear two frames behind it: samples leave for the first thread so much later, and
the latency is a clip, these 80 ms, and the computing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from engines.backend import Backend, Buffer, Session
from hp_trt.hallo2.portrait_encoder import encoded
from hp_trt.hallo2.pushed_samples import PushedSamples, SpokenFrame
from hp_trt.media.portrait import Portrait
from runtime.decode import each
from runtime.hallo2.clips import ChainState, MadeClip, chain
from runtime.hallo2.conditions import Conditions
from runtime.hallo2.live_speech import LiveSpeech
from runtime.hallo2.motion_frames import first_motion
from runtime.hallo2.presets import SAMPLES_PER_FRAME
from runtime.hallo2.sampling import Sampling
from runtime.hallo2.speech import RADIUS


class TalkStream:
    """A `hp_trt.live.stream.Stream`. Sessions by role: those of `runtime.hallo2.clips.chain` and of the speech.

    `after`: the stream that it takes the place of. It goes on with the samples that wait there, with the speech so far
    and, where the portrait is the same, with the last frames of its last clip. `warmed`: the kinds of stream whose
    graphs have run, kept by whoever makes several over the same sessions.
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
        after: TalkStream | None = None,
        notes: Sequence[str] = (),
        warmed: set[Hashable] | None = None,
    ) -> None:
        self.concurrent = backend.concurrent
        self._backend, self._sessions = backend, sessions
        self._sampling, self._clip, self._notes = sampling, clip, tuple(notes)
        self._pushed: PushedSamples = after._pushed if after else PushedSamples()
        self._speech: LiveSpeech = after._speech if after else LiveSpeech(backend, sessions, clip=clip)
        self._tokens: deque[Buffer] = deque()
        self._conditions = encoded(portrait).conditions
        self._before = after  # until its clips are done
        self._state: ChainState | None = None
        self._clips: Iterator[MadeClip] | None = None
        self._warmed = set() if warmed is None else warmed
        self._kind: Hashable = (frozenset(map(id, sessions.values())), replace(sampling, seed=0, mood_weights=None))

    def warm_up(self) -> None:
        """Make the first clip of silence, in a step, or in two where the second run of a shape is captured.

        The speech encoder has another shape with every clip until its context is full: it is run with the first one.
        """
        if self._kind in self._warmed:
            return
        self._warmed.add(self._kind)
        backend, sessions, silence = self._backend, self._sessions, np.zeros(SAMPLES_PER_FRAME, np.float32)
        speech = LiveSpeech(backend, sessions, clip=self._clip)
        tokens = speech.tokens([silence] * self._clip, np.tile(silence, RADIUS))
        given: dict[str, Any] = {"conditions": self._conditions, "audio_tokens": [tokens], "ahead": False}
        chain(backend, sessions, sampling=self._sampling, **given)  # embeds all its steps; no clip of it is asked for
        few = replace(self._sampling, steps=min(self._sampling.steps, 2 if backend.asynchronous else 1))
        for _ in next(chain(backend, sessions, sampling=few, **given)).frames:
            pass

    @property
    def queued(self) -> int:
        return 2 * self._clip

    def new_frames(self, window: int) -> int:
        return self._clip

    def taken(
        self, item: Any, pts_s: Fraction | None, now_s: Fraction, number: int
    ) -> Sequence[tuple[SpokenFrame, Fraction]]:
        return self._pushed.push(item, pts_s, what=f"push {number}")

    def rest(self) -> Sequence[tuple[SpokenFrame, Fraction]]:
        return self._pushed.rest()

    def sound(self, item: SpokenFrame) -> np.ndarray:
        return item.samples

    def see(self, item: SpokenFrame, index: int) -> SpokenFrame:
        return item

    def encode(self, seen: Sequence[SpokenFrame]) -> Buffer:
        return self._speech.tokens([frame.samples for frame in seen], seen[-1].ahead)

    def check_tokens(self) -> None:
        """The features were looked at when they were made."""

    def denoise(self, tokens: Buffer) -> Buffer:
        """The clip's pixels (F, S, S, 3) uint8: the session hands them on as they are."""
        self._tokens.append(tokens)
        if self._clips is None:
            self._clips = self._chain()
        made = next(self._clips)
        self._state = made.after
        return self._backend.upload(np.stack(list(made.frames)))

    def check_latents(self) -> None:
        """The chain has looked at them."""

    def begin(self, latents: Buffer) -> np.ndarray:
        return self._backend.download(latents)

    def frames(self, begun: np.ndarray) -> Iterator[np.ndarray]:
        return each(begun)

    def change(self, portrait: Portrait) -> None:
        """Another portrait begins at its own picture; nothing is kept of the one before but the random stream."""
        conditions = encoded(portrait).conditions
        if conditions is not self._conditions:
            self._begin_at_its_picture(conditions)

    def reanchor(self) -> None:
        """There is no driving face."""

    @property
    def notes(self) -> list[str]:
        return [*self._notes, *self._backend.notes]

    def _pushed_tokens(self) -> Iterator[Buffer]:
        """Those that `denoise` was given, each asked for when it is there."""
        while True:
            yield self._tokens.popleft()

    def _begin_at_its_picture(self, conditions: Conditions) -> None:
        self._take_over()
        motion = first_motion(conditions.picture, conditions.motion_frames)
        self._conditions, self._clips = conditions, None
        self._state = self._state and replace(self._state, motion=motion, latents=None)

    def _take_over(self) -> None:
        """What the stream before has come to: its clips are done, because one thread denoises, in order."""
        before, self._before = self._before, None
        if before is not None:
            before._take_over()
            own, self._state = self._conditions, before._state
            if own is not before._conditions:
                self._begin_at_its_picture(own)

    def _chain(self) -> Iterator[MadeClip]:
        """Clips that go on from where this stream is, each as soon as its tokens are there."""
        self._take_over()
        return chain(
            self._backend,
            self._sessions,
            conditions=self._conditions,
            audio_tokens=self._pushed_tokens(),
            sampling=self._sampling,
            state=self._state,
            ahead=False,
        )
