"""From latents to pixels, a chunk at a time, handed on as they come.

Chunks are counted from frame 0 of the padded sequence, because the decoder's convolutions through time see zeros
beyond a chunk's ends: other chunks would be other frames. A chunk that holds only padding is not decoded.

A causal decoder looks back over the `context` frames that its graph promises, and never ahead. Each of its chunks
begins with so many frames whose pictures are thrown away, and the rest are what the whole clip at once would give,
wherever chunks begin.

A decoder's graph gives of f frames

    frames (f, 3, H, W) float32   raw, about [-1, 1], not clamped
    pixels (f, H, W, 3) uint8     what is shown of them, RGB: `to_uint8`, done in the graph with the same bits
    sums   (f,) float32           of each frame the sum of its absolute values

and the host fetches pixels and sums, a quarter of the bytes. A NaN has no level, so its pixel is an arbitrary one; but
no sum is finite that a NaN or an infinity is in, so the sums say which frames may be shown. They refuse finite frames
too whose absolute values add up to more than 3.4e38: of a decoder that is off by thirty orders of magnitude.

Source: SPEC 6.1 (decode) and 9 (8-bit frames).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import BundleError, InputError
from engines.spec import NetworkSpec
from runtime.finite import require_finite_frames
from runtime.stages import Stages
from runtime.streams import Arrays, Begun, Beside, Fetched, ReadAhead, views

PIXELS = ("pixels", "sums")  # what is wanted of a decoder where only pixels are


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Frames [start, stop) are decoded together; [keep_start, keep_stop) of them are wanted. All of the padded clip."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def chunks(frames: int, *, chunk: int, pad_frames: int, context: int = 0) -> list[Chunk]:
    """The chunks of a padded clip of `frames` = N + 2 `pad_frames` that hold any of its N frames, in order.

    Raises InputError for a chunk that `context` fills.
    """
    if chunk <= context:
        raise InputError(f"this decoder looks back over {context} frames, decode_chunk is {chunk}; raise it above that")
    first, last = pad_frames, frames - pad_frames
    if context:
        starts = range(first, last, chunk - context)
        return [
            Chunk(start=max(s - context, 0), stop=stop, keep_start=s, keep_stop=stop)
            for s, stop in ((s, min(s + chunk - context, last)) for s in starts)
        ]
    every = [(start, min(start + chunk, frames)) for start in range(0, frames, chunk)]
    plan = [
        Chunk(start=start, stop=stop, keep_start=max(start, first), keep_stop=min(stop, last)) for start, stop in every
    ]
    return [c for c in plan if c.keep_start < c.keep_stop]


def decode(
    backend: Backend,
    session: Session,
    latents: Callable[[range], Buffer],
    *,
    frames: int,
    pad_frames: int,
    chunk: int,
    first: int = 0,
    stages: Stages | None = None,
    beside: Beside | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Run a decoder's graph: yield (index, frame) of each of the N frames, index from 0.

    latents: called for each chunk's frames of N + 2 `pad_frames` = `frames`, in order, gives (n, 4, h, w) float32 as
    the loop leaves them. A frame is its pixels, (H, W, 3) uint8 RGB, and the caller's to keep.
    Chunks of frames before `first` alone are left out. Memory does not depend on N. Where the backend works on by
    itself, or calls run `beside` one another, a chunk is decoded while the next one's latents are made and the frames
    of the one before are handed on. Raises NonFiniteError, and what `latents` raises.
    """
    stages, beside = stages or Stages(), beside or Beside()
    limits = session.spec.ranges.get("chunk")
    if limits is not None and chunk > limits.max:
        raise BundleError(
            f"the bundle decodes at most {limits.max} frames at a time, asked for {chunk}; lower decode_chunk"
        )
    plan = chunks(frames, chunk=chunk, pad_frames=pad_frames, context=session.spec.context)
    plan = [part for part in plan if part.keep_stop - pad_frames > first]
    stages.begin("decode", total=sum(part.keep_stop - part.keep_start for part in plan))

    def begin(part: Chunk, slot: int) -> Begun[Arrays]:
        made = latents(range(part.start, part.stop))
        decoded = views(backend, outputs[slot], 0, part.stop - part.start)

        def run() -> None:
            with backend.stream("decode"):
                session.run({"latents": made}, decoded)

        def fetch() -> Fetched:
            stages.ran("decode", running.result(), part.keep_stop - part.keep_start)
            return Fetched(backend, views(backend, decoded, part.keep_start - part.start, part.keep_stop - part.start))

        running = beside.begin(stages.timed(run))
        return fetch() if beside.calls == 1 else _Running(fetch)

    ahead = ReadAhead(backend, plan, begin, calls=beside.calls)
    outputs = [decoder_buffers(backend, session.spec, chunk) for _ in range(ahead.slots)]
    for part in plan:
        begins, ends = part.keep_start - pad_frames, part.keep_stop - pad_frames
        made = ahead.next()
        require_finite_frames(made["sums"], f"{session.spec.name}: frames {begins} to {ends - 1}")
        yield from enumerate(each(made["pixels"]), start=begins)
    stages.end("decode")


@dataclass(frozen=True)
class _Running:
    """A chunk that is being decoded."""

    fetch: Callable[[], Fetched]  # waits for it

    def wait(self) -> Arrays:
        return self.fetch().wait()


def decoder_buffers(
    backend: Backend, spec: NetworkSpec, count: int, wanted: Collection[str] = PIXELS
) -> dict[str, Buffer]:
    """Buffers for these outputs of a decoder's graph, of `count` frames each."""
    outputs = (spec.output(name) for name in wanted)
    return {t.name: backend.empty((count, *(int(n) for n in t.dims[1:])), t.dtype) for t in outputs}


def each(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Frames one by one, each in memory of its own: what was fetched may be pinned, and nobody knows how long a frame
    is kept."""
    return (frame.copy() for frame in pixels)


def to_uint8(frame: np.ndarray) -> np.ndarray:
    """A raw decoder frame (3, H, W) as (H, W, 3) uint8 RGB: truncated, not rounded, as released.

    For frames that come from elsewhere than a decoder's graph, and to hold a graph's pixels against.
    """
    unit = np.clip(frame * np.float32(0.5) + np.float32(0.5), 0, 1)
    return np.ascontiguousarray((unit * np.float32(255)).astype(np.uint8).transpose(1, 2, 0))
