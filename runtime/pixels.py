"""What a decoder's graph gives of a chunk of f frames, and how it comes to the host: pixels, and no floats.

    frames (f, 3, H, W) float32   raw, about [-1, 1], not clamped
    pixels (f, H, W, 3) uint8     what is shown of them, RGB: `to_uint8`, done in the graph with the same bits
    sums   (f,) float32           of each frame the sum of its absolute values

Pixels are a quarter of the frames' bytes, and what is left to do on the host is to copy them. A NaN has no level, so
its pixel is an arbitrary one; but a sum with a NaN or an infinity in it is none that is finite, so the sums say which
frames may be shown. They refuse finite frames too whose absolute values add up to more than 3.4e38: of a decoder that
is off by thirty orders of magnitude.

The graph's side of it is `export/graphs/pixels.py`. Source: SPEC 9 (8-bit frames).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from engines.backend import Backend, Buffer
from engines.errors import NonFiniteError
from engines.spec import NetworkSpec
from runtime.finite import is_finite

Arrays = dict[str, np.ndarray]  # outputs on the host, by name
PIXELS = ("pixels", "sums")  # what is wanted of a decoder where only pixels are


def decoder_buffers(
    backend: Backend, spec: NetworkSpec, count: int, wanted: Collection[str] = PIXELS
) -> dict[str, Buffer]:
    """Buffers for these outputs of a decoder's graph, of `count` frames each."""
    outputs = (spec.output(name) for name in wanted)
    return {t.name: backend.empty((count, *(int(n) for n in t.dims[1:])), t.dtype) for t in outputs}


def views(backend: Backend, buffers: Mapping[str, Buffer], start: int, stop: int) -> dict[str, Buffer]:
    """Frames [start, stop) of each."""
    return {name: backend.view(buffer, start, stop) for name, buffer in buffers.items()}


class Fetched:
    """Outputs of one call, by name, on their way to the host."""

    def __init__(self, backend: Backend, buffers: Mapping[str, Buffer]) -> None:
        self._coming = {name: backend.fetch(buffer) for name, buffer in buffers.items()}

    def wait(self) -> Arrays:
        """The arrays, which are the caller's, once they have arrived."""
        return {name: pending.wait() for name, pending in self._coming.items()}


def each(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Frames one by one, each in memory of its own: what was fetched may be pinned, and nobody knows how long a frame
    is kept."""
    return (frame.copy() for frame in pixels)


def require_finite_frames(sums: np.ndarray, what: str) -> None:
    """Raises NonFiniteError that says `what` and how many of its frames are not to be shown."""
    if not is_finite(sums):
        bad = int(sums.size - np.isfinite(sums).sum())
        raise NonFiniteError(
            f"{what}: {bad} of {sums.size} frames hold values that are NaN or infinite, all must be finite; "
            "if the bundle is fp16, build it with --precision fp32"
        )


def to_uint8(frame: np.ndarray) -> np.ndarray:
    """A raw decoder frame (3, H, W) as (H, W, 3) uint8 RGB: truncated, not rounded, as released.

    For frames that come from elsewhere than a decoder's graph, and to hold a graph's pixels against.
    """
    unit = np.clip(frame * np.float32(0.5) + np.float32(0.5), 0, 1)
    return np.ascontiguousarray((unit * np.float32(255)).astype(np.uint8).transpose(1, 2, 0))
