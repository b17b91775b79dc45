"""The chain on exported graphs, from speech features to frames, against the golden chains of the released program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from engines.backend import Buffer, Session
from engines.onnx_backend import OnnxBackend
from export.hallo2.graphs import bundle_graphs
from runtime.hallo2 import ddim
from runtime.hallo2.clips import chain
from runtime.hallo2.conditions import encode_conditions
from runtime.hallo2.sampling import Sampling
from tests.export.hallo2.case_networks import CaseNetworks, architecture_of
from tests.export.onnx_cache import OnnxCache
from tests.golden_cases import HALLO2_FOLDER, Case, check, discover, golden_cases, load_case

TOLERANCE = 1e-3  # the README's: pixels go through the networks again, clip after clip
HALF_BANKS = 1e-2  # and where banks are rounded to half, values on an edge fall to either side
ROLES = {
    "identity": "talk_identity",
    "vae_encoder": "talk_vae_encoder",
    "reference": "reference",
    "bank_kv": "bank_kv",
    "steps": "talk_steps",
    "denoiser": "talk_denoiser",
    "stitch": "stitch",
    "decoder": "talk_vae_decoder",
}


def test_the_shipped_folder_has_golden_chains():
    assert discover(kind="chain", folder=HALLO2_FOLDER)


def same_graphs(fact):
    return [fact["config"], [fact["options"][name] for name in ("size", "frames_per_clip", "motion_frames")]]


@dataclass
class Watched:
    """A session that keeps what it was given, and whose outputs may be changed on the way."""

    session: Session
    changed: Callable[[np.ndarray], None] = lambda array: None
    inputs: list[dict[str, np.ndarray]] = field(default_factory=list)

    @property
    def spec(self):
        return self.session.spec

    def run(self, inputs, outputs=None):
        self.inputs.append({name: np.array(array) for name, array in inputs.items()})
        made = self.session.run(inputs, outputs)
        for array in made.values():
            self.changed(array)
        return made

    def close(self):
        self.session.close()


def to_half(array: np.ndarray) -> None:
    array[...] = array.astype(np.float16)


def tokens_of_clips(case: Case, backend: OnnxBackend, session: Session, frames: int) -> list[Buffer]:
    """Windows of the whole track's features, its first and last frame repeated outside (SPEC 7), F frames a clip."""
    features, width = case.inputs["audio_features"], case.config["audio_tokens"]["window"]
    at = np.arange(len(features))[:, None] + np.arange(width) - width // 2
    windows = features[np.clip(at, 0, len(features) - 1)]
    clips = [windows[i : i + frames] for i in range(0, len(windows) - frames + 1, frames)]
    return [session.run({"windows": backend.upload(clip)})["tokens"] for clip in clips]


@golden_cases(kind="chain", folder=HALLO2_FOLDER, group=same_graphs)
@torch.no_grad()
def test_the_chain_on_exported_graphs_matches_its_golden_case(case_name, cache, backend):
    case = load_case(case_name, HALLO2_FOLDER)
    inputs, options, architecture = case.inputs, case.options, architecture_of(case.config)
    frames, m, steps = options["frames_per_clip"], options["motion_frames"], options["num_inference_steps"]
    sampling = Sampling(
        steps=steps,
        guidance=options["guidance_scale"],
        motion_weights=tuple(options["motion_scale"]),
        mask_rate=options["mask_rate"],
        seed=options["seed"],
        scaling_factor=case.config["vae"]["scaling_factor"],
    )
    networks, onnx = CaseNetworks(architecture, case.weight_prefix), OnnxCache(cache, "hallo2")
    graphs = bundle_graphs(architecture, size=options["size"], frames=frames, motion_frames=m)
    sessions = {role: Watched(networks.session(graphs[name], onnx, backend)) for role, name in ROLES.items()}
    half_banks = options["bank_dtype"] == "float16"
    if half_banks:
        sessions["reference"].changed = to_half

    tokens = tokens_of_clips(case, backend, networks.session(graphs["audio_tokens"], onnx, backend), frames)
    masks = [
        np.stack([inputs[f"mask.{kind}.{i}"] for kind in ("full", "face", "lip")])
        for i in range(len(case.config["denoising_unet"]["channels"]))
    ]
    conditions = encode_conditions(
        backend,
        sessions,
        picture=inputs["source_picture"][None],
        embedding=inputs["embedding"].reshape(1, -1),
        face_region=inputs["face_region"],
        masks=masks,
        scaling_factor=sampling.scaling_factor,
    )
    after_step: list[np.ndarray] = []
    decoded: list[np.ndarray] = []
    for clip in chain(
        backend,
        sessions,
        conditions=conditions,
        audio_tokens=tokens,
        sampling=sampling,
        on_step=lambda clip, step, latents: after_step.append(latents.swapaxes(0, 1)),
        draws=lambda clip: (inputs["fields"][clip], inputs["noise"][clip]),
    ):
        decoded += clip.frames

    portrait, *motion = (run["pictures"] for run in sessions["vae_encoder"].inputs)
    portrait_rows, *motion_rows = (run["latents"] for run in sessions["reference"].inputs)
    results = {
        "audio_tokens": np.stack([backend.download(clip) for clip in tokens]),
        "timesteps": ddim.timesteps(steps),
        "image_tokens": backend.download(conditions.image_tokens),
        "face_features": backend.download(conditions.face_features),
        "pictures": np.stack([np.concatenate([portrait, pictures]) for pictures in motion]),
        "reference_latents": np.stack([np.concatenate([portrait_rows[:1], rows[:m]]) for rows in motion_rows]),
        "latents_after_step": np.stack(after_step).reshape(len(tokens), steps, *after_step[0].shape),
        "frames": np.clip(np.stack(decoded) / 2 + 0.5, 0, 1),
    }
    check(case, results, HALF_BANKS if half_banks else TOLERANCE)
