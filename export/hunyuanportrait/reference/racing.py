"""The released program as the bench races it: loaded with a bundle's weights, numpy in and numpy out, on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch

from engines.errors import InputError
from engines.manifest import OWN_SOURCE, Manifest
from export.hunyuanportrait.reference.program import run_program
from export.hunyuanportrait.reference.sample import SamplingOptions
from export.hunyuanportrait.reference.weights import released_networks
from export.weights.own import own_weights
from hp_trt.hunyuanportrait.race_sides import Crops, Made
from runtime.hunyuanportrait.sampling import Sampling


class ReleasedProgram:
    """`weights` is what the bundle was built from; None: random, or the package's own.

    Raises InputError when the weights are not the bundle's or have to be named, CheckpointError. PyTorch has `threads`
    threads from now on.
    """

    def __init__(self, manifest: Manifest, *, weights: Path | None, threads: int | None) -> None:
        kind = manifest.weights["kind"]
        own = kind == "trained" and manifest.weights["source"] == OWN_SOURCE
        if weights is None and kind != "random" and not own:
            raise InputError(
                f"the bundle has {kind} weights and comparing needs them too; add --weights "
                + ("DIR" if kind == "published" else "FILE.safetensors")
            )
        if own and weights is None:
            weights = own_weights(manifest.preset)
        self.threads = threads or torch.get_num_threads()
        self.torch = str(torch.__version__)
        torch.set_num_threads(self.threads)
        self._networks = released_networks(manifest.preset, manifest.weights["fingerprint"], weights)

    def __call__(self, crops: Crops, sampling: Sampling) -> Made:
        frames = len(crops.face_images)
        result = run_program(
            self._networks,
            released_options(sampling),
            pad_frames=sampling.pad_frames,
            reference_image=torch.from_numpy(crops.reference_image),
            transformed_image=torch.from_numpy(crops.transformed_image),
            id_embedding=torch.zeros(512),
            face_images=torch.from_numpy(crops.face_images),
            pose_images=torch.from_numpy(crops.pose_images),
            landmarks=torch.from_numpy(crops.landmarks),
            noise_aug=torch.from_numpy(crops.noise_aug),
            initial_noise=torch.from_numpy(crops.initial_noise),
        )
        decoded = result.loop.decoded[sampling.pad_frames :][:frames]
        return Made(latents=result.loop.final_latents.numpy(), frames=decoded.numpy())


def released_options(sampling: Sampling) -> SamplingOptions:
    """What the released program calls a bundle's sampling."""
    return SamplingOptions(
        window=sampling.window,
        overlap=sampling.overlap,
        shift_offset=sampling.shift,
        num_inference_steps=sampling.steps,
        strength=sampling.strength,
        guidance_appearance=sampling.guidance_appearance,
        guidance_motion=sampling.guidance_motion,
        noise_aug_strength=sampling.noise_aug_strength,
        decode_chunk_size=sampling.decode_chunk,
        fps=sampling.fps,
        motion_bucket_id=sampling.motion_bucket_id,
    )
