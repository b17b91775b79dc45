"""What stands for a Runtime: it writes a small file a frame at a time, tells its stages, and may be held or made fail.

The parts of the real one that the service relies on are kept: a result appears whole, `Cancelled` leaves none, and a
picture without a face is FaceNotFound.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from engines.errors import FaceNotFound, InputError
from engines.part_file import whole_file, write_whole
from hp_trt.apps.service.store import ENCODED
from hp_trt.media.images import load_picture
from hp_trt.media.portrait import Portrait
from hp_trt.provenance.sidecar import beside
from runtime.stages import Stages

FRAMES = 5


@dataclass
class Hand:
    """What a test does to all engines of a service."""

    go: threading.Event = field(default_factory=threading.Event)  # clips wait for it before their last frame
    fails: Exception | None = None
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))  # one more for each clip
    encoded: list[Path] = field(default_factory=list)
    read: list[Path] = field(default_factory=list)
    asked: list[dict] = field(default_factory=list)
    frame_s: float = 0.0
    film: bytes = b""  # the result of clips, where somebody has to be able to read it
    opened: int = 0
    closed: int = 0

    def __post_init__(self):
        self.go.set()

    def open(self, profile: str) -> FakeEngine:
        self.opened += 1
        return FakeEngine(self, profile)


class FakeEngine:
    """One lane's."""

    model = SimpleNamespace(driver="video", motion_bytes=500)
    notes = ("a fake, whose bundle is in /some/where/secret",)

    def __init__(self, hand: Hand, profile: str) -> None:
        self.hand = hand
        self.profile = SimpleNamespace(name=profile, mode="live" if profile == "live" else "clip")

    def portrait(self, image, *, stages=None):
        if Path(image).name == ENCODED:
            self.hand.read.append(Path(image))
            pixels = np.frombuffer(Path(image).read_bytes(), np.uint8)
            if pixels.size % 3:
                raise InputError(f"{image} is no portrait file")
            return Portrait(
                image=pixels.reshape(1, -1, 3), path=Path(image), notes=(), paste=lambda square: square, encoded=None
            )
        self.hand.encoded.append(Path(image))
        picture = load_picture(image).pixels
        if not picture.any():
            raise FaceNotFound(f"no face was found in {image}; use a picture with one")
        return Portrait(image=picture, path=Path(image), notes=(), paste=lambda square: square, encoded=None)

    def write_portrait(self, out, portrait):
        write_whole(out, portrait.image.tobytes())

    def write_motion(self, out, *, driving=None, audio=None, stages: Stages):
        assert Path(driving or audio).stat().st_size > 0 and not (driving and audio)
        self.hand.begun.release()
        with stages.unit("motion"):
            self._wait(stages)
        if self.hand.fails is not None:
            raise self.hand.fails
        write_whole(out, b"motion" * 1000)

    def animate(
        self, portrait, *, out, driving=None, audio=None, crop_out=None, stages: Stages, provenance, **sampling
    ):
        how = {"driving": driving, "audio": audio, "crop_out": crop_out, "provenance": provenance}
        self.hand.asked.append(how | sampling)
        assert Path(driving or audio).stat().st_size > 0, "the input is there while the job runs"
        self.hand.begun.release()
        stages.begin("write", FRAMES)
        with whole_file(out) as hidden, hidden.open("wb") as file:
            for number in range(FRAMES):
                with stages.unit("write"):
                    file.write(bytes([number]) * 1000)
                    self._wait(stages)
            if self.hand.fails is not None:
                raise self.hand.fails
            if self.hand.film:
                file.seek(0)
                file.truncate()
                file.write(self.hand.film)
        if crop_out is not None:
            with whole_file(crop_out) as hidden:
                hidden.write_bytes(b"crop")
        for made in (out, crop_out):
            if made is not None:
                write_whole(beside(made), json.dumps(vars(provenance), default=str).encode())
        stages.end("write")
        return SimpleNamespace(frames=FRAMES, rate=Fraction(25), notes=(f"{portrait.path} is small",))

    def _wait(self, stages: Stages) -> None:
        while not self.hand.go.wait(0.01):
            with stages.unit("waiting"):
                pass
        if self.hand.frame_s:
            threading.Event().wait(self.hand.frame_s)

    def close(self):
        self.hand.closed += 1
