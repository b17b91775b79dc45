"""A live run's result as a file that can be played at any moment, and is whole or told of however the run ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain, count
from pathlib import Path

import numpy as np

from engines.errors import OutputError
from engines.foreign import reason
from engines.part_file import PartFile, orphans
from engines.safe_output import refusal
from hp_trt.media.seal import Seal, Sealed, marked
from hp_trt.media.video_writer import SUFFIXES
from hp_trt.streams.cut_off import CutOff, count_pictures, keep_whole
from hp_trt.streams.pipes import PartWriter
from hp_trt.streams.recording import Recording, closed_quietly
from hp_trt.streams.sink import Shape

# Files that can be played at any moment, but for the last second. With delay_moov an mp4's header is written when the
# sound's beginning is known.
_FRAGMENTS = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
_UNFINISHED = {"mp4": _FRAGMENTS, "mov": _FRAGMENTS, "matroska": {"cluster_time_limit": "1000"}}


class FileSink:
    """An .mp4, .mov or .mkv that grows under a hidden name and can be played at any moment, even after kill -9.

    mp4 and mov are fragments until they are complete, and plain files then.
    """

    hears = True

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)
        self.notes: list[str] = []
        self.seal: Seal | None = None
        self._part: PartFile | None = None
        self._writer: PartWriter | None = None
        self._recording: Recording | None = None
        self._frames = 0

    def open(self, shape: Shape) -> None:
        import av

        self._see_to_orphans()
        container_format = SUFFIXES[self.path.suffix.lower()]
        with _told(self.name, "Nothing was left behind"):
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
        with self._refusals():
            self._recording.write(marked(image, self.seal), time_s)
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
        with self._refusals():
            recording.finish()
            self._writer.settle()
        self.notes += recording.notes
        self._writer.shut()
        with _told(self.name, f"The recording is {self._part.path}"):
            self._sealed(self._part).commit()

    def _sealed(self, part: PartFile) -> PartFile | Sealed:
        """The complete recording, to be given its name. Where it cannot be sealed it is no file of that name, and stays
        under its hidden one."""
        if self.seal is None:
            return part
        try:
            return self.seal.sealed(part, self.path, self.notes, precious=True)
        except OutputError as error:
            raise OutputError(f"{error}. The recording is {part.path}") from error

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Around what the disk or the encoder may refuse. Raises CutOff where the recording ends with it."""
        import av

        try:
            yield
        except (OSError, av.FFmpegError) as error:
            assert self._writer is not None
            if self._recording is not None and not self._writer.broken:  # the encoder's: `close` completes the rest
                raise refusal(self.name, error, left=f"The {self._frames} frames until then are kept") from error
            recording, self._recording = self._recording, None
            self._writer.broken = self._writer.broken or OSError(error.errno, error.strerror)
            if recording is not None:
                closed_quietly(recording.finish)
            left, frames = self._cut_off()
            raise CutOff(refusal(self.name, error, left=left), frames) from error

    def _see_to_orphans(self) -> None:
        for part in orphans(self.path):
            with suppress(OSError):
                if not count_pictures(part, SUFFIXES[self.path.suffix.lower()], most=1):
                    part.unlink()
                else:
                    self.notes.append(f"{part} is what a run left that was killed: play it, keep or remove it")

    def _cut_off(self) -> tuple[str, int]:
        """What is left of a file that could not be completed, in words and in frames; without a frame nothing is.

        It gets a name, but never one that another file has.
        """
        assert self._part is not None and self._writer is not None
        self._writer.shut()
        try:
            frames = keep_whole(self._part.path, SUFFIXES[self.path.suffix.lower()])
            if not frames:
                self._discard()
                return "Nothing was left behind: not one frame was complete", 0
            if not os.path.lexists(self.path):
                self._part.commit(synced=False)
                kept = self.path
            else:
                kept = self._free_name()
                self._part.commit(kept, synced=False)
                self.notes.append(f"{self.path} was there before and stays; what was recorded is {kept}")
        except OSError as error:  # a disk that is gone
            return f"What is left in {self._part.path} cannot be kept ({reason(error)})", 0
        until = "One frame is" if frames == 1 else f"The {frames} frames until then are"
        return f"{until} kept in {kept}", frames

    def _free_name(self) -> Path:
        names = chain(["cut-off"], (f"cut-off-{number}" for number in count(2)))
        found = (self.path.with_name(f"{self.path.stem}.{name}{self.path.suffix}") for name in names)
        return next(path for path in found if not os.path.lexists(path))

    def _discard(self) -> None:
        if self._writer:
            self._writer.shut()
        if self._part:
            self._part.discard()


@contextmanager
def _told(name: str, left: str) -> Iterator[None]:
    """What the disk or the encoder refuses, explained; `left` says what became of what was there."""
    import av

    try:
        yield
    except (OSError, av.FFmpegError) as error:
        raise refusal(name, error, left=left) from error
