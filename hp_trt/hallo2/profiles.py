"""Hallo2's profiles: which there are, what they may hold, and which graphs each needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.errors import InputError
from engines.manifest import Manifest
from hp_trt.hallo2.moods import mood_weights
from hp_trt.hallo2.promises import knows_moods
from hp_trt.profiles import Profile, Profiles
from runtime.hallo2.sampling import Sampling
from runtime.live_windows import LiveWindows

# Roles that the threads of a live session have; the others are run when a portrait is encoded or a stream is opened.
STREAMED = frozenset({"speech_encoder", "audio_tokens", "vae_encoder", "reference", "denoiser", "stitch", "decoder"})

# Roles that a profile's precision is about: nearly all of a clip's time. The portrait's pixels go through the encoder
# too, and its features through the reference net, which keeps the bundle's own precision.
IN_BF16 = frozenset({"denoiser", "decoder", "vae_encoder"})

# A sampling option that the published weights do not know, and why.
_NO_MOOD = (
    "these weights know no moods: the released model has no text input (the labels of its paper are not in the "
    "released program); leave the mood out"
)


def roles(profile: Profile, sampling: Sampling) -> dict[str, str]:
    """By what the loops call it: the graph that does it. A guidance of 1 is the conditional half alone."""
    return {
        "speech_encoder": "speech_encoder",
        "audio_tokens": "audio_tokens",
        "identity": "talk_identity",
        "vae_encoder": "talk_vae_encoder",
        "reference": "reference",
        "bank_kv": "bank_kv",
        "steps": "talk_steps",
        "denoiser": "talk_denoiser_one" if sampling.guidance == 1 else "talk_denoiser",
        "stitch": "stitch",
        "decoder": "talk_vae_decoder",
    }


def sampling_of(own: Mapping[str, Any], profile: Profile, *, moods: bool = False) -> Sampling:
    """A bundle's `own` sampling with the profile's shortcuts and overrides by name; None is no override.

    `moods`: whether the bundle's weights know any (`promises.knows_moods`). Raises InputError for a name that does not
    exist, or numbers and words that cannot be.
    """
    given = dict(profile.sampling)
    if given.get("mood_weights") is not None:
        raise InputError("there is no sampling option mood_weights; did you mean mood?")
    if (mood := given.pop("mood", None)) is not None:
        if not moods:
            raise InputError(_NO_MOOD)
        given["mood_weights"] = mood_weights(mood)
    if profile.denoiser == "distilled":
        given.setdefault("guidance", 1.0)
    return Sampling.from_manifest(own, **given)


def sampling_of_bundle(manifest: Manifest, profile: Profile) -> Sampling:
    """`sampling_of` a bundle that `promises.check_bundle` has let pass."""
    return sampling_of(manifest.sampling, profile, moods=knows_moods(manifest))


def check_choices(profile: Profile) -> None:
    """Raises InputError for shortcuts that this model has not."""
    if profile.decoder != "full":
        raise InputError(
            f'there is no small decoder of this model yet, got decoder = "{profile.decoder}"; leave it out'
        )
    if profile.quantize != "none":
        raise InputError(f'this model is not quantised yet, got quantize = "{profile.quantize}"; leave it out')
    if profile.windows is not None and profile.windows != LiveWindows():
        raise InputError(
            "a clip is as long as its bundle's: leave window, overlap and lead_in out, and build with --frames for "
            "shorter clips, which come sooner"
        )
    if profile.denoiser == "distilled" and profile.sampling.get("guidance", 1) != 1:
        raise InputError(
            "a distilled denoiser has its guidance in it, and is the conditional half alone; set guidance = 1.0"
        )


def _check(profile: Profile) -> None:
    sampling_of({}, profile)
    check_choices(profile)


PROFILES = Profiles(
    own_file=Path(__file__).with_name("profiles.toml"),
    sampling=("steps", "guidance", "motion_weights"),
    check=_check,
)
