"""What a live session is given to animate with: one method for each piece of work of the session's three threads.

A model makes it (`hp_trt.model.Model.stream`), for one portrait and one profile. The session calls the methods of one
thread in turn, and those of different threads beside each other; where `concurrent` is false it lets only one thread
at a time into the methods that run graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from engines.backend import Buffer
from hp_trt.media.images import checked_picture
from hp_trt.media.portrait import Portrait


class Stream(Protocol):
    """Driving frames to animated frames, a window at a time, in order."""

    @property
    def concurrent(self) -> bool:
        """Whether graphs may be run from several threads at once."""

    @property
    def queued(self) -> int:
        """How many driving frames may wait for it, where nobody says."""

    def warm_up(self) -> None:
        """Whoever opens it: run each graph with the shapes of the first windows, leaving no trace in what follows, so
        that the first frames do not wait for what a graph does once. Nothing where the graphs have run so already."""

    def new_frames(self, window: int) -> int:
        """How many frames window number `window`, from 0, takes in and gives out."""

    def taken(self, item: Any, pts_s: Fraction | None, now_s: Fraction, number: int) -> Sequence[tuple[Any, Fraction]]:
        """Whoever pushes: what was handed in as push number `number`, checked, as driving frames with their times.

        A picture is one; samples of sound are as many as they fill, with what was left of those before. `pts_s` is the
        driver's own time, where it says one; `now_s` is the time since the first push. Raises InputError.
        """

    def rest(self) -> Sequence[tuple[Any, Fraction]]:
        """Whoever closes the input: the frames that were held back, not being full."""

    def sound(self, item: Any) -> np.ndarray | None:
        """The samples of a driving frame, which its animated frame has beside it; None where pictures drive."""

    def see(self, item: Any, index: int) -> Any | None:
        """Thread 1, the host: what the networks see of a picture (H, W, 3) uint8 RGB, or of a frame's samples of sound.

        None: nothing can be made of it, such as of a picture before the first face. `index` counts what was pushed.
        """

    def encode(self, seen: Sequence[Any]) -> Buffer:
        """Thread 1, a graph: tokens of what was seen of a window's new frames, or of fewer where the stream ends."""

    def check_tokens(self) -> None:
        """Thread 1, the host: look at the tokens of the windows before the last, when they are there. It may wait, so
        it has no turn. Raises NonFiniteError."""

    def denoise(self, tokens: Buffer) -> Buffer:
        """Thread 2, graphs: the window's latents. They are the caller's until `begin` has returned."""

    def check_latents(self) -> None:
        """Thread 2, the host: the same for latents."""

    def begin(self, latents: Buffer) -> Any:
        """Thread 3, a graph: begin to decode; the next window may begin before these frames are taken."""

    def frames(self, begun: Any) -> Iterator[np.ndarray]:
        """Thread 3, the host: the frames (S, S, 3) uint8 RGB of what was begun, the caller's to keep, each made when it
        is asked for."""

    def change(self, portrait: Portrait) -> None:
        """Thread 2, before each window: the portrait it shows. Costs nothing where that is the portrait already."""

    def reanchor(self) -> None:
        """Any thread: the next face that is found sets the crop anew."""

    @property
    def held(self) -> int:
        """Frames without a face, which show the face before."""

    @property
    def faceless(self) -> int:
        """Frames of which nothing was made."""

    @property
    def notes(self) -> Sequence[str]:
        """What a user should know so far, a line each."""


class DrivenByPictures:
    """The part of a `Stream` that says what is pushed: pictures, each of them a frame."""

    def taken(self, item: Any, pts_s: Fraction | None, now_s: Fraction, number: int) -> Sequence[tuple[Any, Fraction]]:
        image = checked_picture(item, f"driving frame {number}")
        return [(image, now_s if pts_s is None else pts_s)]

    def rest(self) -> Sequence[tuple[Any, Fraction]]:
        return ()

    def sound(self, item: Any) -> np.ndarray | None:
        return None
