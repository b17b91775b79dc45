"""A clip through a live session: every frame goes in, every frame comes out, as fast as the session can."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from fractions import Fraction

import numpy as np

from engines.errors import FaceNotFound, InputError
from hp_trt.live.pushing import pushing
from hp_trt.live.session import LiveFrame, LiveSession
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.model import Clip
from runtime.stages import Stages

_RATE = 25  # frames a second of arrays, which have no times; nothing is made of it


def animate_clip(
    session: LiveSession, images: Iterable[tuple[np.ndarray, Fraction | None]]
) -> Generator[tuple[LiveFrame, Fraction | None], None, None]:
    """What `session`, whose policy is "block", makes of `images`, with the time of each.

    Closing it ends the session, and the thread that reads the images. Raises InputError where there is no frame, or no
    face in any; and what reading the images raises, once what was made before has come out.
    """
    times: list[Fraction | None] = []

    def timed() -> Iterator[tuple[np.ndarray, Fraction]]:
        for number, (image, time_s) in enumerate(images):
            times.append(time_s)
            yield image, Fraction(number, _RATE)

    with pushing(session, timed(), thread="hp-trt live clip"):
        for frame in session:
            yield frame, times[int(frame.pts_s * _RATE)]
    if not times:
        raise InputError("the driving video has no frames; it needs at least one")
    if session.stats.faceless == len(times):
        raise FaceNotFound(f"no face in any of the {len(times)} driving frames; give another driving video or locator")


def clip_of_session(
    open_session: Callable[[], LiveSession], driving: DrivingFrames, stages: Stages, check_open: Callable[[], None]
) -> Clip:
    """The clip that such a session makes, opened with its first frame. `check_open` raises where it was ended."""
    notes: list[str] = []

    def frames() -> Generator[tuple[int, Fraction | None, np.ndarray], None, None]:
        with open_session() as session, closing(animate_clip(session, driving.timed(stages))) as made:
            for frame, time_s in made:
                yield frame.index, time_s, frame.crop
            check_open()  # closing a runtime has ended the session
            notes.extend((*driving.notes, *session.stats.notes))

    return Clip(frames=frames(), notes=lambda: notes)
