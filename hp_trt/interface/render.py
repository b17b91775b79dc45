"""A clip into files: what `Runtime.animate` does once it knows what to animate, and where to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import Any

from hp_trt.interface.results import Animation, frames_of
from hp_trt.media.portrait import Portrait
from hp_trt.media.video import VideoInfo
from hp_trt.media.video_writer import VideoWriter
from hp_trt.model import Clip
from hp_trt.resume.loop_state import LoopState
from hp_trt.resume.resumable_video import ResumableVideo, Track
from hp_trt.resume.store import Mode
from runtime.stages import Stages

RATE = Fraction(25)  # frames a second of portraits that speak


def render_whole(
    make: Callable[[], Clip],
    portrait: Portrait,
    *,
    out: Path,
    crop_out: Path | None,
    side_px: int,
    driving: VideoInfo,
    quick: bool,
    stages: Stages,
) -> Animation:
    """A clip that a video drives, with the video's times and sound: complete under its name, or not there at all.

    `make` begins the clip: after the files are open, because a folder that cannot be written is told before the long
    work. `quick`: for frames that come as fast as an encoder can be (`VideoWriter`). Raises OutputError, and what the
    clip raises.
    """
    height, width = portrait.image.shape[:2]
    with ExitStack() as files:
        full = files.enter_context(VideoWriter(out, width=width, height=height, driving=driving, quick=quick))
        crop = None
        if crop_out is not None:
            crop = files.enter_context(
                VideoWriter(crop_out, width=side_px, height=side_px, driving=driving, quick=quick)
            )
        clip = make()
        # Closed first, whatever fails: a live session's threads work until then.
        made = files.enter_context(closing(frames_of(clip, portrait)))
        for frame in made:
            with stages.unit("write"):
                full.write(frame.full(), frame.time_s)
                if crop is not None:
                    crop.write(frame.crop, frame.time_s)
        with stages.unit("finish"):  # the encoder holds frames back until then, and the sound comes last
            full.finish()
            if crop is not None:
                crop.finish()
            files.close()  # both are complete: now they get their names
    return Animation(
        out=out,
        crop_out=crop_out,
        frames=full.frames,
        rate=driving.rate,
        rate_varies=driving.rate_varies,
        notes=(*portrait.notes, *clip.notes(), *full.notes),
        stages=stages,
    )


def render_resumable(
    begin: Callable[[LoopState | None], Clip],
    portrait: Portrait,
    *,
    out: Path,
    crop_out: Path | None,
    side_px: int,
    sound: Path | None,
    inputs: Mapping[str, Path | str | None],
    facts: Mapping[str, Any],
    resume: Mode,
    stages: Stages,
) -> Animation:
    """A clip that speech drives, in chunks that are kept in the folder OUT.resume until all of it is there.

    `begin` takes the state behind the last whole chunk of a run that is gone on with, None for a new one. `facts`
    decide the frames: a run of others is not gone on with. `inputs`: what is read, by what a message calls it. Raises
    OutputError, InputError, and what the clip raises.
    """
    height, width = portrait.image.shape[:2]
    tracks = {"out": Track(path=out, width=width, height=height)}
    if crop_out is not None:
        tracks["crop"] = Track(path=crop_out, width=side_px, height=side_px)
    with ResumableVideo(tracks, facts=facts, mode=resume, rate=RATE, sound=sound, inputs=inputs) as video:
        clip = begin(video.state)
        with closing(frames_of(clip, portrait)) as made:
            for frame in made:
                with stages.unit("write"):
                    video.write({"out": frame.full()} | ({} if crop_out is None else {"crop": frame.crop}))
                    if (state := clip.state()) is not None:
                        video.close_chunk(state)
        frames = video.frames
        with stages.unit("finish"):
            video.finish(begins_s=clip.begins_s)
    return Animation(
        out=out,
        crop_out=crop_out,
        frames=frames,
        rate=RATE,
        notes=(*portrait.notes, *clip.notes(), *video.notes),
        stages=stages,
    )
