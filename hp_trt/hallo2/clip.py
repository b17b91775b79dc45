"""A clip of speech, of any length: sound as it is read, clips of F frames as they are made, frames as they are decoded.

Nothing here grows with the sound. Between two clips all that is known of the video is a `ChainState`, and so a video
that was left is gone on with there: `LoopState` is how the store of a long render knows it.

Source: SPEC 7 (which frames are saved) and 8.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from fractions import Fraction

import numpy as np

from engines.backend import Backend, Session
from engines.errors import InputError
from hp_trt.hallo2.motion_file import KeptSpeech, KeptTokens
from hp_trt.hallo2.sound import Sound
from hp_trt.resume.loop_state import LoopState
from runtime.hallo2.clips import ChainState, MadeClip, chain
from runtime.hallo2.conditions import Conditions
from runtime.hallo2.presets import FPS
from runtime.hallo2.sampling import Sampling
from runtime.hallo2.speech import SpeechTokens, audio_tokens
from runtime.stages import Stages


class SpokenClip:
    """The frames of one sound, or of what was made of it, as they come, and what there is to note once they have.

    `state`: that of a video which was left, of the same portrait, sound and sampling. `released_plan`: see
    `runtime.hallo2.audio_plan`. Raises InputError, BundleError; iterating `frames` NonFiniteError, and what the sound
    raises.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        *,
        conditions: Conditions,
        sound: Sound | KeptSpeech,
        sampling: Sampling,
        clip: int,
        released_plan: bool = False,
        state: LoopState | None = None,
        stages: Stages,
    ) -> None:
        self._sound = sound
        before = None if state is None else chain_state(state)
        first = before.clip if before else 0
        self._tokens: SpeechTokens | KeptTokens
        if isinstance(sound, KeptSpeech):
            sound.check_plan(released_plan)
            self._tokens = sound.tokens(backend, first)
        else:
            self._tokens = audio_tokens(
                backend, sessions, sound, clip=clip, released=released_plan, first_clip=first, stages=stages
            )
        self._clips = chain(
            backend,
            sessions,
            conditions=conditions,
            audio_tokens=self._tokens,
            sampling=sampling,
            state=before,
            stages=stages,
        )
        self._clip = clip
        self._after: LoopState | None = None

    def frames(self) -> Generator[tuple[int, Fraction, np.ndarray], None, None]:
        """Each frame's index, its time from the sound's beginning, and its square (S, S, 3) uint8 RGB."""
        for made in self._clips:
            saved = self._tokens.saved(made.clip)
            for index, frame in enumerate(_first(made, saved), start=made.clip * self._clip):
                last = index == made.clip * self._clip + saved - 1
                self._after = loop_state(made.after) if last else None
                yield index, Fraction(index, FPS), frame
        if self._tokens.frames == 0:
            raise InputError(
                f"{self._sound.name} is shorter than half a millisecond, of which the released plan makes no frame; "
                "leave the released plan out for one"
            )

    def state(self) -> LoopState | None:
        """Where the video goes on behind the frame that was given last; None where that is inside of a clip."""
        return self._after

    def notes(self) -> list[str]:
        return list(self._sound.notes)


def loop_state(state: ChainState) -> LoopState:
    """For the store of a long render."""
    joint = {} if state.latents is None else {"latents": state.latents}
    return LoopState(arrays={"motion": state.motion, **joint}, numbers={"clip": state.clip, "words": state.words})


def chain_state(state: LoopState) -> ChainState:
    """Of the store of a long render. Raises InputError for what is none of this model."""
    if not {"motion"} <= set(state.arrays) <= {"motion", "latents"} or set(state.numbers) != {"clip", "words"}:
        raise InputError(
            f"the unfinished run has a state of {', '.join((*state.arrays, *state.numbers))}, this model goes on from "
            "motion, clip, words; begin anew with --restart"
        )
    clip, words = (int(state.numbers[name]) for name in ("clip", "words"))
    arrays = state.arrays
    return ChainState(clip=clip, motion=arrays["motion"], words=words, latents=arrays.get("latents"))


def _first(made: MadeClip, saved: int) -> Iterator[np.ndarray]:
    """The frames that are saved; those behind them are made, and of nobody."""
    for number, frame in enumerate(made.frames):
        if number < saved:
            yield frame
