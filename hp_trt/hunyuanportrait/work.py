"""What a profile does for a clip, as calls of graphs and pieces of the host's work.

How a loop goes is known beside the loops (`runtime.hunyuanportrait.work`); here a profile is turned into what these
take. No device, no time.
"""

from __future__ import annotations

from dataclasses import replace

from hp_trt.hunyuanportrait.profiles import roles
from hp_trt.profiles import Profile
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.work import clip_work, live_work
from runtime.work import Work


def profile_work(profile: Profile, own: Sampling, frames: int, *, steps: int | None = None) -> Work:
    """`own`: the sampling of the bundle or preset, which the profile overrides, and `steps` both.

    `frames`: of the driving video, or those of a stream that are looked at. For the planner, which has opened no
    graphs and often no bundle; where a model is there, `hp_trt.model.Model.work` is the same.
    """
    sampling = replace(own, **profile.sampling)
    if steps is not None:
        sampling = replace(sampling, steps=steps, skip_last=min(sampling.skip_last, steps - 1))
    named = roles(profile)
    graphs = {role: named[role] for role in ("denoiser", "inner", "decoder") if role in named}
    if profile.windows is None:
        return clip_work(frames, sampling, **graphs)
    return live_work(frames, sampling, profile.windows, **graphs)
