"""A clip into files: what `Runtime.animate` does once it knows what to animate, and where to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import Any

from engines.errors import InputError
from hp_trt.faces.lost import FaceWatch
from hp_trt.interface.results import Animation, frames_of
from hp_trt.media.portrait import Portrait
from hp_trt.media.video import VideoInfo
from hp_trt.media.video_writer import Ticks, VideoWriter
from hp_trt.model import Clip
from hp_trt.provenance.run_seal import RunSeal
from hp_trt.resume.loop_state import LoopState
from hp_trt.resume.resumable_video import ResumableVideo, Track, store_of
from hp_trt.resume.store import Mode, facts_there
from runtime.stages import Stages

RATE = Fraction(25)  # frames a second of portraits that speak


def render_driven(
    make: Callable[..., Clip],
    portrait: Portrait,
    *,
    resume: Mode,
    facts: Callable[[], Mapping[str, Any]],
    inputs: Mapping[str, Path | str | None],
    driving: VideoInfo,
    out: Path,
    quick: bool,
    nvenc: int | None = None,
    **where: Any,
) -> Animation:
    """A clip that a video drives: in one piece, or, with "resume" and "restart", in chunks that are kept.

    `make` takes `keeps` and `state` of `hp_trt.model.Driving`. `quick` and `nvenc` are for one piece, not for chunks.
    Raises InputError for a new one beside an unfinished one, and what `render_whole` and `render_resumable` raise.
    """
    if resume != "new":
        return render_resumable(
            lambda state: make(keeps=True, state=state),
            portrait,
            facts=facts(),
            resume=resume,
            inputs=inputs,
            driving=driving,
            out=out,
            **where,
        )
    if (store := store_of(out)).joinpath("facts.json").is_file():
        raise InputError(
            f"{store}/ holds an unfinished run; go on with --resume, begin anew with --restart, or give the result "
            "another name"
        )
    return render_whole(make, portrait, driving=driving, out=out, quick=quick, nvenc=nvenc, **where)


def render_whole(
    make: Callable[[], Clip],
    portrait: Portrait,
    *,
    out: Path,
    crop_out: Path | None,
    side_px: int,
    driving: VideoInfo,
    quick: bool,
    nvenc: int | None = None,
    stages: Stages,
    seal: RunSeal | None = None,
) -> Animation:
    """A clip that a video drives, with the video's times and sound: complete under its name, or not there at all.

    `make` begins the clip: after the files are open, because a folder that cannot be written is told before the long
    work. `quick`: for frames that come as fast as an encoder can be, `nvenc`: the GPU that encodes, as `VideoWriter`
    has them. `seal`: what the files carry. Raises OutputError, InputError for a GPU that does not encode such frames,
    and what the clip raises.
    """
    height, width = portrait.image.shape[:2]
    alike: dict[str, Any] = {"driving": driving, "quick": quick, "seal": seal, "nvenc": nvenc}
    with ExitStack() as files:
        full = files.enter_context(VideoWriter(out, width=width, height=height, **alike))
        crop = None
        if crop_out is not None:
            crop = files.enter_context(VideoWriter(crop_out, width=side_px, height=side_px, **alike))
        clip, watch = make(), FaceWatch(portrait.square)
        # Closed first, whatever fails: a live session's threads work until then.
        made = files.enter_context(closing(frames_of(clip, portrait)))
        for frame in made:
            with stages.unit("write"):
                full.write(frame.full(), frame.time_s)
                if crop is not None:
                    crop.write(frame.crop, frame.time_s)
                watch.see(frame.crop)
        with stages.unit("finish"):  # the encoder holds frames back until then, and the sound comes last
            seen = watch.notes()
            _tell(seal, clip, seen)
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
        notes=_once(portrait.notes, clip.notes(), seen, full.notes, _left_out(seal, out, crop_out)),
        stages=stages,
        seal=seal,
    )


def render_resumable(
    begin: Callable[[LoopState | None], Clip],
    portrait: Portrait,
    *,
    out: Path,
    crop_out: Path | None,
    side_px: int,
    sound: Path | None = None,
    driving: VideoInfo | None = None,
    inputs: Mapping[str, Path | str | None],
    facts: Mapping[str, Any],
    resume: Mode,
    stages: Stages,
    seal: RunSeal | None = None,
) -> Animation:
    """A clip, in chunks that are kept in the folder OUT.resume until all of it is there.

    `begin` takes the state behind the last whole chunk of a run that is gone on with, None for a new one. `facts`
    decide the frames: a run of others is not gone on with. `inputs`: what is read, by what a message calls it.
    `driving`: the video that drives it, whose times and sound the result has; None: it has 25 frames a second, and the
    sound of the file `sound`. `seal`: what the files carry; a run that is gone on with keeps its mark's id. Raises
    OutputError, InputError, and what the clip raises.
    """
    rate = driving.rate if driving else RATE
    sound = driving.path if driving and driving.has_sound else sound
    height, width = portrait.image.shape[:2]
    tracks = {"out": Track(path=out, width=width, height=height)}
    if crop_out is not None:
        tracks["crop"] = Track(path=crop_out, width=side_px, height=side_px)
    if seal is not None:
        if resume == "resume":
            seal.go_on(facts_there(store_of(out)))
        facts = {**facts, **seal.facts}
    with ResumableVideo(tracks, facts=facts, mode=resume, rate=rate, sound=sound, inputs=inputs, seal=seal) as video:
        clip, watch = begin(video.state), FaceWatch(portrait.square)
        with closing(frames_of(clip, portrait)) as made:
            for frame in made:
                with stages.unit("write"):
                    video.write({"out": frame.full()} | ({} if crop_out is None else {"crop": frame.crop}))
                    watch.see(frame.crop)
                    if (state := clip.state()) is not None:
                        video.close_chunk(state)
        frames = video.frames
        with stages.unit("finish"):
            seen = watch.notes()
            _tell(seal, clip, seen)
            clock = Ticks(rate, driving.time_base) if driving else None
            ticks = [clock.at(time_s) for time_s in clip.times] if clock and clip.times else None
            video.finish(begins_s=clip.begins_s, ticks=ticks)
    return Animation(
        out=out,
        crop_out=crop_out,
        frames=frames,
        rate=rate,
        rate_varies=driving is not None and driving.rate_varies,
        notes=_once(portrait.notes, clip.notes(), seen, video.notes, _left_out(seal, out, crop_out)),
        stages=stages,
        seal=seal,
    )


def _tell(seal: RunSeal | None, clip: Clip, seen: Sequence[str]) -> None:
    """What the clip has to say, and what was `seen` of its frames, stands in the sidecars too."""
    if seal is not None:
        before = seal.told
        seal.told = lambda: (*before(), *clip.notes(), *seen)


def _once(*notes: Sequence[str]) -> tuple[str, ...]:
    """Each note once: a live session tells those of its portrait too."""
    return tuple(dict.fromkeys(note for some in notes for note in some))


def _left_out(seal: RunSeal | None, *files: Path | None) -> list[str]:
    return [] if seal is None else seal.notes_of(files)
