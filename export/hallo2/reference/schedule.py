"""diffusers' DDIM schedule with the released settings.

Source: SPEC 8.
"""

from __future__ import annotations

from typing import Any

from diffusers.schedulers.scheduling_ddim import DDIMScheduler

RELEASED = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "clip_sample": False,
    "steps_offset": 1,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "set_alpha_to_one": True,
}


def scheduler(steps: int, **settings: Any) -> DDIMScheduler:
    """A schedule of `steps` steps; `settings` replace released ones."""
    made = DDIMScheduler(**{**RELEASED, **settings})
    made.set_timesteps(steps)
    return made


def previous_timestep(schedule: DDIMScheduler, timestep: int) -> int:
    """Where a step from `timestep` arrives: below 0 at the end of a schedule, whose alpha there is 1."""
    return timestep - schedule.config["num_train_timesteps"] // schedule.num_inference_steps
