"""What is known of the two presets before anything is built, for plans as for exports.

Of what has been built its bundle knows more: sizes and sampling are in the manifest, precision and context in each
graph's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MODEL = "hallo2"  # as a bundle's manifest names the rooms that know its graphs

# What computes in half in a bundle in fp16. The others are small, run once a video or once a clip, and stay fp32.
HALF = frozenset({"reference", "bank_kv", "talk_denoiser", "talk_denoiser_one", "talk_vae_decoder"})

FPS = 25  # frames a second: the weights know no other rate
SAMPLE_RATE = 16_000  # of the speech encoder
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
PIECE_S = 60  # the speech encoder sees so many seconds at a time, as released
MOODS = ("neutral", "happy", "sad", "angry", "surprised", "sleepy")  # of a net that has tokens for them, in this order
NEUTRAL = (1.0, *(0.0 for _ in MOODS[1:]))  # how much there is of each where nobody asks for a mood
AUDIO_WINDOW = 5  # frames whose features make one frame's audio tokens: two before, two behind


@dataclass(frozen=True, kw_only=True)
class PresetFacts:
    """What a preset is used at."""

    size: int  # pixels along a side of the picture and of the result
    clip: int  # F, frames denoised together
    motion_frames: int  # m, the last frames of the clip before, which a clip goes on from
    sampling: Mapping[str, Any] = field(default_factory=dict)  # where it differs from the released defaults


PRESETS: Mapping[str, PresetFacts] = {
    "hallo2": PresetFacts(size=512, clip=16, motion_frames=2),
    # One step from pure noise, which is most of what its weights have learnt: more follow the sound less well.
    # It begins its clips a little off the frames before, so they are joined.
    "talk_pocket": PresetFacts(size=128, clip=8, motion_frames=2, sampling={"steps": 1, "guidance": 1.0, "join": True}),
}
