"""What `--stage` chooses from, in the order in which it is done: known before torch is there."""

from __future__ import annotations

TRAINING = (
    "clips",
    "linear",
    "autoencoder",
    "motion",
    "latents",
    "features",
    "fit",
    "denoiser",
    "made",
    "decoder",
    "write",
)
DISTILLATION = (
    "clips",
    "latents",
    "features",
    "student",
    "rollout",
    "made",
    "decoded",
    "tiny_decoder",
    "write",
    "measure",
)
