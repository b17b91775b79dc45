"""What a profile does for a clip, as calls of graphs and pieces of the host's work.

`profile_work` and the two below it are all that knows how the loop goes: windows, rows, chunks. No device, no time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from hp_trt.profiles import Profile
from runtime.arithmetic import Clip
from runtime.decode import CONTEXT, chunks
from runtime.live import LiveWindows
from runtime.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class Call:
    """A graph called `times` times with the same sizes."""

    graph: str
    units: int  # the rows, frames or steps of one call; windows of a stitch
    times: int
    frames: int = 0  # of a window, where windows go in
    total: int = 0  # of a stitch: frames that come out


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that is done for `frames` driving frames, in the order in which a clip goes through its stages."""

    mode: Literal["clip", "live"]
    frames: int  # N
    steps: int
    rows: int  # of all steps of one window together
    windows: int  # clip: of a step; live: of all frames
    window: int  # F
    new_frames: int  # that leave with a window; clip: all of them at once
    padded: int  # frames whose tokens and latents are held at one time
    graphs: Mapping[str, tuple[Call, ...]]  # by stage
    host: Mapping[str, int] = field(default_factory=dict)  # pieces by stage

    @property
    def row_forwards(self) -> int:
        """Denoiser rows, all steps and windows together."""
        calls = [call for call in self.graphs["denoise"] if "denoiser" in call.graph and call.graph != "denoiser_inner"]
        return sum(call.units * call.times for call in calls)


def profile_work(profile: Profile, own: Sampling, frames: int, *, steps: int | None = None) -> Work:
    """`own`: the sampling of the bundle or preset, which the profile overrides, and `steps` both.

    `frames`: of the driving video, or those of a stream that are looked at.
    """
    sampling = replace(own, **profile.sampling)
    if steps is not None:
        sampling = replace(sampling, steps=steps, skip_last=min(sampling.skip_last, steps - 1))
    graphs = {role: profile.roles[role] for role in ("denoiser", "inner", "decoder") if role in profile.roles}
    if profile.windows is None:
        return clip_work(frames, sampling, **graphs)
    return live_work(frames, sampling, profile.windows, **graphs)


def clip_work(
    frames: int,
    sampling: Sampling,
    *,
    denoiser: str = "denoiser",
    inner: str | None = None,
    decoder: str = "vae_decoder",
) -> Work:
    """The released order: all windows advance together, then all frames are decoded. `frames`: of the driving video.

    `inner`: what makes deep features on some steps only; `denoiser` goes on from there on all of them.
    """
    clip = Clip.of(frames, sampling)
    context = CONTEXT.get(decoder, 0)
    parts = chunks(clip.padded, chunk=sampling.decode_chunk, pad_frames=sampling.pad_frames, context=context)
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
        graphs={
            "portrait": tuple(portrait),
            "motion": _groups(frames, sampling.window),
            "denoise": (
                Call(graph="step_embedding", units=steps, times=1),
                *_evaluations(sampling, denoiser, inner, windows=clip.windows, frames=sampling.window),
            ),
            "stitch": (
                Call(graph="stitch", units=clip.windows, times=steps, frames=sampling.window, total=clip.padded),
            ),
            "decode": tuple(Call(graph=decoder, units=n, times=times) for n, times in sorted(lengths.items())),
        },
        host={"portrait_crop": 1, "first_face": 1, "read": frames, "crop": frames, "write": frames},
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
    steps, context = len(rows), CONTEXT.get(decoder, 0)
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
                *_evaluations(sampling, denoiser, inner, windows=windows, frames=window),
            ),
            "stitch": (Call(graph="live_stitch", units=1, times=stitches, frames=window, total=window),),
            "decode": tuple(Call(graph=decoder, units=n, times=times) for n, times in sorted(decoded.items())),
        },
        host={"portrait_crop": 1, "first_face": 1, "read": frames, "crop": frames, "write": frames},
    )


def _groups(frames: int, size: int) -> tuple[Call, ...]:
    """The driving frames go through the motion networks a window's length at a time; the last group has the rest."""
    whole, rest = divmod(frames, size)
    groups = {size: whole, rest: 1 if rest else 0}
    return tuple(Call(graph="motion", units=n, times=times) for n, times in groups.items() if times)


def _evaluations(sampling: Sampling, denoiser: str, inner: str | None, *, windows: int, frames: int) -> Iterator[Call]:
    """Every window at every step, by its number of rows."""
    rows = [len(step.rows) for step in sampling.guidance()]
    parts = {denoiser: rows}
    if inner is not None:
        parts[inner] = [count for count, fresh in zip(rows, sampling.fresh(), strict=True) if fresh]
    for graph, counts in parts.items():
        for count, times in sorted(Counter(counts).items()):
            yield Call(graph=graph, units=count, times=times * windows, frames=frames)
