"""A whole clip: first what moves in all of the driving video, then all frames.

One pass and little memory: driving frames are read, cropped and encoded in groups of a window, and only their motion
tokens stay, all of them, because windows wrap round the clip's end. Then a wave of windows goes through the clip, and
frames are decoded behind it chunk by chunk: how long the clip is changes neither when the first frame comes nor what is
held beside the tokens.

Source: SPEC 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import InputError
from hp_trt.faces.face import FaceLocator
from hp_trt.hunyuanportrait.driving import DrivingCrop
from hp_trt.hunyuanportrait.read_driving import Ids, encode_group, read_whole
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.profiles import Cuts
from hp_trt.resume.loop_state import LoopState
from runtime.decode import Chunk, chunks, decode
from runtime.hunyuanportrait.denoise import ClipLoop
from runtime.hunyuanportrait.memory_bank import Identity, MotionBank
from runtime.hunyuanportrait.noise import ClipNoise
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.wave_state import WaveState
from runtime.stages import Stages
from runtime.streams import Beside

_KEPT_FRAMES = 24  # of a chunk of a long render, at least: about a second, which a kill may cost


@dataclass
class Motion:
    """What is kept of a driving video."""

    bank: MotionBank
    times: list[Fraction | None] = field(default_factory=list)  # of its frames, on their file's clock
    notes: list[str] = field(default_factory=list)  # what a user should know, a line each


def read_motion(
    backend: Backend,
    session: Session,
    driving: DrivingFrames,
    locator: FaceLocator,
    *,
    geometry: Mapping[str, int],
    window: int,
    pad_frames: int,
    max_frames: int,
    stages: Stages,
    cuts: Cuts = "released",
) -> Motion:
    """One pass over the driving frames, `window` of them at a time; `session` is of the graph `motion`. `pad_frames` is
    what the bank will be finished with.

    Raises InputError for a video without frames or of more than `max_frames`, FaceNotFound, NonFiniteError.
    """
    motion = Motion(MotionBank(backend, pad_frames=pad_frames, expected=driving.listed))
    bank = motion.bank

    def keep(group: Sequence[DrivingCrop], ids: Ids) -> None:
        bank.append(encode_group(backend, session, group, ids, first_frame=len(bank), guard=bank.guard))

    reading = read_whole(
        driving,
        locator,
        geometry=geometry,
        window=window,
        max_frames=max_frames,
        stages=stages,
        keep=keep,
        cuts=cuts,
    )
    motion.times, motion.notes = reading.times, reading.notes
    return motion


class DrivenClip:
    """The frames of a clip, as the wave leaves them behind.

    `motion_tokens` (N + 2 P, m, D) are a `MotionBank`'s, padded by `sampling.pad_frames`. `keeps`: whether `state` will
    be asked for; `state`: that of a clip which was left, of the same portrait, tokens and sampling. Raises InputError
    for such a one of another clip, BundleError for a window or chunk that the bundle was not built for; iterating
    `frames` NonFiniteError.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        *,
        identity: Identity,
        motion_tokens: Buffer,
        sampling: Sampling,
        side_px: int,
        stages: Stages,
        keeps: bool = False,
        state: LoopState | None = None,
    ) -> None:
        frames, decoder = motion_tokens.shape[0], sessions["decoder"]
        numbers = {"pad_frames": sampling.pad_frames, "chunk": sampling.decode_chunk}
        parts = chunks(frames, **numbers, context=decoder.spec.context)
        self._beside = Beside(backend.calls)
        self._ends = _ends(parts, sampling.pad_frames) if keeps else {}
        done, wave = (0, None) if state is None else _left(state, self._ends)
        self._loop = ClipLoop(
            backend,
            sessions,
            identity=identity,
            motion_tokens=motion_tokens,
            noise=ClipNoise(sampling.seed, identity.start_latents.shape[1:], side_px, side_px),
            sampling=sampling,
            wanted=range(parts[0].start, parts[-1].stop),
            state=wave,
            stages=stages,
            beside=self._beside,
        )
        self._decoded = decode(
            backend, decoder, self._latents, frames=frames, **numbers, first=done, stages=stages, beside=self._beside
        )
        self._states: dict[int, LoopState] = {}  # by the frames that are done; of chunks that were begun ahead
        self._after: LoopState | None = None

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each frame's index and its square, (S, S, 3) uint8 RGB, in order."""
        try:
            for index, frame in self._decoded:
                self._after = self._states.pop(index + 1, None)
                yield index, frame
        finally:
            self._beside.close()

    def state(self) -> LoopState | None:
        """Where the clip goes on behind the frame that was given last; None where that is no end of a chunk."""
        return self._after

    def _latents(self, part: range) -> Buffer:
        latents = self._loop.finish(part)
        if (done := self._ends.get(part.stop)) is not None:
            wave = self._loop.state()
            self._states[done] = LoopState(arrays=wave.arrays(), numbers={"done": done, "gone": wave.gone})
        return latents


def _ends(parts: Sequence[Chunk], pad_frames: int) -> dict[int, int]:
    """Where a long render may be left: the decoder's chunks, by their ends, behind which enough frames are done."""
    ends, since = {}, pad_frames
    for part in parts:
        if part.keep_stop - since >= _KEPT_FRAMES or part is parts[-1]:
            ends[part.stop], since = part.keep_stop - pad_frames, part.keep_stop
    return ends


def _left(state: LoopState, ends: Mapping[int, int]) -> tuple[int, WaveState]:
    """The frames that are done, and the loop's state behind them. Raises InputError for what is none of this clip's."""
    done, gone = (int(state.numbers.get(name, -1)) for name in ("done", "gone"))
    if set(state.numbers) != {"done", "gone"} or done not in ends.values():
        raise InputError(
            f"the unfinished run was left behind frame {done}, where no chunk of this clip ends: begin anew with "
            "--restart"
        )
    return done, WaveState.of(state.arrays, gone)
