"""What is measured of the second model, which sound drives. No torch: the command loads none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MODELS = ("hunyuanportrait", "hallo2")
WHOLE, TIMED = "a bundle", "its denoiser"
# Role in the loop -> graph.
ROLES = {
    "speech_encoder": "speech_encoder",
    "audio_tokens": "audio_tokens",
    "identity": "talk_identity",
    "vae_encoder": "talk_vae_encoder",
    "reference": "reference",
    "bank_kv": "bank_kv",
    "steps": "talk_steps",
    "denoiser": "talk_denoiser",
    "stitch": "stitch",
    "decoder": "talk_vae_decoder",
}


@dataclass(frozen=True, kw_only=True)
class Talk:
    """A preset, and of it either whole bundles and a clip of speech, or the denoiser's speed alone."""

    preset: str
    precisions: tuple[str, ...] = ()  # of the bundles; none: the denoiser in half precision, as large as it is
    steps: int = 0  # of the clip of speech
    clips: int = 2  # of the chain, so that one goes on from another


TALKS: Mapping[str, Talk] = {
    "full": Talk(preset="hallo2"),
    "pocket": Talk(preset="talk_pocket", precisions=("fp32", "fp16"), steps=8),
    "mini": Talk(preset="tiny_talk", precisions=("fp32",), steps=2),  # for trying the check itself
}
