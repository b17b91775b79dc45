"""The loop: from noise to latents, over any backend.

A window of frames goes through the network and leaves a velocity; one small graph averages what the windows of a step
say of each frame and makes the Euler step of the frames whose windows have all run. Windows run in the order in which
frames become final (`wave`), so frames leave from the clip's beginning on, and only those are held that have begun and
have not left. Latents never leave the device but for a look that they are finite, a window later, while the next one is
under way. Where calls run beside one another, so do windows that do not wait for each other; where the frames at hand
have none that could run, those of later frames do.

    held, on the device     latents of the frames that have begun: one row a frame, at its level
                            velocities that wait for another window of their frame
                            deep features of the same frames, where steps share them (`estimate`)

Source: SPEC 8, in the linear form derived in `schedule`, `guidance` and `windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import BundleError, InputError
from runtime import schedule
from runtime.finite import require_finite
from runtime.hunyuanportrait import guidance
from runtime.hunyuanportrait.estimate import Estimator
from runtime.hunyuanportrait.held import Held
from runtime.hunyuanportrait.memory_bank import Conditions, Identity
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.wave import Wave, layouts_of, windows_run
from runtime.hunyuanportrait.wave_state import WaveState
from runtime.stages import Stages
from runtime.streams import Beside, Guard

Noise = Callable[[Sequence[int]], np.ndarray]  # of these frames: (n, 4, h, w) float32, unit normal
OnStep = Callable[[int, Sequence[int], np.ndarray], None]

_AHEAD = 2  # windows' lengths behind the frames at hand, in which windows run that have nothing to wait for


class ClipLoop:
    """The denoising of one clip: `finish` its frames in order.

    Runs `step_embedding`, `denoiser` (with `inner`: its two parts) and `stitch`. motion_tokens (T, m, D), padding
    included; pose_features (T, C0, h, w) float32 only for a denoiser that asks for it. `wanted`: the frames that
    `finish` will be asked for, all of them together; `state`: of a loop that was left, behind some of them.
    `on_step(step, frames, latents)` sees latents after a step, of the frames that one window has brought there, while a
    later window may be queued already. `beside`: what runs the windows; the caller closes it.

    Raises InputError for windows that overlap too often and for a state of another clip, BundleError when the bundle
    was built for another window.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        *,
        identity: Identity,
        motion_tokens: Buffer,
        noise: Noise,
        sampling: Sampling,
        wanted: range,
        state: WaveState | None = None,
        pose_features: Buffer | None = None,
        stages: Stages | None = None,
        on_step: OnStep | None = None,
        beside: Beside | None = None,
    ) -> None:
        self._backend, self._stitch = backend, sessions["stitch"]
        self._beside = beside or Beside()
        self._stages, self._on_step = stages or Stages(), on_step
        self._noise, self._pose_features = noise, pose_features
        size, cell = sampling.window, identity.start_latents.shape[1:]
        layouts = layouts_of(sampling, motion_tokens.shape[0])
        check_window(sessions["denoiser"], size)
        check_overlap(self._stitch, sampling)

        self._guard = Guard(backend)
        self._numbers = StepNumbers(backend, sessions["step_embedding"], sampling, self._guard)
        self._estimator = Estimator(backend, sessions, sampling, slides=True)
        self._slots = [
            _Slot(backend, identity, motion_tokens, pose_features, number=number, size=size, cell=cell)
            for number in range(self._beside.calls)
        ]
        self._running: dict[tuple[int, int], _Running] = {}  # by step and window
        self._start = np.float32(sampling.scaling_factor) * identity.start_latents
        self._wave, self._wanted = Wave(layouts), wanted
        self._latents: Held[int] = Held(backend, cell, "float32", by=size)
        # Of a frame, by window and place. The first rows are what the window at hand gives.
        self._velocities: Held[tuple[int, int, int]] = Held(backend, cell, "float32", by=size, own=size)
        self._following = backend.empty((size, *cell), "float32")
        if state is not None:
            state.check(layouts, cell)
            self._restore(state)
        self._left = len(self._wave.needed(wanted)) if state else sum(windows_run(layouts, wanted))
        self._stages.begin("denoise", total=self._left)
        self._stages.begin("stitch", total=self._left)

    def finish(self, frames: range) -> Buffer:
        """The latents of these frames, (n, 4, h, w) float32, as the decoder takes them. Those before are let go of.

        Raises NonFiniteError.
        """
        gone = self._wave.let_go(self._wanted.start, frames.start)
        self._latents.drop(gone)
        self._estimator.let_go(gone)
        plan = self._wave.needed(frames)
        new = self._wave.begin(t for step, w in plan if step == 0 for t in self._wave.layouts[0][w])
        self._latents.reserve(len(self._wave.levels))
        self._begin(new)
        self._run(plan, frames)
        self._guard.settle()
        if not self._left:
            self._stages.end("denoise")
            self._stages.end("stitch")
        latents = self._backend.empty((len(frames), *self._start.shape[1:]), "float32")
        self._latents.take(frames, latents)
        return latents

    def state(self) -> WaveState:
        """All that the frames behind those that are finished need. Waits for it; windows that run are run again."""
        held, waits = sorted(self._wave.levels), sorted(self._velocities.keys)
        return WaveState(
            gone=self._wave.gone,
            frames=np.array(held, np.int64),
            levels=np.array([self._wave.levels[frame] for frame in held], np.int64),
            latents=self._latents.download(held),
            waiting=np.array(waits, np.int64).reshape(-1, 3),
            velocities=self._velocities.download(waits),
            deep={
                rows: (np.array(kept.keys, np.int64), kept.download(kept.keys))
                for rows, kept in self._estimator.kept.items()
            },
        )

    def _restore(self, state: WaveState) -> None:
        frames = state.frames.tolist()
        waiting = [(frame, window, place) for frame, window, place in state.waiting.tolist()]
        gone = range(self._wanted.start, state.gone) if state.gone else range(0)
        self._wave.restore(dict(zip(frames, state.levels.tolist(), strict=True)), waiting, gone)
        if frames:
            self._latents.put(frames, self._backend.upload(state.latents), range(len(frames)))
        if waiting:
            self._velocities.put(waiting, self._backend.upload(state.velocities), range(len(waiting)))
        for rows, (kept, features) in state.deep.items():
            self._estimator.restore(rows, kept.tolist(), features)

    def _begin(self, frames: Sequence[int]) -> None:
        """From noise, a window's length at a time."""
        size = self._following.shape[0]
        for some in (frames[i : i + size] for i in range(0, len(frames), size)):
            noisy = schedule.add_noise(self._start, self._noise(some), self._numbers.first_sigma)
            self._latents.put(some, self._backend.upload(noisy), range(len(some)))

    def _run(self, plan: Sequence[tuple[int, int]], frames: range) -> None:
        """Have these windows run, in an order in which they can, and beside them some that will be wanted later."""
        left, later = dict.fromkeys(plan), range(frames.start, frames.stop + _AHEAD * self._following.shape[0])
        ahead: Sequence[tuple[int, int]] | None = None
        while left:
            while len(self._running) < self._beside.calls:
                one = self._ready(left)
                if one is None and self._beside.calls > 1:
                    if ahead is None:
                        ahead = self._wave.needed(later[: self._wanted.stop - later.start])
                    one = self._ready(ahead)
                if one is None:
                    break
                self._begin_window(*one)
            left.pop(self._end_window(), None)

    def _ready(self, windows: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
        """The first of them that can run and does not."""
        return next((one for one in windows if one not in self._running and self._wave.can_run(*one)), None)

    def _begin_window(self, step: int, window: int) -> None:
        """Gather what one window of one step is given, and have it run."""
        backend, numbers, frames = self._backend, self._numbers, self._wave.layouts[step][window]
        if step == 0:
            self._begin(self._wave.begin(frames))
        slot = next(slot for slot in self._slots if all(slot is not run.slot for run in self._running.values()))
        self._latents.take(frames, slot.window["latents"])
        if self._pose_features is not None:
            backend.take(self._pose_features, frames, slot.window["pose_features"])
        inputs = slot.window | slot.conditions.of_window(numbers.rows(step), frames) | numbers.of_denoiser(step)
        run = self._estimator.prepared(step, frames, inputs, slot.velocity, slot=slot.number)
        done = self._beside.begin(self._stages.timed(run))
        self._running[step, window] = _Running(slot=slot, inputs=inputs, done=done)

    def _end_window(self) -> tuple[int, int]:
        """Wait for a window that runs, and make the Euler step of the frames that have all their windows by that."""
        backend, numbers, wave = self._backend, self._numbers, self._wave
        wait([run.done for run in self._running.values()], return_when=FIRST_COMPLETED)
        step, window = next(one for one, run in self._running.items() if run.done.done())
        run = self._running.pop((step, window))
        slot, frames = run.slot, wave.layouts[step][window]
        holders = [wave.layouts[step].holding(frame) for frame in frames]
        self._stages.ran("denoise", run.done.result())
        self._left -= 1
        with self._stages.unit("stitch"):
            last_of = [i for i in range(len(frames)) if holders[i][-1] == (window, i)]
            self._estimator.keep(step, frames, run.inputs, last_of, slot=slot.number)
            backend.take(slot.velocity, range(len(frames)), self._velocities.own)
            self._guard.settle()  # the window before; this one keeps the device busy meanwhile
            what = f"denoiser: velocity at step {step}, window {window}"
            self._guard.watch(slot.velocity, partial(require_finite, what=what))
            whole = wave.run(step, window)
            waits = sorted(set(range(len(frames))) - set(whole))
            self._velocities.put([(frames[i], window, i) for i in waits], slot.velocity, waits)
            slots, weights = self._mean(frames, window, {i: holders[i] for i in whole})
            self._stitch.run(
                {
                    "latents": slot.window["latents"],
                    "velocities": self._velocities.buffer,
                    "slots": backend.upload(slots),
                    "weights": backend.upload(weights),
                    **numbers.of_stitch(step),
                },
                {"next_latents": self._following},
            )
            done = [frames[i] for i in whole]
            self._latents.put(done, self._following, whole)
            others = {(frames[i], w, place) for i in whole for w, place in holders[i] if w != window}
            self._velocities.drop(sorted(others))
            self._guard.watch(self._following, partial(_look, step, whole, done, self._on_step))
        return step, window

    def _mean(
        self, frames: Sequence[int], window: int, holders: Mapping[int, Sequence[tuple[int, int]]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which rows of the velocities are averaged for each place of the window: (F, n) int64, and float32 weights.

        `holders`: by place, who holds the frame, in the order of the sum. The average of stepped latents is the step
        with the averaged velocity, because all windows start from the same latents: mean(a x + b v_w) = a x + b mean v.
        """
        most = max((len(held) for held in holders.values()), default=1)
        slots = np.repeat(np.arange(len(frames))[:, None], most, axis=1)
        weights = np.zeros(slots.shape, np.float32)
        for i, held in holders.items():
            slots[i, : len(held)] = [
                place if w == window else self._velocities.row((frames[i], w, place)) for w, place in held
            ]
            weights[i, : len(held)] = 1 / len(held)
        return slots, weights


class _Slot:
    """What one window at a time is given and gives. There are as many as run beside one another."""

    def __init__(
        self,
        backend: Backend,
        identity: Identity,
        motion_tokens: Buffer,
        pose_features: Buffer | None,
        *,
        number: int,
        size: int,
        cell: Sequence[int],
    ) -> None:
        self.number = number
        self.conditions = Conditions(backend, identity, motion_tokens, window=size)
        self.window = {"latents": backend.empty((size, *cell), "float32")}
        if pose_features is not None:
            self.window["pose_features"] = backend.empty((size, *pose_features.shape[1:]), "float32")
        self.velocity = backend.empty((size, *cell), "float32")


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A window that runs."""

    slot: _Slot
    inputs: Mapping[str, Buffer]
    done: Future[tuple[float, float]]  # when it began, and its seconds


class StepNumbers:
    """The handful of numbers that make one step differ from another, on the device for the whole clip."""

    def __init__(self, backend: Backend, step_embedding: Session, sampling: Sampling, guard: Guard) -> None:
        self._backend = backend
        sigmas = sampling.sigmas()
        self.first_sigma = float(sigmas[0])
        self._plan = sampling.guidance()
        self._weights = [backend.upload(step.weights) for step in self._plan]
        self._a, self._b = (backend.upload(numbers) for numbers in schedule.euler_coefficients(sigmas))
        self._c_in = backend.upload(schedule.input_scales(sigmas))
        added_time_ids = [sampling.fps, sampling.motion_bucket_id, sampling.noise_aug_strength]
        self._embeddings = step_embedding.run(
            {
                "timesteps": backend.upload(schedule.timesteps(sigmas)),
                "added_time_ids": backend.upload(np.array(added_time_ids, np.float32)),
            }
        )["embeddings"]
        guard.watch(self._embeddings, partial(require_finite, what="step_embedding"))

    def rows(self, step: int) -> tuple[guidance.Row, ...]:
        return self._plan[step].rows

    def of_denoiser(self, step: int) -> dict[str, Buffer]:
        return {
            "c_in": self._backend.view(self._c_in, step, step + 1),
            "step_embedding": self._backend.view(self._embeddings, step, step + 1),
            "row_weights": self._weights[step],
        }

    def of_stitch(self, step: int) -> dict[str, Buffer]:
        return {
            "a": self._backend.view(self._a, step, step + 1),
            "b": self._backend.view(self._b, step, step + 1),
        }


def check_overlap(stitch: Session, sampling: Sampling) -> None:
    """Hold the windows' overlap against what the stitch was built for. Raises InputError."""
    size, stride = sampling.window, sampling.window - sampling.overlap
    # Beyond an edge of the windows that have run, the j-th one shares this much with them; there are two edges a step,
    # two more while a step's windows run, and at the clip's end a window may lie on the first one altogether.
    edge = sum(max(size - j * stride, 0) for j in range(1, size)) + size
    slots = size + 2 * edge * (sampling.executed_steps + 1)
    ranges = stitch.spec.ranges
    if "total" in ranges and slots > ranges["total"].max:
        raise InputError(
            f"windows of {size} frames that overlap by {sampling.overlap}, over {sampling.executed_steps} steps, leave "
            f"up to {slots} velocities waiting for one another; this bundle takes at most {ranges['total'].max}: lower "
            "the overlap or the steps"
        )


def _look(step: int, places: Sequence[int], frames: Sequence[int], on_step: OnStep | None, latents: np.ndarray) -> None:
    """The latents after a step must be finite; then they are shown to whoever asked."""
    done = latents[list(places)]
    require_finite(done, f"stitch: latents after step {step}")
    if on_step is not None:
        on_step(step, frames, done)


def check_window(denoiser: Session, window: int) -> None:
    """Hold a window's length against what a denoiser was built for. Raises BundleError."""
    built = denoiser.spec.input("latents").dims[0]
    if isinstance(built, int):
        if built != window:
            raise BundleError(
                f"this denoiser was built for windows of {built} frames, asked for {window}; use a window of {built}, "
                f"the denoiser with windows of any length, or build another bundle with --frames {window}"
            )
        return
    limits = denoiser.spec.ranges[built]
    if not limits.min <= window <= limits.max:
        raise BundleError(
            f"the bundle takes windows of {limits.min} to {limits.max} frames, asked for {window}; "
            f"choose one of these, or build another bundle with --frames {window}"
        )
