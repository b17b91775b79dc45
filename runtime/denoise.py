"""The loop: from noise to latents, over any backend.

Every step, every window of frames goes through the network and leaves a velocity; one small matrix product stitches
the velocities and makes the Euler step for all frames at once. The conditions stay where they are, the latents never
leave the device but for a look that they are finite.

Source: SPEC 8, in the linear form derived in `schedule`, `guidance` and `windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import BundleError, InputError
from runtime import guidance, schedule
from runtime.finite import is_finite, require_finite
from runtime.memory_bank import Conditions, Identity
from runtime.sampling import Sampling
from runtime.stages import Stages
from runtime.windows import shift_at, stitch_matrix, windows

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
    """Run `step_embedding`, `denoiser` and `stitch`: latents (T, 4, h, w) float32, as the decoder takes them.

    motion_tokens (T, m, D), padding included; noise (T, 4, h, w) float32, unit normal. pose_features (T, C0, h, w)
    float32 only for a denoiser that asks for it. `on_step(step, latents)` sees the latents after each step.

    Raises InputError when the clip is too long for the bundle, BundleError when the bundle was built for another
    window, NonFiniteError.
    """
    stages = stages or Stages()
    frames, size = motion_tokens.shape[0], sampling.window
    steps = sampling.executed_steps
    layout = [
        windows(frames, size=size, overlap=sampling.overlap, shift=shift_at(step, shift=sampling.shift, size=size))
        for step in range(steps)
    ]
    check_fits(sessions, sampling, frames=frames, windows=len(layout[0]))

    sigmas = schedule.executed(schedule.sigmas(sampling.steps), steps)
    a, b = (backend.upload(numbers) for numbers in schedule.euler_coefficients(sigmas))
    c_in = backend.upload(schedule.input_scales(sigmas))
    embeddings = embed_steps(backend, sessions["step_embedding"], sigmas, sampling)
    plan = guidance.plan(sampling.guidance_appearance, sampling.guidance_motion, steps)

    start = np.float32(sampling.scaling_factor) * identity.start_latents
    latents = backend.upload(schedule.add_noise(start, noise, sigmas[0]))
    following = backend.empty(latents.shape, "float32")
    velocities = backend.empty((len(layout[0]), size, *latents.shape[1:]), "float32")
    window = {
        name: backend.empty((size, *whole.shape[1:]), "float32")
        for name, whole in (("latents", latents), ("pose_features", pose_features))
        if whole is not None
    }
    velocity = backend.empty((size, *latents.shape[1:]), "float32")
    conditions = Conditions(backend, identity, motion_tokens, window=size)

    stages.begin("denoise", total=steps * len(layout[0]))
    stages.begin("stitch", total=steps)
    for step in range(steps):
        now = (step, step + 1)
        step_inputs = {
            "c_in": backend.view(c_in, *now),
            "step_embedding": backend.view(embeddings, *now),
            "row_weights": backend.upload(plan[step].weights),
        }
        for w, indices in enumerate(layout[step]):
            with stages.unit("denoise"):
                backend.take(latents, indices, window["latents"])
                if pose_features is not None:
                    backend.take(pose_features, indices, window["pose_features"])
                contexts = conditions.of_window(plan[step].rows, indices)
                sessions["denoiser"].run({**window, **contexts, **step_inputs}, {"velocity": velocity})
                backend.take(velocity, range(size), backend.view(velocities, w, w + 1))
        with stages.unit("stitch"):
            matrix = backend.upload(stitch_matrix(frames, layout[step]))
            sessions["stitch"].run(
                {
                    "latents": latents,
                    "velocities": velocities,
                    "matrix": matrix,
                    "a": backend.view(a, *now),
                    "b": backend.view(b, *now),
                },
                {"next_latents": following},
            )
            latents, following = following, latents
            seen = _require_finite(backend, latents, velocities, step=step)
        if on_step is not None:
            on_step(step, seen)
    stages.end("denoise")
    stages.end("stitch")
    return latents


def embed_steps(backend: Backend, session: Session, sigmas: np.ndarray, sampling: Sampling) -> Buffer:
    """What the network is told of every step, once a clip: (steps, E) float32."""
    added_time_ids = [sampling.fps, sampling.motion_bucket_id, sampling.noise_aug_strength]
    embeddings = session.run(
        {
            "timesteps": backend.upload(schedule.timesteps(sigmas)),
            "added_time_ids": backend.upload(np.array(added_time_ids, np.float32)),
        }
    )["embeddings"]
    require_finite(backend.download(embeddings), "step_embedding")
    return embeddings


def check_fits(sessions: Mapping[str, Session], sampling: Sampling, *, frames: int, windows: int) -> None:
    """Hold a clip of `frames` frames, padding included, against what the graphs were built for."""
    built = sessions["denoiser"].spec.input("latents").dims[0]
    if isinstance(built, int) and built != sampling.window:
        raise BundleError(
            f"the bundle was built for windows of {built} frames, asked for {sampling.window}; "
            f"use window {built}, or build another bundle with --frames {sampling.window}"
        )
    ranges = sessions["stitch"].spec.ranges
    for dim, word, count in (("total", "frames", frames), ("windows", "windows", windows)):
        if dim in ranges and count > ranges[dim].max:
            raise InputError(
                f"the clip has {frames} frames in {windows} windows, padding included; "
                f"this bundle takes at most {ranges[dim].max} {word}; use fewer frames"
            )


def _require_finite(backend: Backend, latents: Buffer, velocities: Buffer, *, step: int) -> np.ndarray:
    """The latents on the host, known to be finite.

    One look a step is enough: the stitch matrix is dense, and 0 times NaN is NaN. Only then is asked which window
    it was.
    """
    seen = backend.download(latents)
    if not is_finite(seen):
        for w, velocity in enumerate(backend.download(velocities)):
            require_finite(velocity, f"denoiser: velocity at step {step}, window {w}")
        require_finite(seen, f"stitch: latents after step {step}")
    return seen
