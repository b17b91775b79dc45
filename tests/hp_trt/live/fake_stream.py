"""A stream without networks, and a session over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hp_trt.live.session import LiveSession
from hp_trt.live.stream import DrivenByPictures
from hp_trt.media.portrait import Portrait
from runtime.stages import Stages

WINDOW = 4  # new frames of each window


def picture(level: int, size: int = 32) -> np.ndarray:
    """A driving frame that is known by its brightness."""
    return np.full((size, size, 3), level, np.uint8)


def portrait(number: int = 0) -> Portrait:
    """A portrait that is known by its number."""
    return Portrait(image=picture(number), path=None, notes=(), paste=lambda crop: crop, encoded=number)


@dataclass
class FakeStream(DrivenByPictures):
    """A frame is its driving picture, brighter by the portrait's number; black ones show no face."""

    size: int = WINDOW
    concurrent: bool = True
    before_denoise: Callable[[], None] = lambda: None  # to be slow, or to fail
    shown: int = 0
    anew: int = 0
    held: int = 0
    faceless: int = 0
    notes: tuple[str, ...] = ("a fake",)
    asked: list[int] = field(default_factory=list)
    warmed: int = 0

    def warm_up(self):
        self.warmed += 1

    @property
    def queued(self):
        return self.size

    def new_frames(self, window):
        return self.size - (window == 0)

    def see(self, item, index):
        self.asked.append(index)
        self.faceless += not item.any()
        return item if item.any() else None

    def encode(self, seen):
        return np.stack(seen)

    def check_tokens(self):
        pass

    def check_latents(self):
        pass

    def denoise(self, tokens):
        self.before_denoise()
        return tokens + np.uint8(self.shown)

    def begin(self, latents):
        return latents

    def frames(self, begun):
        return iter(begun)

    def change(self, portrait):
        self.shown = portrait.encoded

    def reanchor(self):
        self.anew += 1


class FakeOpener:
    """A portrait is opened by its number, a profile is the stream itself."""

    def portrait(self, given):
        return given if isinstance(given, Portrait) else portrait(given)

    def stream(self, portrait, profile, after):
        return profile


def open_session(stream: FakeStream | None = None, **options: Any) -> LiveSession:
    """A session that drops nothing unless told."""
    given: dict[str, Any] = {
        "portrait": portrait(),
        "opener": FakeOpener(),
        "policy": "block",
        "queue_in": WINDOW,
        "queue_out": 2 * WINDOW,
        "stages": Stages(),
    }
    return LiveSession(stream or FakeStream(), **(given | options))
