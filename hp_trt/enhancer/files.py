"""An enhanced video as a file: chunk by chunk beside the result, until all of it is there."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.enhancer.followed import is_state
from hp_trt.enhancer.networks import Networks
from hp_trt.enhancer.pipeline import Resting, Wanted, enhanced, result_size
from hp_trt.enhancer.source import VideoSource
from hp_trt.enhancer.terms import licence_of
from hp_trt.interface.sealing import bundle_facts, file_input, versions_here
from hp_trt.media.seal import Seal
from hp_trt.media.video import VideoReader
from hp_trt.provenance.run_seal import Prepared, RunSeal
from hp_trt.provenance.sidecar import Input, Origin
from hp_trt.resume.loop_state import LoopState
from hp_trt.resume.resumable_video import ResumableVideo, Track, store_of
from hp_trt.resume.store import Mode, facts_there
from runtime.stages import Stages

# A chunk is as many windows: x264 holds back the frames of one, and a kill loses them.
_LARGE_PIXELS = 2048 * 2048
_WINDOWS = 4
_LOOKED_AT = 100  # frames of the video, for a mark


@dataclass(frozen=True, kw_only=True)
class Enhanced:
    """What `Enhancer.enhance` did."""

    out: Path
    frames: int
    faces: int  # frames in which a face was restored
    width: int
    height: int
    rate: Fraction  # frames per second of the video: the mean where `rate_varies`
    rate_varies: bool
    notes: tuple[str, ...]
    stages: Stages = field(repr=False)
    seal: Seal | None = field(default=None, repr=False)


def render(
    source: VideoSource,
    networks: Networks,
    wanted: Wanted,
    *,
    out: Path,
    facts: Mapping[str, Any],
    inputs: Mapping[str, Path | str | None],
    resume: Mode,
    seal: RunSeal | None,
    stages: Stages,
) -> Enhanced:
    """Write `out`. `facts` decide its frames: a run of others is not gone on with. Raises as `Enhancer.enhance`."""
    info = source.info
    width, height = result_size(info.width, info.height, scale=wanted.scale, released=wanted.released)
    if seal is not None:
        if resume == "resume":
            seal.go_on(facts_there(store_of(out)))
        facts = {**facts, **seal.facts}
    with ResumableVideo(
        {"out": Track(path=out, width=width, height=height)},
        facts=facts,
        mode=resume,
        rate=info.rate,
        sound=info.path if info.has_sound else None,
        inputs=inputs,
        seal=seal,
    ) as video:
        start, faces = _resting(video.state)
        stages.begin("upscale", None if source.total is None else source.total - start.done)
        bytes_each = info.width * info.height * 3
        made = enhanced(source.frames, networks, wanted, stages=stages, start=start, frame_bytes=bytes_each)
        last: Resting | None = None
        whole = 0  # windows since the last chunk
        with closing(made):
            for frame in made:
                faces += frame.has_face
                with stages.unit("write"):
                    video.write({"out": frame.image})
                    if (last := frame.after) is not None:
                        whole += 1
                    if last is not None and whole == windows_of_chunk(width, height):
                        video.close_chunk(_state(last, faces))
                        whole = 0
        if whole:
            assert last is not None, "the last frame ends a window"
            video.close_chunk(_state(last, faces))
        source.check_unchanged()
        if not video.frames:
            raise InputError(
                f"{source.name} has one frame, and the released program loses the last one; leave released out"
            )
        notes = _notes(source, networks, video.frames, faces)
        frames = video.frames
        if seal is not None:
            before = seal.told
            seal.told = lambda: (*before(), *notes)
        with stages.unit("finish"):
            video.finish(begins_s=source.begins_s, ticks=source.ticks)
    return Enhanced(
        out=out,
        frames=frames,
        faces=faces,
        width=width,
        height=height,
        rate=info.rate,
        rate_varies=info.rate_varies,
        notes=(*notes, *video.notes, *([] if seal is None else seal.notes_of([out]))),
        stages=stages,
        seal=seal,
    )


def windows_of_chunk(width: int, height: int) -> int:
    """How many windows a chunk of a result of that size has."""
    return 1 if width * height > _LARGE_PIXELS else _WINDOWS


def seal_of(
    prepared: Prepared | None,
    bundle: Bundle,
    roles: Sequence[str],
    video: Path,
    options: Mapping[str, Any],
    notes: Sequence[str],
) -> RunSeal | None:
    """The seal of a run that enhances `video`; None where none is asked for. `notes`: what is told of the bundle."""
    if prepared is None:
        return None
    hidden = tuple({str(path) for given in (bundle.path, video) for path in (given, given.absolute())})
    seal = prepared.seal(origin_of(bundle, roles, file_input(video), options, hidden=hidden))
    seal.told = lambda: notes
    return seal


def origin_of(
    bundle: Bundle, roles: Sequence[str], video: Input, options: Mapping[str, Any], *, hidden: tuple[str, ...] = ()
) -> Origin:
    """What sidecars say of a run that enhances `video`. Of the bundle only the manifest is looked at. `options`: as
    `Options.facts` gives them; `hidden`: paths that no text may tell."""
    return Origin(
        version=str(import_module("hp_trt").__version__),  # which imports us
        inputs={"video": video},
        driver="video",
        bundle=bundle_facts(bundle, licence_of(bundle.manifest, roles), hidden),
        profile="enhance",
        sampling=dict(options),
        versions={"python": platform.python_version(), **versions_here()},
        locator="retinaface" if "detector" in roles else "",
        hidden=hidden,
    )


def keeping_mark(prepared: Prepared | None, video: Path) -> Prepared | None:
    """With the id of the mark that `video` carries, where another was not asked for.

    The old mark comes through the enlargement, and two of different ids hide each other. Raises InputError.
    """
    if prepared is None or not prepared.asked.mark or prepared.asked.mark_id is not None:
        return prepared
    found = mark_of(video)
    return prepared if found is None else replace(prepared, asked=replace(prepared.asked, mark_id=found))


def mark_of(video: Path) -> int | None:
    """The id of the mark that a video carries, by its first frames; None: none is found. Raises InputError."""
    from hp_trt.provenance.mark import InvisibleMarkFinder

    return InvisibleMarkFinder().find(islice(VideoReader(video), _LOOKED_AT)).payload


def _state(resting: Resting, faces: int) -> LoopState:
    return LoopState(arrays={"followed": resting.followed}, numbers={"done": resting.done, "faces": faces})


def _resting(state: LoopState | None) -> tuple[Resting, int]:
    """Where a run goes on, and in how many frames faces were restored. Raises InputError for another model's state."""
    if state is None:
        return Resting.first(), 0
    if set(state.arrays) != {"followed"} or set(state.numbers) != {"done", "faces"}:
        raise InputError(
            f"the unfinished run has a state of {', '.join((*state.arrays, *state.numbers))}, an enhancement goes on "
            "from followed, done, faces; begin anew with --restart"
        )
    followed = state.arrays["followed"]
    if not is_state(followed):
        raise InputError("the unfinished run follows a face that is none; begin anew with --restart")
    return Resting(done=int(state.numbers["done"]), followed=followed), int(state.numbers["faces"])


def _notes(source: VideoSource, networks: Networks, frames: int, faces: int) -> list[str]:
    notes = list(source.notes)
    if networks.restores and not faces:
        notes.append(f"no face was found in {source.name}: its pictures are enlarged, nothing is restored")
    elif networks.restores and faces < frames:
        notes.append(f"{frames - faces} of {frames} frames show no face to restore: they are enlarged alone")
    return notes
