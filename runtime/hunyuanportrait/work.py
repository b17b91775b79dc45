"""What a clip or a stream is, as calls of graphs and pieces of the host's work: beside the loops that make the calls.

And what the released program would do for the same clip, in FLOPs. A graph's record in the bundle knows those of one
call with its run-time sizes at 1 (a row, a frame, a step), one multiply-add as 2. The released program runs three rows
where the guidance plan may run two, decodes padding too, and projects the motion context at every pixel. Its pose
guider, which we fold into a constant, is not counted: well under 1 %.

Source: SPEC 8 for what the released program runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from runtime.decode import chunks
from runtime.hunyuanportrait.guidance import Row
from runtime.hunyuanportrait.presets import CONTEXT
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.wave import Wave, layouts_of, windows_run
from runtime.live_windows import LiveWindows
from runtime.work import Call, Work

Flops = Mapping[str, Mapping[str, Any]]  # graph -> its record's flops


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A clip as numbers of calls."""

    frames: int  # N, the driving video's
    padded: int  # T
    windows: int  # a step
    run: tuple[int, ...]  # windows really run, step by step: not those of padding alone
    rows: tuple[int, ...]  # really run, step by step
    decoded: int  # frames of the chunks that hold any of the N

    @classmethod
    def of(cls, frames: int, sampling: Sampling) -> Counted:
        """In the released order, with a decoder that looks both ways."""
        padded = frames + 2 * sampling.pad_frames
        parts = chunks(padded, chunk=sampling.decode_chunk, pad_frames=sampling.pad_frames)
        layouts = layouts_of(sampling, padded)
        return cls(
            frames=frames,
            padded=padded,
            windows=len(layouts[0]),
            run=tuple(windows_run(layouts, range(parts[0].start, parts[-1].stop))),
            rows=tuple(len(step.rows) for step in sampling.guidance()),
            decoded=sum(part.stop - part.start for part in parts),
        )


def released_flops(clip: Counted, flops: Flops) -> dict[str, int]:
    """FLOPs of the released program for a clip, by stage. Its stitching is a running sum: none."""
    row = flops["denoiser"].get("released", flops["denoiser"]["call"])  # time embeddings included
    return {
        "portrait": flops["appearance"]["call"] + 2 * flops["vae_encoder"]["call"],
        "motion": clip.frames * flops["motion"]["call"],
        "denoise": len(Row) * clip.windows * len(clip.rows) * row,
        "stitch": 0,
        "decode": clip.padded * flops["vae_decoder"]["call"],
    }


def clip_work(
    frames: int,
    sampling: Sampling,
    *,
    denoiser: str = "denoiser",
    inner: str | None = None,
    decoder: str = "vae_decoder",
) -> Work:
    """A wave of windows, behind which frames are decoded. `frames`: of the driving video.

    `inner`: what makes deep features on some steps only; `denoiser` goes on from there on all of them.
    """
    clip = Counted.of(frames, sampling)
    parts = chunks(clip.padded, chunk=sampling.decode_chunk, pad_frames=sampling.pad_frames, context=CONTEXT[decoder])
    lengths = Counter(part.stop - part.start for part in parts)
    portrait = [Call(graph="appearance", units=1, times=1), Call(graph="vae_encoder", units=1, times=1)]
    if sampling.noise_aug_strength:  # it is encoded once more then, with noise on it
        portrait += [Call(graph="appearance", units=1, times=1), Call(graph="vae_encoder", units=1, times=2)]
    steps = len(clip.rows)
    return Work(
        mode="clip",
        frames=frames,
        steps=steps,
        rows=sum(clip.rows),
        windows=clip.windows,
        window=sampling.window,
        new_frames=frames,
        padded=clip.padded,
        held=held_frames(sampling, clip.padded),
        first=len(Wave(layouts_of(sampling, clip.padded)).needed(range(parts[0].start, parts[0].stop))) / sum(clip.run),
        graphs={
            "portrait": tuple(portrait),
            "motion": _groups(frames, sampling.window),
            "denoise": (
                Call(graph="step_embedding", units=steps, times=1),
                *_evaluations(sampling, denoiser, inner, windows=clip.run, frames=sampling.window),
            ),
            "stitch": (
                # Two velocities for the frames of an overlap, and so for all: a graph has no other for the rest.
                Call(graph="stitch", units=2, times=sum(clip.run), frames=sampling.window, total=2 * sampling.window),
            ),
            "decode": tuple(Call(graph=decoder, units=n, times=times) for n, times in sorted(lengths.items())),
        },
        host={"portrait_crop": 1, "first_face": 1, "read": frames, "crop": frames, "write": frames},
        kept=inner or "",
    )


def live_work(
    frames: int,
    sampling: Sampling,
    cut: LiveWindows,
    *,
    denoiser: str = "live_denoiser",
    inner: str | None = None,
    decoder: str = "tiny_decoder",
) -> Work:
    """Causal windows, one after the other: each ties its first frames to the window before."""
    window, first, new = cut.size, cut.new_frames(0), cut.new_frames(1)
    later = max(-(-(frames - first) // new), 0)
    windows, rows = 1 + later, [len(step.rows) for step in sampling.guidance()]
    steps, context = len(rows), CONTEXT[decoder]
    stitches = steps * windows + (later if cut.overlap else 0)  # every window but the first is joined to the one before
    lengths = Counter({first: 1}) + Counter({new: later})  # what is tied was seen, and shown, before
    decoded = Counter({first: 1}) + Counter({new + context: later})
    return Work(
        mode="live",
        frames=frames,
        steps=steps,
        rows=sum(rows),
        windows=windows,
        window=window,
        new_frames=new,
        padded=window + cut.overlap * (steps + 1),  # a window, and the ring of tied latents, a level each
        graphs={
            "portrait": (Call(graph="appearance", units=1, times=1), Call(graph="vae_encoder", units=1, times=1)),
            "motion": tuple(Call(graph="motion", units=n, times=times) for n, times in sorted(lengths.items())),
            "denoise": (
                Call(graph="step_embedding", units=steps, times=1),
                *_evaluations(sampling, denoiser, inner, windows=(windows,) * steps, frames=window),
            ),
            "stitch": (Call(graph="live_stitch", units=window, times=stitches, frames=window, total=window),),
            "decode": tuple(Call(graph=decoder, units=n, times=times) for n, times in sorted(decoded.items())),
        },
        host={"portrait_crop": 1, "first_face": 1, "read": frames, "crop": frames, "write": frames},
        kept=inner or "",
    )


def _groups(frames: int, size: int) -> tuple[Call, ...]:
    """The driving frames go through the motion networks a window's length at a time; the last group has the rest."""
    whole, rest = divmod(frames, size)
    groups = {size: whole, rest: 1 if rest else 0}
    return tuple(Call(graph="motion", units=n, times=times) for n, times in groups.items() if times)


@lru_cache(maxsize=64)
def held_frames(sampling: Sampling, padded: int) -> int:
    """How many of `padded` frames have begun and not left at one time, at the most: what a clip takes memory by.

    The wave grows until it is as long as all steps make it, and no longer after that: a short clip says it for all.
    """
    stride, chunk = sampling.window - sampling.overlap, sampling.decode_chunk
    # Each step reaches a window further, to both sides; behind that the same comes again every `stride * chunk` frames.
    reach, period = 2 * sampling.window * (sampling.executed_steps + 1), stride * chunk
    frames = padded if padded < reach + 2 * period else reach + (padded - reach) % period + period
    wave, most = Wave(layouts_of(sampling, frames)), 0
    parts = chunks(frames, chunk=chunk, pad_frames=sampling.pad_frames)
    for part in parts:
        if part.start > parts[0].start + 2 * period:
            break
        wave.let_go(parts[0].start, part.start)
        for step, window in wave.needed(range(part.start, part.stop)):
            wave.begin(wave.layouts[step][window])
            wave.run(step, window)
        most = max(most, len(wave.levels))
    return most


def _evaluations(
    sampling: Sampling, denoiser: str, inner: str | None, *, windows: Sequence[int], frames: int
) -> Iterator[Call]:
    """Every window at every step, by its number of rows. `windows`: of each step."""
    steps = sampling.guidance()
    parts = {denoiser: [True] * len(steps)}
    if inner is not None:
        parts[inner] = sampling.fresh()
    for graph, runs in parts.items():
        times: Counter[int] = Counter()
        for step, count, run in zip(steps, windows, runs, strict=True):
            times[len(step.rows)] += count if run else 0
        for rows, count in sorted(times.items()):
            if count:
                yield Call(graph=graph, units=rows, times=count, frames=frames)
