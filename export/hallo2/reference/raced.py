"""The released program as the bench races it: with a bundle's weights, as `hp_trt.hallo2.race_sides` calls it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.errors import InputError
from engines.manifest import OWN_SOURCE, Manifest
from export.hallo2.architecture import NETWORKS, Architecture
from export.hallo2.presets import PRESETS
from export.hallo2.reference.chain import Options
from export.hallo2.reference.racing import Given, ReleasedProgram
from export.hallo2.weights import open_source
from export.weights.own import own_weights
from export.weights.source import WeightsSource
from hp_trt.hallo2.race_sides import Clips, Made
from runtime.hallo2.sampling import Sampling


class RacedProgram:
    """`released` with the numbers of a bundle's sampling."""

    def __init__(self, released: ReleasedProgram, *, frames: int, size: int) -> None:
        self.threads, self.torch = released.threads, released.torch
        self._released, self._frames, self._size = released, frames, size

    def __call__(self, clips: Clips, sampling: Sampling, motion_frames: int) -> Made:
        options = Options(
            frames_per_clip=self._frames,
            motion_frames=motion_frames,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance,
            motion_scale=sampling.motion_weights,
            mask_rate=sampling.mask_rate,
            mood=sampling.mood_weights,
            size=self._size,
        )
        made = self._released(Given(**vars(clips)), options)
        return Made(latents=made.latents, frames=made.frames)


def open_released(manifest: Manifest, *, weights: Path | None, threads: int | None) -> RacedProgram:
    """The released program with the weights of a bundle. `weights` is what it was built from; None: random, or the
    package's own. PyTorch has `threads` threads from now on.

    Raises InputError when the weights are not the bundle's or have to be named, CheckpointError.
    """
    kind, preset = manifest.weights["kind"], manifest.preset
    own = kind == "trained" and manifest.weights["source"] == OWN_SOURCE
    if weights is None and kind != "random" and not own:
        raise InputError(
            f"the bundle has {kind} weights and comparing needs them too; add --weights "
            + ("DIR" if kind == "published" else "FILE.safetensors")
        )
    if preset not in PRESETS:
        raise InputError(f"there is no preset {preset!r} to compare with; there are {', '.join(PRESETS)}")
    architecture = PRESETS[preset].architecture
    source = open_source(architecture, own_weights(preset) if own and weights is None else weights, preset=preset)
    _check(source, manifest)
    released = ReleasedProgram(configs_of(architecture), source, threads=threads)
    return RacedProgram(released, frames=manifest.frames, size=manifest.geometry["crop_px"])


def _check(source: WeightsSource, manifest: Manifest) -> None:
    known = {network: mark for network, mark in manifest.weights["fingerprint"].items() if network in NETWORKS}
    if other := [network for network, mark in known.items() if source.fingerprint(network) != mark]:
        raise InputError(
            f"the bundle was built from other weights for {', '.join(other)} than {source.source}; "
            "give those it was built from, or build it again"
        )


def configs_of(architecture: Architecture) -> dict[str, Mapping[str, Any]]:
    """Constructor facts by network, under the names that the reference's networks take."""
    configs: dict[str, Mapping[str, Any]] = {network: architecture.facts(network) for network in NETWORKS}
    vae = architecture.vae
    return configs | {
        "vae": {
            "channels": vae.block_out_channels,
            "layers_per_block": vae.layers_per_block,
            "groups": vae.norm_groups,
            "latent_channels": vae.latent_channels,
            "scaling_factor": vae.scaling_factor,
        }
    }
