"""One step of a schedule for a window of frames, from the velocities of all windows that hold them.

Letters: F frames of a window, V velocities of frames ("total"), n of them to a frame at most ("held"); h, w latent
cells.
"""

from __future__ import annotations

from torch import Tensor, nn

from export.graphs.graph import Graph, spec, tensor

_ELEMENTS = 2**31 - 1  # TensorRT takes no larger tensor


class Stitch(nn.Module):
    """X' = a X + b sum_k weight_k V[slot_k]: Euler's step with the average of each frame's velocities."""

    def forward(
        self, latents: Tensor, velocities: Tensor, slots: Tensor, weights: Tensor, a: Tensor, b: Tensor
    ) -> Tensor:
        mean = (weights[:, :, None, None, None] * velocities[slots]).sum(1)
        return a * latents + b * mean


def stitch_graph(channels: int, latent: tuple[int, int], frames: int) -> Graph:
    """latents (F, C, h, w), velocities (V, C, h, w), slots (F, n) in [0, V), weights (F, n), a and b (1) to next
    latents (F, C, h, w).

    All in float32, but for the slots: int64. `latent`: (h, w). `frames`: F. A frame of a clip shorter than its window
    is in it several times: hence the most of n.
    """
    most = _ELEMENTS // (channels * latent[0] * latent[1])
    return Graph(
        spec=spec(
            "stitch",
            [
                tensor("latents", frames, channels, *latent),
                tensor("velocities", "total", channels, *latent),
                tensor("slots", frames, "held", dtype="int64"),
                tensor("weights", frames, "held"),
                tensor("a", 1),
                tensor("b", 1),
            ],
            [tensor("next_latents", frames, channels, *latent)],
            unit="held",
            total=(frames, 2 * frames, max(most, 2 * frames)),
            held=(1, 2, max(2 * frames, 2)),
        ),
        networks=(),
        make=lambda networks: Stitch(),
        ranges_of_input={"slots": (0, frames)},
    )
