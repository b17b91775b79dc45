"""Whether a live session has lost its portrait's face: looked at once for each portrait, beside the session."""

from __future__ import annotations

import threading

import numpy as np

from hp_trt.faces.lost import FaceWatch
from hp_trt.media.portrait import Portrait

FRAMES = 100  # of a portrait, that are made before it is looked at: four seconds


class LostLook:
    """Sees the frames of a session as they are made. Of less than `FRAMES` nothing is said, nor if it `looks` not."""

    def __init__(self, looks: bool = True) -> None:
        self._looks = looks
        self.notes: tuple[str, ...] = ()  # of the portrait that is shown: none, or that its face seems lost
        self._portrait: Portrait | None = None
        self._watch = FaceWatch(None)
        self._seen = 0
        self._thread: threading.Thread | None = None

    def see(self, portrait: Portrait, crop: np.ndarray) -> None:
        """The next frame (S, S, 3) uint8 RGB, made of `portrait`; one thread calls it."""
        if portrait is not self._portrait:
            self.notes, self._portrait, self._watch, self._seen = (), portrait, FaceWatch(portrait.square), 0
        if self._seen == FRAMES or not self._looks:
            return
        self._watch.see(crop)
        self._seen += 1
        if self._seen == FRAMES:  # a tenth of a second's work, for which no frame waits
            self._thread = threading.Thread(
                target=self._look, args=(self._watch,), name="hp-trt live look", daemon=True
            )
            self._thread.start()

    def join(self) -> None:
        """Wait until nothing is looked at."""
        if self._thread is not None:
            self._thread.join()

    def _look(self, watch: FaceWatch) -> None:
        found = watch.notes()
        if watch is self._watch:  # else another portrait is shown by now
            self.notes = found
