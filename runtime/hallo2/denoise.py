"""The loop of one clip: from noise to latents, over any backend, a step at a time.

Every step, the clip's F frames go through the network, which adds the two halves of guidance up to one velocity; the
stitch, which has one velocity a frame here, makes the DDIM step. Conditions and motion banks stay where they are, the
latents never leave the device but for a look that they are finite, a step later, while the next one is under way.

Source: SPEC 8, step 4, in the linear form derived in `ddim`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import BundleError
from runtime.finite import is_finite, require_finite
from runtime.hallo2 import ddim
from runtime.hallo2.conditions import Conditions, guided, knows_moods
from runtime.hallo2.presets import NEUTRAL
from runtime.hallo2.sampling import Sampling
from runtime.stages import Stages
from runtime.streams import Guard

OnStep = Callable[[int, int, np.ndarray], None]


class Denoiser:
    """The denoising of a video's clips, one after the other: what they share is made once.

    Runs `steps`, `denoiser` and `stitch`. `on_step(clip, step, latents)` sees the latents (F, 4, h, w) float32 after
    each step, in order, while a later one may be queued already. Raises BundleError for a guidance or a mood that the
    denoiser does not have.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        *,
        conditions: Conditions,
        sampling: Sampling,
        stages: Stages,
        on_step: OnStep | None = None,
    ) -> None:
        self._backend = backend
        self._network, self._stitch = sessions["denoiser"], sessions["stitch"]
        self._stages = stages
        self._on_step = on_step
        self._steps = sampling.steps
        check_guidance(self._network, sampling.guidance)
        check_mood(self._network, sampling.mood_weights)
        shape = tuple(int(n) for n in self._network.spec.input("latents").dims)
        self.latents_shape = shape  # (F, 4, h, w)

        self._guard = Guard(backend)
        self._a, self._b = (backend.upload(numbers) for numbers in ddim.coefficients(sampling.steps))
        self._embeddings = sessions["steps"].run(
            {"timesteps": backend.upload(ddim.timesteps(sampling.steps).astype(np.float32))}
        )["embeddings"]
        self._guard.watch(self._embeddings, partial(require_finite, what=f"{sessions['steps'].spec.name}: embeddings"))
        self._slots = {  # one window, of all frames
            "slots": backend.upload(np.arange(shape[0])[:, None]),
            "weights": backend.upload(np.ones((shape[0], 1), np.float32)),
        }
        self._constants = conditions.of_denoiser()
        self._constants["motion_scale"] = backend.upload(np.array(sampling.motion_weights, np.float32))
        if knows_moods(self._network):
            self._constants["mood"] = backend.upload(np.array([sampling.mood_weights or NEUTRAL], np.float32))
        if guided(self._network):
            self._constants["row_weights"] = backend.upload(np.array(sampling.row_weights, np.float32))
        # Two: while the guard looks at one step, the next one is already running.
        self._velocities = [backend.empty(shape, "float32") for _ in range(2)]

    def steps(
        self, clip: int, *, noise: np.ndarray, audio_tokens: Buffer, motion: Mapping[str, Buffer]
    ) -> Generator[None, None, Buffer]:
        """Queue a step whenever it is advanced; returns the latents (F, 4, h, w) float32, as the decoder takes them.

        noise (F, 4, h, w) float32, unit normal; audio_tokens (F, k, Da); motion: `motion_i` of the reference net,
        which stay as they are until the last step. `clip` is for messages and `on_step`. Raises NonFiniteError.
        """
        backend, stages = self._backend, self._stages
        latents, following = backend.upload(noise), backend.empty(noise.shape, "float32")
        seen = self._constants | dict(motion) | {"audio_tokens": audio_tokens}
        for step in range(self._steps):
            velocity = self._velocities[step % 2]
            with stages.unit("denoise"):
                self._network.run(
                    seen | {"latents": latents, "step_embedding": backend.view(self._embeddings, step, step + 1)},
                    {"velocity": velocity},
                )
            with stages.unit("stitch"):
                self._guard.settle()  # the step before; this one keeps the device busy meanwhile
                stack = {"latents": latents, "velocities": velocity} | self._slots
                numbers = {"a": backend.view(self._a, step, step + 1), "b": backend.view(self._b, step, step + 1)}
                self._stitch.run(stack | numbers, {"next_latents": following})
                latents, following = following, latents
                # What the clip was given is asked before the network that was given it.
                origins = {"audio tokens": audio_tokens}
                origins |= {f"reference: {name}": bank for name, bank in motion.items()}
                origins[f"{self._network.spec.name}: velocity"] = velocity
                self._guard.watch(latents, partial(_look, backend, origins, clip, step, self._on_step))
            yield
        self._guard.settle()
        return latents


def _look(
    backend: Backend,
    origins: Mapping[str, Buffer],
    clip: int,
    step: int,
    on_step: OnStep | None,
    latents: np.ndarray,
) -> None:
    """The latents after a step must be finite; then they are shown to whoever asked.

    One look a step is enough, because NaN stays NaN. Only then is asked which of the `origins` it came from.
    """
    if not is_finite(latents):
        for name, buffer in origins.items():
            require_finite(backend.download(buffer), f"{name} of clip {clip} at step {step}")
        require_finite(latents, f"latents of clip {clip} after step {step}")
    if on_step is not None:
        on_step(clip, step, latents)


def check_guidance(denoiser: Session, guidance: float) -> None:
    """Hold a guidance scale against the halves that a denoiser runs. Raises BundleError."""
    if guidance != 1 and not guided(denoiser):
        raise BundleError(
            f"{denoiser.spec.name} runs the conditional half alone, which is a guidance of 1, asked for {guidance:g}; "
            "ask for 1, or use the denoiser that runs both halves"
        )


def check_mood(denoiser: Session, weights: Sequence[float] | None) -> None:
    """Hold a mood against a denoiser that may know none. Raises BundleError."""
    if weights is not None and not knows_moods(denoiser):
        raise BundleError(
            f"{denoiser.spec.name} knows no moods, asked for {', '.join(f'{w:g}' for w in weights)}; ask for none, or "
            "use a denoiser that has the input mood"
        )
