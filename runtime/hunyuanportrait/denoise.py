"""The loop: from noise to latents, over any backend.

Every step, every window of frames goes through the network and leaves a velocity; one small matrix product stitches
the velocities and makes the Euler step for all frames at once. The conditions stay where they are, the latents never
leave the device but for a look that they are finite, a step later, while the next one is under way.

Source: SPEC 8, in the linear form derived in `schedule`, `guidance` and `windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import BundleError, InputError
from runtime import schedule
from runtime.finite import is_finite, require_finite
from runtime.hunyuanportrait import guidance
from runtime.hunyuanportrait.estimate import Estimator
from runtime.hunyuanportrait.memory_bank import Conditions, Identity
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.windows import shift_at, stitch_matrix, windows
from runtime.stages import Stages
from runtime.streams import Guard

OnStep = Callable[[int, np.ndarray], None]


def denoise(
    backend: Backend,
    sessions: Mapping[str, Session],
    *,
    identity: Identity,
    motion_tokens: Buffer,
    noise: np.ndarray,
    sampling: Sampling,
    pose_features: Buffer | None = None,
    stages: Stages | None = None,
    on_step: OnStep | None = None,
) -> Buffer:
    """Run `step_embedding`, `denoiser` (with `inner`: its two parts) and `stitch`.

    Returns latents (T, 4, h, w) float32, as the decoder takes them.

    motion_tokens (T, m, D), padding included; noise (T, 4, h, w) float32, unit normal. pose_features (T, C0, h, w)
    float32 only for a denoiser that asks for it. `on_step(step, latents)` sees the latents after each step, in order,
    while a later one may be queued already.

    Raises InputError when the clip is too long for the bundle, BundleError when the bundle was built for another
    window, NonFiniteError.
    """
    stages = stages or Stages()
    frames, size = motion_tokens.shape[0], sampling.window
    layouts = [
        windows(frames, size=size, overlap=sampling.overlap, shift=shift_at(step, shift=sampling.shift, size=size))
        for step in range(sampling.executed_steps)
    ]
    check_fits(sessions, sampling, frames=frames, windows=len(layouts[0]))

    guard = Guard(backend)
    numbers = StepNumbers(backend, sessions["step_embedding"], sampling, guard)
    estimator = Estimator(backend, sessions, sampling, clip_frames=frames)
    conditions = Conditions(backend, identity, motion_tokens, window=size)
    start = np.float32(sampling.scaling_factor) * identity.start_latents
    latents = backend.upload(schedule.add_noise(start, noise, numbers.first_sigma))
    following = backend.empty(latents.shape, "float32")
    velocity = backend.empty((size, *latents.shape[1:]), "float32")
    # Two: while the guard looks at one step, the next one's windows are already running.
    every_velocity = [backend.empty((len(layouts[0]), *velocity.shape), "float32") for _ in range(2)]
    window = {"latents": backend.empty(velocity.shape, "float32")}
    if pose_features is not None:
        window["pose_features"] = backend.empty((size, *pose_features.shape[1:]), "float32")

    stages.begin("denoise", total=len(layouts) * len(layouts[0]))
    stages.begin("stitch", total=len(layouts))
    for step, layout in enumerate(layouts):
        velocities = every_velocity[step % 2]
        for w, indices in enumerate(layout):
            with stages.unit("denoise"):
                backend.take(latents, indices, window["latents"])
                if pose_features is not None:
                    backend.take(pose_features, indices, window["pose_features"])
                seen = conditions.of_window(numbers.rows(step), indices)
                estimator.velocity(step, indices, window | seen | numbers.of_denoiser(step), velocity)
                backend.take(velocity, range(size), backend.view(velocities, w, w + 1))
        with stages.unit("stitch"):
            guard.settle()  # the step before; the windows of this one keep the device busy meanwhile
            stack = {"latents": latents, "velocities": velocities}
            matrix = {"matrix": backend.upload(stitch_matrix(frames, layout))}
            sessions["stitch"].run(stack | matrix | numbers.of_stitch(step), {"next_latents": following})
            latents, following = following, latents
            guard.watch(latents, partial(_look, backend, velocities, step, on_step))
    guard.settle()
    stages.end("denoise")
    stages.end("stitch")
    return latents


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


def check_fits(sessions: Mapping[str, Session], sampling: Sampling, *, frames: int, windows: int) -> None:
    """Hold a clip of `frames` frames, padding included, against what the graphs were built for."""
    check_window(sessions["denoiser"], sampling.window)
    ranges = sessions["stitch"].spec.ranges
    for dim, word, count in (("total", "frames", frames), ("windows", "windows", windows)):
        if dim in ranges and count > ranges[dim].max:
            raise InputError(
                f"the clip has {frames} frames in {windows} windows, padding included; "
                f"this bundle takes at most {ranges[dim].max} {word}; use fewer frames"
            )


def _look(backend: Backend, velocities: Buffer, step: int, on_step: OnStep | None, latents: np.ndarray) -> None:
    """The latents after a step must be finite; then they are shown to whoever asked.

    One look a step is enough: the stitch matrix is dense, and 0 times NaN is NaN. Only then is asked which window
    it was.
    """
    if not is_finite(latents):
        for w, velocity in enumerate(backend.download(velocities)):
            require_finite(velocity, f"denoiser: velocity at step {step}, window {w}")
        require_finite(latents, f"stitch: latents after step {step}")
    if on_step is not None:
        on_step(step, latents)


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
