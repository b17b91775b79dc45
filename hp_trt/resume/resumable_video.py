"""A long video that is rendered chunk by chunk, and gone on with where it was killed.

    tracks = {"out": Track(path="talk.mp4", width=w, height=h)}
    with ResumableVideo(tracks, facts=facts, mode="resume", sound="talk.wav") as video:
        loop = begin(video.state)                       # None: at frame 0; else behind frame video.frames
        for chunk in loop.chunks():
            for picture in chunk:
                video.write({"out": picture})
            video.close_chunk(loop.state())             # safe from any kill when it returns
        video.finish()                                  # talk.mp4 is there, talk.mp4.resume/ is gone

What is done lies in `talk.mp4.resume/` beside the first track's file (`hp_trt.resume.store` shows the folder). `finish`
removes it, and so do leaving with not one chunk finished, and calling off (`Cancelled`) a run that was begun as "new";
nothing else does. (A kill after the result got its name may leave a folder without facts, which the next run takes for
none.) Who goes on writes the very chunks that an uninterrupted run writes, so a result does not tell how often its run
was killed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from engines.errors import Cancelled, OutputError
from engines.part_file import PartFile
from engines.safe_output import check_folder, check_outputs
from hp_trt.media.clock import FALLBACK_RATE
from hp_trt.media.seal import Seal, Sealed, marked
from hp_trt.media.video_writer import SUFFIXES, encoding_refused
from hp_trt.resume.chunk_writer import ChunkWriter
from hp_trt.resume.joining import join_chunks, open_sound
from hp_trt.resume.loop_state import LoopState
from hp_trt.resume.store import ChunkStore, Mode

_FORMAT = 1  # of the store: what an older program left is gone on with by that program alone


@dataclass(frozen=True, kw_only=True)
class Track:
    """One video of a run. An odd side is padded by repeating its last pixel."""

    path: Path
    width: int
    height: int


def store_of(out: Path) -> Path:
    """The folder in which an unfinished run of the result `out` is kept."""
    return out.with_name(f"{out.name}.resume")


class ResumableVideo:
    """The run that renders `tracks`, videos of the same frames by a name each: small letters, digits, underscores.

    `facts`: JSON that two runs have in common only if they render the same frames, without the key "video", which is
    ours; `mode`, `state`, `frames` and `notes` are `ChunkStore`'s. Frame i is at i / `rate`. `sound`: a file whose
    sound every track gets. `inputs`: further files that may not be written over, by what a message calls them.
    `seal`: of the run; what decides the pictures of it is to be among the facts.
    Raises InputError and OutputError when made, before anything is rendered, for what cannot be gone on with or
    written; OutputError later for what the disk refuses, and then what is done is kept.
    """

    def __init__(
        self,
        tracks: Mapping[str, Track],
        *,
        facts: Mapping[str, Any],
        mode: Mode = "new",
        rate: Fraction = FALLBACK_RATE,
        sound: Path | str | None = None,
        inputs: Mapping[str, Path | str | None] | None = None,
        seal: Seal | None = None,
    ) -> None:
        self._tracks, self._rate, self._seal = dict(tracks), Fraction(rate), seal
        self._sound = None if sound is None else Path(sound)
        self._writers: dict[str, ChunkWriter] = {}
        self._frames = 0  # of the chunk that is being made
        self._over, self._mode = False, mode
        first = next(iter(self._tracks.values())).path
        folder = store_of(first)
        known = {"the sound": self._sound, **(inputs or {})}
        outputs = {"the result": first} | {f"the {name}": t.path for name, t in list(self._tracks.items())[1:]}
        check_outputs(outputs, {**known, "the folder of the unfinished run": folder}, suffixes=tuple(SUFFIXES))
        check_folder(folder, known, apart=True)
        self.notes: list[str] = self._of_sound()
        self._store = ChunkStore(
            folder, names=tuple(self._tracks), facts=self._all_facts(facts), mode=mode, rate=self._rate
        )
        self.notes += self._store.notes

    @property
    def state(self) -> LoopState | None:
        """The loop's state behind the last finished chunk; None: begin at frame 0."""
        return self._store.state

    @property
    def frames(self) -> int:
        """Frames of finished chunks: the number of the frame to write next when a chunk is begun. It outlives them."""
        return self._store.frames

    @property
    def chunks(self) -> int:
        """Finished chunks."""
        return len(self._store.chunks)

    def write(self, images: Mapping[str, np.ndarray]) -> None:
        """Append one frame: (H, W, 3) uint8 RGB of every track."""
        self._check_goes_on()
        if set(images) != set(self._tracks):
            raise ValueError(f"a frame has the tracks {sorted(self._tracks)}, got {sorted(images)}")
        for name, track in self._tracks.items():
            if images[name].shape != (track.height, track.width, 3):
                raise ValueError(f"{name} has frames of {track.width} x {track.height}, got {images[name].shape}")
        for name, track in self._tracks.items():
            with self._guarded(self._store.folder, track):
                if name not in self._writers:
                    path = self._store.file(self.chunks, name)
                    self._writers[name] = ChunkWriter(path, size=(track.width, track.height), rate=self._rate)
                self._writers[name].write(marked(images[name], self._seal))
        self._frames += 1

    def close_chunk(self, state: LoopState) -> None:
        """The frames since the last chunk are one, with the loop's `state` behind it. It is safe when this returns."""
        self._check_goes_on()
        if not self._frames:
            raise ValueError("a chunk has at least one frame; write it first")
        with self._guarded(self._store.folder):
            for writer in self._writers.values():
                writer.close()
            for writer in self._writers.values():
                writer.commit()
            self._store.add(self._frames, state)
        self._writers, self._frames = {}, 0

    def finish(self, *, begins_s: Fraction | None = None, ticks: Sequence[int] | None = None) -> None:
        """Join the chunks with the sound; all tracks get their names when all are complete. Then the store goes.

        `begins_s`: where frame 0 is on the clock of the sound's file; None: where that begins (`clock.begins_s`).
        `ticks`: when each frame is shown, in `time_base` of the rate; None: frame i at i / rate.
        """
        self._check_goes_on()
        if self._frames:
            raise ValueError(f"{self._frames} frames belong to no chunk yet; close it first")
        first = next(iter(self._tracks.values())).path
        if not self.chunks:
            raise OutputError(f"{first} was not written: not a single frame came")
        parts: list[PartFile | Sealed] = []
        try:
            for name, track in self._tracks.items():
                with self._guarded(track.path, track):
                    part = PartFile(track.path)
                    parts.append(part)
                    self._join(name, track, part.path, begins_s, ticks)
                    if self._seal is not None:
                        parts[-1] = self._seal.sealed(part, track.path, self.notes)
            for done, track in zip(parts, self._tracks.values(), strict=True):
                with self._guarded(track.path):
                    done.commit()
        finally:
            for done in parts:
                with suppress(OSError):
                    done.discard()
        self._over = True
        told = len(self._store.notes)
        self._store.remove()
        self.notes += self._store.notes[told:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_up()
        if isinstance(error, Cancelled) and self._mode == "new":  # nobody will go on with it
            self._store.remove()
        self._store.close()
        if error is not None and self.chunks and self._store.folder.exists():
            error.add_note(f"{self.frames} frames are kept in {self._store.folder}/: go on with --resume")

    def _join(
        self, name: str, track: Track, path: Path, begins_s: Fraction | None, ticks: Sequence[int] | None
    ) -> None:
        files = [self._store.file(number, name) for number in range(self.chunks)]
        frames, notes = join_chunks(
            files, path, result=track.path, rate=self._rate, sound=self._sound, begins_s=begins_s, ticks=ticks
        )
        if frames != self.frames:
            raise OutputError(
                f"{track.path} could not be written: the chunks in {self._store.folder}/ have {frames} frames of "
                f"{self.frames}; they were changed while they were joined: go on with --resume"
            )
        self.notes += [note for note in notes if note not in self.notes]

    def _of_sound(self) -> list[str]:
        """What will be missing, told before the long work."""
        import av

        notes: list[str] = []
        for track in self._tracks.values():
            with av.open(io.BytesIO(), "w", format=SUFFIXES[track.path.suffix.lower()]) as trial:
                opened, missing = open_sound(self._sound, trial)
                if opened:
                    opened.close()
            notes += [note for note in missing if note not in notes]
        return notes

    def _all_facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        import av

        versions = {"pyav": av.__version__, "libavcodec": ".".join(map(str, av.library_versions["libavcodec"]))}
        sizes = {name: [track.width, track.height] for name, track in self._tracks.items()}
        return {**facts, "video": {"format": _FORMAT, "rate": str(self._rate), "tracks": sizes, **versions}}

    def _check_goes_on(self) -> None:
        if self._over:
            raise ValueError("this run is over: it was finished, was left or has failed; make another ResumableVideo")

    def _give_up(self) -> None:
        """Forget the chunk that is being made."""
        self._over = True
        for writer in self._writers.values():
            writer.discard()
        self._writers = {}

    @contextmanager
    def _guarded(self, what: Path, track: Track | None = None) -> Iterator[None]:
        """Whatever goes wrong inside ends the run; its finished chunks stay. What the system refused is explained."""
        import av

        try:
            yield
        except (OSError, av.FFmpegError) as error:
            self._give_up()
            size = (track.width, track.height) if track else (0, 0)
            raise encoding_refused(what, error, size, left=self._left()) from error
        except BaseException:
            self._give_up()
            raise

    def _left(self) -> str:
        return self._store.kept if self.chunks else "Not a chunk was finished"
