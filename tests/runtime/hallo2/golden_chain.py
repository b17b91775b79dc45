"""What golden chains and programs share: a case's exported graphs by their roles, watched, and the chain over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.backend import Buffer, Session
from engines.onnx_backend import OnnxBackend
from export.hallo2.graphs import bundle_graphs
from hp_trt.hallo2.profiles import roles
from hp_trt.profiles import Profile
from runtime.decode import to_uint8
from runtime.hallo2 import ddim
from runtime.hallo2.clips import chain
from runtime.hallo2.conditions import encode_conditions
from runtime.hallo2.sampling import Sampling
from tests.cache import Cache
from tests.export.hallo2.case_networks import CaseNetworks, architecture_of
from tests.export.onnx_cache import OnnxCache
from tests.golden_cases import Case
from tests.runtime.raw_frames import WithFrames


def same_graphs(fact: Mapping[str, Any]) -> list[Any]:
    return [fact["config"], [fact["options"][name] for name in ("size", "frames_per_clip", "motion_frames")]]


@dataclass
class Watched:
    """A session that keeps what it was given and gave, and whose outputs may be changed on the way."""

    session: Session
    changed: Callable[[np.ndarray], None] = lambda array: None
    inputs: list[dict[str, np.ndarray]] = field(default_factory=list)
    outputs: list[dict[str, np.ndarray]] = field(default_factory=list)

    @property
    def spec(self):
        return self.session.spec

    def run(self, inputs, outputs=None):
        self.inputs.append({name: np.array(array) for name, array in inputs.items()})
        made = self.session.run(inputs, outputs)
        for array in made.values():
            self.changed(array)
        self.outputs.append({name: np.array(array) for name, array in made.items()})
        return made

    def close(self):
        self.session.close()


def to_half(array: np.ndarray) -> None:
    array[...] = array.astype(np.float16)


class GoldenChain:
    """A case's graphs in float32, and what goes through them."""

    def __init__(self, case: Case, cache: Cache, backend: OnnxBackend) -> None:
        options, architecture = case.options, architecture_of(case.config)
        self.case, self.backend = case, backend
        self.frames = options["frames_per_clip"]
        self.sampling = Sampling(
            steps=options["num_inference_steps"],
            guidance=options["guidance_scale"],
            motion_weights=tuple(options["motion_scale"]),
            mask_rate=options["mask_rate"],
            seed=options["seed"],
            scaling_factor=case.config["vae"]["scaling_factor"],
        )
        networks, onnx = CaseNetworks(architecture, case.weight_prefix), OnnxCache(cache, "hallo2")
        graphs = bundle_graphs(
            architecture, size=options["size"], frames=self.frames, motion_frames=options["motion_frames"]
        )
        needed = roles(Profile(name="exact"), self.sampling)
        if case.facts["kind"] == "chain":
            del needed["speech_encoder"]
        self.sessions = {role: Watched(networks.session(graphs[name], onnx, backend)) for role, name in needed.items()}
        self.sessions["decoder"].session = WithFrames(self.sessions["decoder"].session, backend)
        if options["bank_dtype"] == "float16":
            self.sessions["reference"].changed = to_half

    def run(
        self,
        *,
        picture: np.ndarray,
        face_region: np.ndarray,
        masks: Sequence[np.ndarray],
        audio_tokens: Iterable[Buffer],
    ) -> dict[str, Any]:
        """The outputs that chains and programs have in common; `masks`, of level i, (3, L_i)."""
        case, backend, sessions = self.case, self.backend, self.sessions
        inputs, steps, m = case.inputs, self.sampling.steps, case.options["motion_frames"]
        conditions = encode_conditions(
            backend,
            sessions,
            picture=picture,
            embedding=inputs["embedding"].reshape(1, -1),
            face_region=face_region,
            masks=masks,
            motion_frames=m,
            scaling_factor=self.sampling.scaling_factor,
        )
        after_step: list[np.ndarray] = []
        pixels: list[np.ndarray] = []
        clips = 0
        for clip in chain(
            backend,
            sessions,
            conditions=conditions,
            audio_tokens=audio_tokens,
            sampling=self.sampling,
            on_step=lambda clip, step, latents: after_step.append(latents.swapaxes(0, 1)),
            draws=lambda clip: (inputs["fields"][clip], inputs["noise"][clip]),
        ):
            pixels += clip.frames
            clips += 1
        # Of a clip its last frames are decoded first.
        raw = np.concatenate([run["frames"] for run in sessions["decoder"].outputs])
        raw = np.roll(raw.reshape(clips, self.frames, *raw.shape[1:]), -min(m, self.frames), axis=1).reshape(raw.shape)
        np.testing.assert_array_equal(pixels, [*map(to_uint8, raw)])
        portrait, *motion = (run["pictures"] for run in sessions["vae_encoder"].inputs)
        portrait_rows, *motion_rows = (run["latents"] for run in sessions["reference"].inputs)
        return {
            "audio_tokens": np.stack([run["tokens"] for run in sessions["audio_tokens"].outputs]),
            "timesteps": ddim.timesteps(steps),
            "image_tokens": backend.download(conditions.image_tokens),
            "face_features": backend.download(conditions.face_features),
            "pictures": np.stack([np.concatenate([portrait, pictures]) for pictures in motion]),
            "reference_latents": np.stack([np.concatenate([portrait_rows[:1], rows[:m]]) for rows in motion_rows]),
            "latents_after_step": np.stack(after_step).reshape(clips, steps, *after_step[0].shape),
            "frames": np.clip(raw / 2 + 0.5, 0, 1),
        }
