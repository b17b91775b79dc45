"""HunyuanPortrait's profiles: which there are, what they may hold, and which graphs each needs."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines.errors import InputError
from hp_trt.profiles import Profile, Profiles
from runtime.hunyuanportrait.sampling import Sampling

# Roles that the threads of a live session have; the others are run when a portrait is encoded or a stream is opened.
STREAMED = frozenset({"motion", "inner", "denoiser", "stitch", "decoder"})

# Roles of a clip whose calls run beside one another: windows of frames that are at one step, and chunks.
BESIDE = frozenset({"inner", "denoiser", "decoder"})

# Roles that a profile's precision is about. What sees the faces keeps the bundle's own: tokens would be off by 0.02 to
# 0.04 rms, twice as much as a denoised frame, for little of a clip's time (docs/openvino.md).
IN_BF16 = frozenset({"inner", "denoiser", "decoder"})

# Graphs that not every bundle has -> the build's option that adds them.
ADDED_BY = {
    "denoiser_inner": "--reuse",
    "denoiser_outer": "--reuse",
    "live_denoiser": "--live",
    "live_stitch": "--live",
    "tiny_decoder": "--live-weights FILE, which python -m export.distill makes",
}


SMALL_DECODER = ADDED_BY["tiny_decoder"]  # what brings one, for messages
# Of a preset, the graphs that not all weights make, where there are such weights without a training of one's own.
DISTILLED: Mapping[str, Container[str]] = {"pocket": frozenset({"tiny_decoder"})}


def fitted(profile: Profile, has: Container[str]) -> Profile:
    """`profile` for a bundle that has these graphs: what "tiny-or-full" stands for there."""
    if profile.decoder != "tiny-or-full":
        return profile
    return replace(profile, decoder="tiny" if "tiny_decoder" in has else "full")


def misses_small_decoder(profile: Profile, has: Container[str]) -> bool:
    """Whether the full decoder takes the place of a small one there."""
    return profile.decoder == "tiny-or-full" and fitted(profile, has).decoder == "full"


def roles(profile: Profile) -> dict[str, str]:
    """By what the loops call it: the graph that does it, where the bundle has all that can be asked for."""
    live = profile.mode == "live"
    if profile.sampling.get("deep_every", 1) > 1:
        denoiser = {"inner": "denoiser_inner", "denoiser": "denoiser_outer"}
    else:
        kind = "" if profile.quantize == "none" else f"_{profile.quantize}"
        denoiser = {"denoiser": ("live_denoiser" if live or profile.denoiser == "distilled" else "denoiser") + kind}
    return {
        "appearance": "appearance",
        "motion": "motion",
        "vae_encoder": "vae_encoder",
        "step_embedding": "step_embedding",
        **denoiser,
        "stitch": "live_stitch" if live else "stitch",
        "decoder": "vae_decoder" if profile.decoder == "full" else "tiny_decoder",
    }


def graphs(profile: Profile) -> tuple[str, ...]:
    """What a bundle needs for it."""
    return tuple(roles(profile).values())


def sampling_of(own: Mapping[str, Any], profile: Profile, **overrides: Any) -> Sampling:
    """A bundle's `own` sampling with the profile's shortcuts and overrides by name; None is no override.

    Raises InputError for a name that does not exist, or numbers that cannot be.
    """
    return Sampling.from_manifest({**own, **profile.sampling}, **overrides)


def check_choices(profile: Profile) -> None:
    """Raises InputError for shortcuts that exclude each other."""
    if profile.precision == "bf16" and profile.quantize != "none":
        raise InputError(
            'products are in bf16 or in 8 bits, not in both; set precision = "exported", or quantize = "none"'
        )
    deep = profile.sampling.get("deep_every", 1)
    if not isinstance(deep, int) or deep <= 1:
        return
    if profile.denoiser == "distilled":
        raise InputError(
            "deep_every is for the full denoiser, a distilled one has few steps that differ much; "
            'set denoiser = "full", or deep_every = 1'
        )
    if profile.quantize != "none":
        raise InputError(
            'the denoiser in two parts, for deep_every, is not quantised; set quantize = "none", or deep_every = 1'
        )


def _check(profile: Profile) -> None:
    Sampling.from_manifest({}, **profile.sampling)
    check_choices(profile)


PROFILES = Profiles(
    own_file=Path(__file__).with_name("profiles.toml"),
    sampling=(
        "steps",
        "schedule",
        "skip_last",
        "deep_every",
        "guidance_appearance",
        "guidance_motion",
        "guidance_interval",
    ),
    check=_check,
)
find_profile, own_profiles, read_profiles = PROFILES.find, PROFILES.own, PROFILES.read
