"""The loop in plain torch, for the clips of PyTorch alone: any step, any decoder, frames to the host as they come."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from runtime import schedule
from runtime.decode import chunks
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.windows import Windows, coverage, shift_at
from tests.gpu.conditions import ClipInputs

# latents (F, 4, h, w), motion (F, m, D), c_in (1), timestep (1) -> velocity (F, 4, h, w)
Step = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def run_clip(
    inputs: ClipInputs,
    sampling: Sampling,
    step: Step,
    decode: Callable[[Tensor], Tensor],
    *,
    device: str,
    skip_padding: bool,
) -> tuple[np.ndarray, float]:
    """The N frames (N, 3, H, W) float32 and the seconds it took. `skip_padding`: chunks of padding are not decoded."""
    start_s = time.perf_counter()
    total, size = len(inputs.noise), sampling.window
    sigmas = schedule.executed(schedule.sigmas(sampling.steps), sampling.executed_steps)
    a, b = (torch.from_numpy(numbers).to(device) for numbers in schedule.euler_coefficients(sigmas))
    c_in, times = (
        torch.from_numpy(numbers).to(device) for numbers in (schedule.input_scales(sigmas), schedule.timesteps(sigmas))
    )
    motion = torch.from_numpy(inputs.motion_tokens).to(device)
    if device == "cpu":
        motion = motion.float()
    x = torch.from_numpy(schedule.add_noise(inputs.image_latents * 0, inputs.noise, float(sigmas[0]))).to(device)
    for i in range(sampling.executed_steps):
        shift = shift_at(i, shift=sampling.shift, size=size)
        layout = Windows(total, size=size, overlap=sampling.overlap, shift=shift)
        summed = torch.zeros_like(x)
        for indices in layout:
            frames = torch.tensor(indices, device=device)
            summed.index_add_(0, frames, step(x[frames], motion[frames], c_in[i : i + 1], times[i : i + 1]))
        covered = torch.from_numpy(coverage(total, layout)).to(device)[:, None, None, None]
        x = a[i] * x + b[i] * summed / covered
    pad = sampling.pad_frames
    parts = chunks(total, chunk=sampling.decode_chunk, pad_frames=pad if skip_padding else 0)
    decoded = [decode(x[part.start : part.stop]).cpu().numpy() for part in parts]
    first = parts[0].start
    return np.concatenate(decoded)[pad - first : total - pad - first], time.perf_counter() - start_s
