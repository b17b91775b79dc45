"""What a profile does for a video, as calls of graphs and pieces of the host's work.

How the loop goes is known beside it (`runtime.hallo2.work`); here a profile is turned into what that takes. No device,
no time.
"""

from __future__ import annotations

from dataclasses import replace

from hp_trt.hallo2.profiles import roles, sampling_of
from hp_trt.profiles import Profile
from runtime.hallo2.presets import FPS
from runtime.hallo2.sampling import Sampling
from runtime.hallo2.speech import CONTEXT_S
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
    sampling = sampling_of(vars(own), profile)
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
