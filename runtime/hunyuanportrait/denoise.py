"""The loop: from noise to latents, over any backend.

A window of frames goes through the network and leaves a velocity; one small graph averages what the windows of a step
say of each frame and makes the Euler step of the frames whose windows have all run. Windows run in the order in which
frames become final (`wave`), so frames leave from the clip's beginning on, and only those are held that have begun and
have not left. Latents never leave the device but for a look that they are finite, a window later, while the next one is
under way.

    held, on the device     latents of the frames that have begun: one row a frame, at its level
                            velocities that wait for another window of their frame
                            deep features of the same frames, where steps share them (`estimate`)

Source: SPEC 8, in the linear form derived in `schedule`, `guidance` and `windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from runtime.streams import Guard

Noise = Callable[[Sequence[int]], np.ndarray]  # of these frames: (n, 4, h, w) float32, unit normal
OnStep = Callable[[int, Sequence[int], np.ndarray], None]


class ClipLoop:
    """The denoising of one clip: `finish` its frames in order.

    Runs `step_embedding`, `denoiser` (with `inner`: its two parts) and `stitch`. motion_tokens (T, m, D), padding
    included; pose_features (T, C0, h, w) float32 only for a denoiser that asks for it. `wanted`: the frames that
    `finish` will be asked for, all of them together; `state`: of a loop that was left, behind some of them.
    `on_step(step, frames, latents)` sees latents after a step, of the frames that one window has brought there, while a
    later window may be queued already.

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
    ) -> None:
        self._backend, self._stitch = backend, sessions["stitch"]
        self._stages, self._on_step = stages or Stages(), on_step
        self._noise, self._pose_features = noise, pose_features
        size, cell = sampling.window, identity.start_latents.shape[1:]
        layouts = layouts_of(sampling, motion_tokens.shape[0])
        check_window(sessions["denoiser"], size)
        check_overlap(self._stitch, sampling)

        self._guard = Guard(backend)
        self._numbers = StepNumbers(backend, sessions["step_embedding"], sampling, self._guard)
        self._estimator = Estimator(backend, sessions, sampling, slides=True)
        self._conditions = Conditions(backend, identity, motion_tokens, window=size)
        self._start = np.float32(sampling.scaling_factor) * identity.start_latents
        self._wave, self._wanted = Wave(layouts), wanted
        self._latents: Held[int] = Held(backend, cell, "float32", by=size)
        # Of a frame, by window and place. The first rows are what the window at hand gives.
        self._velocities: Held[tuple[int, int, int]] = Held(backend, cell, "float32", by=size, own=size)
        self._window = {"latents": backend.empty((size, *cell), "float32")}
        if pose_features is not None:
            self._window["pose_features"] = backend.empty((size, *pose_features.shape[1:]), "float32")
        self._velocity, self._following = (backend.empty((size, *cell), "float32") for _ in range(2))
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
        for step, window in plan:
            self._run(step, window)
        self._guard.settle()
        self._left -= len(plan)
        if not self._left:
            self._stages.end("denoise")
            self._stages.end("stitch")
        latents = self._backend.empty((len(frames), *self._start.shape[1:]), "float32")
        self._latents.take(frames, latents)
        return latents

    def state(self) -> WaveState:
        """All that the frames behind those that are finished need. Waits for it."""
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

    def _run(self, step: int, window: int) -> None:
        """One window of one step, and the Euler step of the frames that have all their windows by that."""
        backend, numbers, wave = self._backend, self._numbers, self._wave
        layout = wave.layouts[step]
        frames = layout[window]
        holders = [layout.holding(frame) for frame in frames]
        with self._stages.unit("denoise"):
            self._latents.take(frames, self._window["latents"])
            if self._pose_features is not None:
                backend.take(self._pose_features, frames, self._window["pose_features"])
            seen = self._conditions.of_window(numbers.rows(step), frames)
            last_of = [i for i in range(len(frames)) if holders[i][-1] == (window, i)]
            inputs = self._window | seen | numbers.of_denoiser(step)
            self._estimator.velocity(step, frames, inputs, self._velocity, last_of=last_of)
            backend.take(self._velocity, range(len(frames)), self._velocities.own)
        with self._stages.unit("stitch"):
            self._guard.settle()  # the window before; this one keeps the device busy meanwhile
            what = f"denoiser: velocity at step {step}, window {window}"
            self._guard.watch(self._velocity, partial(require_finite, what=what))
            whole = wave.run(step, window)
            waits = sorted(set(range(len(frames))) - set(whole))
            self._velocities.put([(frames[i], window, i) for i in waits], self._velocity, waits)
            slots, weights = self._mean(frames, window, {i: holders[i] for i in whole})
            self._stitch.run(
                {
                    "latents": self._window["latents"],
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
