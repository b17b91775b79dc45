"""A clip through a live session: every frame goes in, every frame comes out, as fast as the session can."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction

import numpy as np

from engines.errors import FaceNotFound, InputError
from hp_trt.live.pushing import pushing
from hp_trt.live.session import LiveFrame, LiveSession

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
