"""One clip on several devices, as a plan sees it: what is done at one time, and what goes between them.

Windows of one step do not need each other, nor do the decoder's chunks, so W of them on K devices take ceil(W / K)
turns (`engines/spread_backend.py`). The wave overlaps steps and may do a little better; a step of one window
gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hp_trt.measure.planning.planned_model import PlannedModel
from runtime.work import Work


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Of one clip."""

    devices: int
    pieces: Mapping[str, int]  # by stage: calls that do not need each other
    between_bytes: float  # to the other devices and back, at the least: latents, motion tokens, velocities, pixels

    def speedup(self, stage: str) -> float:
        """How many times as fast a stage is as on one device, what goes between them aside."""
        pieces = self.pieces.get(stage, 1)
        return pieces / -(-pieces // self.devices)

    def seconds(self, stage: str, seconds: float | None) -> float | None:
        """Of a stage that takes so long on one device."""
        return seconds if seconds is None or stage not in self.pieces else seconds / self.speedup(stage)


def spread_over(devices: int, model: PlannedModel, work: Work) -> Spread:
    """A clip's `work` over so many devices, of which each has its share of the calls."""
    m, width = model.facts["token_shape"]
    latent, picture = 4 * 4 * model.cells, 3 * model.size**2
    windows = [call for call in work.graphs["denoise"] if call.frames]
    tokens = sum(call.times * call.units * call.frames for call in windows) * m * width * model.token_bytes
    latents = sum(call.times * call.frames for call in windows) * 2 * latent
    chunks = work.graphs["decode"]
    decoded = sum(call.times * call.units for call in chunks) * (latent + picture)
    return Spread(
        devices=devices,
        pieces={"denoise": work.windows, "decode": sum(call.times for call in chunks)},
        between_bytes=(tokens + latents + decoded) * (devices - 1) / devices,
    )
