"""Frames in, larger frames with restored faces out: four stages that run beside each other.

    read, detect  ->  windows, restore  ->  upscale  ->  paste

Each stage is a generator, and each but the last runs in a thread of its own (`hp_trt.enhancer.beside`). Between them a
few frames wait: as many as let a window be restored while the one before is enlarged, where they are small, and two of
large ones. So memory is that of two windows of frames and of four results, whatever the length.

By default what the released program loses is kept: the last frame, the size of videos below 512 pixels, the face of
the best score, frames without a face. `released` imitates it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from engines.errors import FaceNotFound
from hp_trt.enhancer.alignment import aligned, alignment
from hp_trt.enhancer.beside import ahead
from hp_trt.enhancer.followed import (
    FollowedFace,
    large_enough,
    released_choice,
    released_large_enough,
)
from hp_trt.enhancer.grey import greyed, is_grey
from hp_trt.enhancer.networks import Networks, lanczos
from hp_trt.enhancer.paste import paste
from runtime.enhancer.detector import FoundFace
from runtime.enhancer.presets import FACE_PX, WINDOW
from runtime.enhancer.windows import OVERLAP, Window, goes_on_at, windows
from runtime.stages import Stages

SCALES = (2, 4, 8)
_WAITING_BYTES = 128 << 20  # of frames between two stages, above which two alone wait
_FEW, _MANY = 2, WINDOW - OVERLAP
STAGES = ("read", "detect", "restore", "upscale", "paste")

Timed = tuple[np.ndarray, Fraction | None]  # (H, W, 3) uint8 RGB, and its time


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is made of each frame. `hp_trt.enhancer.enhancer` has checked it."""

    scale: int  # one of SCALES
    face_upsample: bool = False  # the face is enlarged by the upscaler too, not by the warp
    fidelity: float = 0.5  # in [0, 1]
    released: bool = False


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A frame, and the faces in it."""

    index: int
    image: np.ndarray
    time_s: Fraction | None
    faces: tuple[FoundFace, ...]  # that are large enough, the highest score first
    chosen: FoundFace | None  # of them, by `FollowedFace`
    before: np.ndarray  # its state before this frame


@dataclass(frozen=True, kw_only=True)
class Resting:
    """Between two windows, what a run is gone on with from."""

    done: int  # frames that have results
    followed: np.ndarray  # of the first frame that the next window sees (`FollowedFace.state`)

    @classmethod
    def first(cls) -> Resting:
        """Before the first frame."""
        return cls(done=0, followed=np.zeros(0))


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A frame, and its face as it was restored."""

    seen: Seen
    matrix: np.ndarray | None = None  # from the frame to the aligned face; None: no face is restored
    face: np.ndarray | None = None  # (512, 512, 3)
    after: Resting | None = None


@dataclass(frozen=True, kw_only=True)
class EnhancedFrame:
    """One frame of the result."""

    index: int  # from 0
    time_s: Fraction | None  # on the video's own clock; None of arrays
    image: np.ndarray  # (sH, sW, 3) uint8 RGB; yours to keep
    has_face: bool  # whether a face was restored in it
    after: Resting | None = field(default=None, repr=False)  # at the end of a window


def enhanced(
    frames: Callable[[int], Iterator[Timed]],
    networks: Networks,
    wanted: Wanted,
    *,
    stages: Stages,
    start: Resting | None = None,
    frame_bytes: int,
) -> Generator[EnhancedFrame, None, None]:
    """The frames of a video, larger. `frames(n)` gives those from number n on; `start`: where a run goes on.

    `frame_bytes`: of a frame that goes in, for how many may wait. Closing the generator ends its threads. Raises what
    `frames` raises, NonFiniteError, FaceNotFound where `wanted.released` and no face is in a window's first frame.
    """
    start = start or Resting.first()
    waiting = waiting_frames(frame_bytes)
    seen = ahead(_seen(frames, networks, wanted, start, stages), waiting, "enhance-detect")
    restored = ahead(_restored(seen, networks, wanted, start, stages), waiting, "enhance-restore")
    upscaled = ahead(_upscaled(restored, networks, wanted, stages), 1, "enhance-upscale")
    with closing(upscaled):
        for made in upscaled:
            with stages.unit("paste"):
                frame = _pasted(made, wanted)
            del made
            yield frame
            del frame


def waiting_frames(frame_bytes: int) -> int:
    """How many frames of that size may wait between two stages."""
    return _MANY if frame_bytes * _MANY <= _WAITING_BYTES else _FEW


def _seen(
    frames: Callable[[int], Iterator[Timed]], networks: Networks, wanted: Wanted, start: Resting, stages: Stages
) -> Generator[Seen, None, None]:
    first = goes_on_at(start.done)
    followed = FollowedFace(start.followed)
    given = frames(first)
    for index, (image, time_s) in enumerate(_all_but_last(given) if wanted.released else given, first):
        before = followed.state
        faces: list[FoundFace] = []
        if networks.restores:
            with stages.unit("detect"):
                found = networks.detect(_at_least_512(image) if wanted.released else image)
            is_large = released_large_enough if wanted.released else large_enough
            faces = [face for face in found if is_large(face)]
        yield Seen(
            index=index,
            image=image,
            time_s=time_s,
            faces=tuple(faces),
            chosen=followed.choose(faces),
            before=before,
        )
        del image


def _restored(
    seen: Generator[Seen, None, None], networks: Networks, wanted: Wanted, start: Resting, stages: Stages
) -> Generator[Restored, None, None]:
    with closing(seen):
        for window in windows(seen, done=start.done):
            kept = len(window.items) - window.first_kept
            with stages.unit("restore", kept) if networks.restores else nullcontext():
                made = _restored_window(window, networks, wanted)
            behind = max(window.end - OVERLAP, window.start)
            resting = Resting(done=window.end, followed=window.items[behind - window.start].before)
            del window
            made[-1] = replace(made[-1], after=resting)
            while made:
                yield made.pop(0)


def _restored_window(window: Window[Seen], networks: Networks, wanted: Wanted) -> list[Restored]:
    """The results that are kept, in order."""
    kept = window.items[window.first_kept :]
    if not networks.restores:
        return [Restored(seen=one) for one in kept]
    chosen = [one.chosen for one in window.items]
    if wanted.released:
        chosen = released_choice([one.faces for one in window.items])
        if chosen[0] is None:
            raise FaceNotFound(
                f"frame {window.start} shows no face, of which the released program makes no window; leave released out"
            )
    matrices = [None if face is None else alignment(face.points) for face in chosen]
    pictures = [_at_least_512(one.image) if wanted.released else one.image for one in window.items]
    crops = {
        place: aligned(picture, matrix)
        for place, (picture, matrix) in enumerate(zip(pictures, matrices, strict=True))
        if matrix is not None
    }
    faces = dict(zip(crops, networks.restore(list(crops.values()), wanted.fidelity), strict=True))
    grey = is_grey(pictures[-1]) if wanted.released else None
    for place in faces:
        if is_grey(pictures[place]) if grey is None else grey:
            faces[place] = greyed(faces[place], crops[place])
    return [
        Restored(seen=one, matrix=matrices[place] if place in faces else None, face=faces.get(place))
        for place, one in enumerate(window.items)
        if place >= window.first_kept
    ]


@dataclass(kw_only=True)
class _Upscaled:
    """A frame at its new size, and what is pasted into it."""

    restored: Restored
    background: np.ndarray
    face: np.ndarray | None = None
    labels: np.ndarray | None = None


def _upscaled(
    restored: Generator[Restored, None, None], networks: Networks, wanted: Wanted, stages: Stages
) -> Generator[_Upscaled, None, None]:
    import cv2

    with closing(restored):
        for one in restored:
            with stages.unit("upscale"):
                made = _Upscaled(restored=one, background=_background(one.seen.image, networks, wanted))
                if one.face is not None:
                    made.face = networks.enlarge(one.face, wanted.scale) if wanted.face_upsample else one.face
                    parsed = made.face
                    if parsed.shape[0] != FACE_PX:
                        parsed = np.asarray(cv2.resize(parsed, (FACE_PX, FACE_PX), interpolation=cv2.INTER_LINEAR))
                    made.labels = networks.labels(parsed)
            yield made
            del made


def _background(image: np.ndarray, networks: Networks, wanted: Wanted) -> np.ndarray:
    enlarged = networks.enlarge(image, wanted.scale)
    if not wanted.released:
        return enlarged
    height, width = _at_least_512(image).shape[:2]
    return lanczos(enlarged, width * wanted.scale, height * wanted.scale)


def _pasted(made: _Upscaled, wanted: Wanted) -> EnhancedFrame:
    one, seen = made.restored, made.restored.seen
    image = made.background
    if made.face is not None and made.labels is not None and one.matrix is not None:
        upsampled = wanted.face_upsample
        image = paste(image, made.face, one.matrix, made.labels, scale=wanted.scale, upsampled=upsampled)
    return EnhancedFrame(
        index=seen.index, time_s=seen.time_s, image=image, has_face=made.face is not None, after=one.after
    )


def result_size(width: int, height: int, *, scale: int, released: bool) -> tuple[int, int]:
    """Width and height of the result of frames of that size."""
    if released:
        width, height = _released_size(width, height)
    return width * scale, height * scale


def _released_size(width: int, height: int) -> tuple[int, int]:
    """The shorter side is at least that of an aligned face."""
    factor = max(1.0, FACE_PX / min(width, height))
    return round(width * factor), round(height * factor)


def _at_least_512(image: np.ndarray) -> np.ndarray:
    import cv2

    height, width = image.shape[:2]
    size = _released_size(width, height)
    return image if size == (width, height) else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))


def _all_but_last(frames: Iterable[Timed]) -> Iterator[Timed]:
    held: Timed | None = None
    for frame in frames:
        if held is not None:
            yield held
        held = frame
