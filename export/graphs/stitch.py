"""One step of a schedule for every frame of a clip, from the velocities of its windows.

Letters: T frames of a clip ("total"), W windows, F frames of a window; h, w latent cells.
"""

from __future__ import annotations

from torch import Tensor, nn

from export.graphs.graph import Graph, spec, tensor


class Stitch(nn.Module):
    """X' = a X + b M V: Euler's step and the average over windows, in one product."""

    def forward(self, latents: Tensor, velocities: Tensor, matrix: Tensor, a: Tensor, b: Tensor) -> Tensor:
        mean = matrix.flatten(1) @ velocities.flatten(2).flatten(0, 1)
        return a * latents + b * mean.reshape(latents.shape)


def stitch_graph(
    channels: int,
    latent: tuple[int, int],
    frames: int,
    total: tuple[int, int, int],
    windows: tuple[int, int, int],
) -> Graph:
    """latents (T, C, h, w), velocities (W, F, C, h, w), matrix (T, W, F), a and b (1) to next latents (T, C, h, w).

    All in float32. `latent`: (h, w). `frames`: F. `total` and `windows`: least, usual and most of T and of W.
    """
    return Graph(
        spec=spec(
            "stitch",
            [
                tensor("latents", "total", channels, *latent),
                tensor("velocities", "windows", frames, channels, *latent),
                tensor("matrix", "total", "windows", frames),
                tensor("a", 1),
                tensor("b", 1),
            ],
            [tensor("next_latents", "total", channels, *latent)],
            unit="windows",
            total=total,
            windows=windows,
        ),
        networks=(),
        make=lambda networks: Stitch(),
    )
