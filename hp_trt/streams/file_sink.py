"""A live run's result as a file that can be played at any moment, and is whole or told of however the run ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import numpy as np

from engines.errors import OutputError
from engines.part_file import PartFile, orphans
from hp_trt.media.video import reason
from hp_trt.media.video_writer import SUFFIXES
from hp_trt.streams.pipes import PartWriter
from hp_trt.streams.recording import Recording, closed_quietly
from hp_trt.streams.sink import Shape

# Files that can be played at any moment, but for the last second. With delay_moov an mp4's header is written when the
# sound's beginning is known.
_FRAGMENTS = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
_UNFINISHED = {"mp4": _FRAGMENTS, "mov": _FRAGMENTS, "matroska": {"cluster_time_limit": "1000"}}
_EMPTY_BYTES = 4096  # a part as small holds no picture
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileSink:
    """An .mp4, .mov or .mkv that grows under a hidden name and can be played at any moment, even after kill -9.

    mp4 and mov are fragments until they are complete, and plain files then.
    """

    hears = True

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self.notes: list[str] = []
        self._part: PartFile | None = None
        self._writer: PartWriter | None = None
        self._recording: Recording | None = None
        self._frames = 0

    def open(self, shape: Shape) -> None:
        import av

        self._see_to_orphans()
        container_format = SUFFIXES[self.path.suffix.lower()]
        with _refusals(self.name, "nothing was left behind"):
            try:
                self._part = PartFile(self.path, precious=True)
                self._writer = PartWriter(self._part.path)
                container = av.open(
                    self._writer, "w", format=container_format, container_options=_UNFINISHED[container_format]
                )
                self._recording = Recording(container, container_format, **vars(shape))
            except BaseException:
                self._discard()
                raise

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        assert self._recording is not None
        with _refusals(self.name, f"the {self._frames} frames until then are kept"):
            self._recording.write(image, time_s)
        self._frames += 1

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        recording, self._recording = self._recording, None
        if recording is None or self._writer is None or self._part is None:
            return
        if not self._frames:
            closed_quietly(recording.finish)
            self._discard()
            return
        if self._writer.broken:  # what is there is playable; `write` has said why it ends
            closed_quietly(recording.finish)
        else:
            with _refusals(self.name, "what was written until then is kept"):
                try:
                    recording.finish()
                except BaseException:
                    self._keep_cut_off()
                    raise
        if self._writer.broken:
            self._keep_cut_off()
        else:
            self._writer.shut()
            with _refusals(self.name, f"the recording is {self._part.path}"):
                self._part.commit()

    def _see_to_orphans(self) -> None:
        for part in orphans(self.path):
            with suppress(OSError):
                if part.stat().st_size <= _EMPTY_BYTES:
                    part.unlink()
                else:
                    self.notes.append(f"{part} is what a run left that was killed: play it, keep or remove it")

    def _keep_cut_off(self) -> None:
        """A file that could not be completed gets a name, but never one that a good file has."""
        assert self._part is not None and self._writer is not None
        self._writer.shut()
        if not self.path.exists():
            self._part.commit()
            return
        kept = self.path.with_name(f"{self.path.stem}.cut-off{self.path.suffix}")
        os.replace(self._part.path, kept)
        self.notes.append(f"{self.path} was there before and stays; what was recorded is {kept}")

    def _discard(self) -> None:
        if self._writer:
            self._writer.shut()
        if self._part:
            self._part.discard()


@contextmanager
def _refusals(name: str, left: str) -> Iterator[None]:
    """What the disk or the encoder refuses, explained; `left` says what became of what was there."""
    import av

    try:
        yield
    except (OSError, av.FFmpegError) as error:
        advice = "free some space" if error.errno in _FULL else "see to it, or write somewhere else"
        raise OutputError(f"{name} could not be written: {reason(error)}; {advice}. {left.capitalize()}") from error
