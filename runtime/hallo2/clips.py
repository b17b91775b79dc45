"""The chain: one clip after the other, each going on from the last frames of the clip before.

A clip needs the pixels of m frames of the clip before and nothing else of it, so these are decoded first. Where the
backend works on by itself, the next clip is then under way while the other F - m frames are decoded and handed on:
a step of it is queued with every frame that leaves. Elsewhere a clip's frames are all decoded before the next begins.

Between two clips everything that the chain knows is a `ChainState`: with it a video goes on where it was broken off.
Memory does not depend on the number of clips.

Source: SPEC 8. What is left out of the released order, and why that is exact: SPEC 10.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import InputError
from runtime.hallo2.clip_decoder import ClipDecoder
from runtime.hallo2.conditions import Conditions, encode_pictures, guided, motion_sets, rows_of
from runtime.hallo2.denoise import Denoiser, OnStep
from runtime.hallo2.joint import BEFORE, joined, last_of
from runtime.hallo2.motion_frames import drop, first_motion, next_motion
from runtime.hallo2.random_stream import TorchStream
from runtime.hallo2.sampling import Sampling
from runtime.stages import Stages

Draws = Callable[[int], tuple[np.ndarray, np.ndarray]]  # of a clip: field (H, W), noise (4, F, h, w)
Result = TypeVar("Result")
_MOST_CLIPS, _MOST_WORDS = 10**9, 1 << 27  # of a video, and of a clip: more would be skipped for years
STAGES = ("motion_frames", "reference", "denoise", "stitch", "decode")


@dataclass(frozen=True, kw_only=True)
class ChainState:
    """All that a clip needs of those before it. Raises InputError for numbers that cannot be one's."""

    clip: int  # the clip that comes next; 0 is the first
    motion: np.ndarray  # (m, 3, H, W) float32 in [-1, 1], before the drop
    words: int  # used up of the random stream
    latents: np.ndarray | None = None  # (n, 4, h, w) float32, of the last frames, where clips are joined

    def __post_init__(self) -> None:
        motion, latents = self.motion, self.latents
        fine = motion.dtype == np.float32 and motion.ndim == 4 and bool((np.abs(motion) <= 1).all())  # NaN is not
        if latents is not None:
            fine = fine and latents.dtype == np.float32 and latents.ndim == 4 and 1 <= len(latents) <= BEFORE
            fine = fine and bool(np.isfinite(latents).all())
        known = 0 <= self.clip <= _MOST_CLIPS and 0 <= self.words <= self.clip * _MOST_WORDS
        if not (known and fine):
            raise InputError(
                f"the state of clip {self.clip}, {self.words} words, with motion {motion.shape} {motion.dtype} is none "
                "of a chain: it needs numbers of at least 0, float32 pixels in [-1, 1] and, if any, finite float32 "
                f"latents of up to {BEFORE} frames; begin at the first clip"
            )


@dataclass(frozen=True, kw_only=True)
class MadeClip:
    """A clip that is denoised and whose last frames are known."""

    clip: int
    frames: Iterator[np.ndarray]  # its F frames in order, once: pixels (H, W, 3) uint8 RGB, the caller's to keep
    after: ChainState  # what the next clip goes on from


def chain(
    backend: Backend,
    sessions: Mapping[str, Session],
    *,
    conditions: Conditions,
    audio_tokens: Iterable[Buffer],
    sampling: Sampling,
    state: ChainState | None = None,
    stages: Stages | None = None,
    on_step: OnStep | None = None,
    draws: Draws | None = None,
    ahead: bool = True,
) -> Iterator[MadeClip]:
    """Run `vae_encoder`, `reference`, `steps`, `denoiser`, `stitch` and `decoder`: yield every clip.

    audio_tokens: one buffer (F, k, Da) for each clip, from `state`'s clip on, taken when that clip begins. `state`:
    that after the last clip which is to stand, of the same video and sampling; None: from the beginning. `on_step`: see
    `Denoiser`. `draws` stands in for the random stream. `stages`: its spans are the caller's to bound, a video may have
    any number of clips.

    `ahead`: where the backend works on by itself, begin the next clip while the frames of the one before leave. Without
    it no frame waits for the next clip's tokens: for sound that comes in real time.

    Frames not taken before the next clip is asked for are kept for whoever holds the clip. What goes wrong in a clip is
    raised when that clip is asked for, after the frames of the clip before.

    Raises InputError for a state of other pictures, BundleError for a guidance, a mood or a decode_chunk that the
    bundle was not built for, NonFiniteError.
    """
    stages = stages or Stages(most_spans=0)
    state = state or ChainState(clip=0, motion=first_motion(conditions.picture, conditions.motion_frames), words=0)
    needed = (conditions.motion_frames, *conditions.picture.shape[1:])
    if state.motion.shape != needed:
        raise InputError(
            f"the state after clip {state.clip - 1} has motion frames {state.motion.shape}, this portrait and bundle "
            f"need {needed}; go on with those it was made with, or begin at the first clip"
        )
    maker = _Maker(backend, sessions, conditions, audio_tokens, sampling, state.words, stages, on_step, draws)
    decoder = ClipDecoder(backend, sessions["decoder"], frames=maker.frames, chunk=sampling.decode_chunk, stages=stages)
    return _clips(maker, decoder, state, beside=ahead and backend.asynchronous)


def _clips(maker: _Maker, decoder: ClipDecoder, state: ChainState, *, beside: bool) -> Iterator[MadeClip]:
    maker.begin_stages()
    underway = _Underway(maker.clip(state))
    while (latents := underway.finish()) is not None:
        clip = state.clip
        frames = decoder.decode(clip, latents, first=state.motion.shape[0])
        state = ChainState(
            clip=clip + 1,
            motion=next_motion(state.motion, frames.tail),
            words=maker.words,
            latents=maker.last_of(state, latents),
        )
        underway = _Underway(maker.clip(state))
        if beside:
            frames.meanwhile = underway.advance
        yield MadeClip(clip=clip, frames=frames, after=state)
        frames.finish()
        del latents, frames  # the next clip needs their memory
    maker.end_stages()


class _Maker:
    """From a state to the latents of the clip that goes on from it."""

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        conditions: Conditions,
        audio_tokens: Iterable[Buffer],
        sampling: Sampling,
        words: int,
        stages: Stages,
        on_step: OnStep | None,
        draws: Draws | None,
    ) -> None:
        self._backend, self._sessions = backend, sessions
        self._conditions, self._sampling, self._stages = conditions, sampling, stages
        self._clips = len(audio_tokens) if isinstance(audio_tokens, Sized) else None
        self._tokens = iter(audio_tokens)
        self._denoiser = Denoiser(
            backend, sessions, conditions=conditions, sampling=sampling, stages=stages, on_step=on_step
        )
        self._stream = TorchStream(sampling.seed, words)
        self._draws = draws
        self._lips = backend.download(conditions.masks[0])[2] if sampling.join else None
        sets = motion_sets(conditions.motion_frames, both=guided(sessions["denoiser"]))
        self._rows = rows_of(backend, conditions.image_tokens, sets)
        self._halves = len(sets) // conditions.motion_frames
        motion = {t.name: t for t in sessions["denoiser"].spec.inputs if t.name.startswith("motion_")}
        # Bank i of the reference net goes where the denoiser reads motion_i, from clip to clip.
        self._motion = {
            f"motion_{i}": backend.empty([int(n) for n in motion[f"motion_{i}"].dims], motion[f"motion_{i}"].dtype)
            for i in range(len(conditions.keys))
        }

    @property
    def frames(self) -> int:
        """F."""
        return self._denoiser.latents_shape[0]

    @property
    def words(self) -> int:
        """Of the stream, used up by the clips begun so far."""
        return self._stream.words

    def clip(self, state: ChainState) -> Generator[None, None, Buffer | None]:
        """Queue a piece whenever it is advanced; returns the latents, or None where there are no more tokens."""
        backend, stages, conditions = self._backend, self._stages, self._conditions
        tokens = next(self._tokens, None)
        if tokens is None:
            return None
        with stages.unit("motion_frames"):
            field, noise = self._draws(state.clip) if self._draws else self._drawn()
            pictures = drop(state.motion, conditions.face_region, field, self._sampling.mask_rate)
            what = f"the motion frames of clip {state.clip}"
            scale, encoder = self._sampling.scaling_factor, self._sessions["vae_encoder"]
            latents = encode_pictures(backend, encoder, pictures, scale, what=what)
        with stages.unit("reference"):
            self._sessions["reference"].run(
                {"latents": backend.upload(np.concatenate([latents] * self._halves)), "tokens": self._rows},
                {f"bank_{i}": self._motion[f"motion_{i}"] for i in range(len(self._motion))},
            )
        yield
        made = yield from self._denoiser.steps(
            state.clip,
            noise=np.ascontiguousarray(noise.swapaxes(0, 1)),
            audio_tokens=tokens,
            motion=self._motion,
        )
        if self._lips is None or state.latents is None:
            return made
        lips = self._lips.reshape(made.shape[2:])
        return backend.upload(joined(backend.download(made), state.latents, lips))

    def last_of(self, state: ChainState, latents: Buffer) -> np.ndarray | None:
        """What the clip behind is joined to: of those before this one, and of this one's `latents`."""
        return None if self._lips is None else last_of(state.latents, self._backend.download(latents))

    def begin_stages(self) -> None:
        clips = self._clips
        of_a_clip = {"denoise": self._sampling.steps, "stitch": self._sampling.steps, "decode": self.frames}
        for stage in STAGES:
            self._stages.begin(stage, total=None if clips is None else clips * of_a_clip.get(stage, 1))

    def end_stages(self) -> None:
        for stage in STAGES:
            self._stages.end(stage)

    def _drawn(self) -> tuple[np.ndarray, np.ndarray]:
        frames, channels, *cells = self._denoiser.latents_shape
        field = self._stream.uniform(self._conditions.picture.shape[2:])
        return field, self._stream.normal((channels, frames, *cells))


class _Underway(Generic[Result]):
    """Something made piece by piece, by whoever has time. What goes wrong is kept for whoever wants the result."""

    def __init__(self, pieces: Generator[None, None, Result]) -> None:
        self._pieces = pieces
        self._result: list[Result] = []
        self._error: BaseException | None = None

    def advance(self) -> None:
        """Queue the next piece, if there is one."""
        if self._result or self._error:
            return
        try:
            next(self._pieces)
        except StopIteration as end:
            self._result.append(end.value)
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):  # Ctrl-C waits for nobody
                raise

    def finish(self) -> Result:
        """Queue what is left."""
        while not (self._result or self._error):
            self.advance()
        if self._error:
            raise self._error
        return self._result.pop()
