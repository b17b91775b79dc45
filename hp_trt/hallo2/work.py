"""What a profile does for a video, as calls of graphs and pieces of the host's work.

How the loop goes is known beside it (`runtime.hallo2.work`); here a profile is turned into what that takes. No device,
no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hp_trt.hallo2.profiles import roles, sampling_of
from hp_trt.profiles import Profile
from runtime.hallo2.live_speech import CONTEXT_S
from runtime.hallo2.presets import FPS
from runtime.hallo2.sampling import Sampling
from runtime.hallo2.work import clip_work
from runtime.work import Call, Work


def profile_work(
    profile: Profile, own: Sampling, frames: int, *, clip: int, motion_frames: int, steps: int | None = None
) -> Work:
    """`own`: the sampling of the bundle or preset, which the profile overrides, and `steps` both.

    `frames`: of the sound, 25 a second. `clip`: F, `motion_frames`: m. A live session makes the same clips, and encodes
    what was heard last anew for each of them: once it has heard so much. Raises InputError for a profile that this
    model cannot do.
    """
    sampling = sampling_of(vars(own), profile, moods=True)  # whichever it is, the work is the same
    if steps is not None:
        sampling = replace(sampling, steps=steps)
    named = roles(profile, sampling)
    made = clip_work(
        frames,
        sampling,
        clip=clip,
        motion_frames=motion_frames,
        denoiser=named["denoiser"],
        both=sampling.guidance != 1,
        decoder=named["decoder"],
    )
    stages = {name: calls for name, calls in made.graphs.items() if name != "audio_tokens"}
    stages["speech"] = (*made.graphs["speech"], *made.graphs["audio_tokens"])  # one stage, as clips ask for them
    if profile.mode == "live":
        clips = -(-frames // clip)
        encoder = Call(graph="speech_encoder", units=round(CONTEXT_S * FPS), times=clips)
        stages["speech"] = (encoder, *made.graphs["audio_tokens"])
        made = replace(made, mode="live", windows=clips)
    return replace(made, graphs=stages, host={"portrait_crop": 1, **made.host})


def released_flops(
    frames: int, sampling: Sampling, flops: Mapping[str, Mapping[str, Any]], *, clip: int, motion_frames: int
) -> dict[str, int]:
    """FLOPs of the released program for a video, by our stages; `flops`: by graph, as its record has them.

    It makes everything of the portrait anew for every clip, the face locator's features for each of its frames, and
    always runs both halves of guidance. What its networks compute in the place of a call of ours stands in the record
    as "released", where that is another number. Its DDIM step and its image tokens are no sum that counts.
    """
    clips = -(-frames // clip)
    whole = clip_work(frames, sampling, clip=clip, motion_frames=motion_frames)

    def of(graph: str) -> int:
        found = flops[graph]
        return int(found.get("released", found["call"]))

    def calls(stage: str) -> int:
        """What is the same network, as often, in both."""
        return sum(call.units * call.times * of(call.graph) for call in whole.graphs[stage])

    return {
        "portrait": clips * (clip * of("talk_identity") + of("talk_vae_encoder") + 2 * of("reference")),
        "speech": calls("speech") + calls("audio_tokens"),
        "motion_frames": calls("motion_frames"),
        "reference": clips * 2 * motion_frames * of("reference"),
        "denoise": clips * sampling.steps * of("talk_denoiser"),
        "stitch": 0,
        "decode": calls("decode"),
    }
