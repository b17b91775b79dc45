"""A recording that its disk cut off: what of it can be played, and nothing behind that.

An mp4 that is not complete is a row of fragments, each a `moof` with its times and an `mdat` with its pictures. One
that is torn would show pictures in pieces, and an index that is torn may hide the fragments before it: both go.
Matroska tells itself where its last block is torn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from engines.errors import OutputError


class CutOff(OutputError):
    """A recording that ends where its disk did, for the reason `why`. `frames`: how many of it are kept."""

    def __init__(self, why: OutputError, frames: int) -> None:
        super().__init__(str(why))
        self.exit_code, self.frames = why.exit_code, frames


def keep_whole(path: Path, container_format: str) -> int:
    """Cut `path` back to what is whole in it; the number of pictures that can be read. OSError where that fails."""
    if container_format in ("mp4", "mov"):
        os.truncate(path, _end_of_fragments(path))
    return count_pictures(path, container_format)


def _end_of_fragments(path: Path) -> int:
    """Where the last whole fragment ends, 0 where there is none; all of an mp4 that is complete."""
    boxes = list(_boxes(path))
    kinds = [kind for kind, _ in boxes]
    if b"moof" not in kinds:  # a complete one keeps its fragments in one mdat
        return path.stat().st_size if {b"mdat", b"moov"} <= set(kinds) else 0
    ends = [
        stop for before, (kind, stop) in zip(kinds, boxes[1:], strict=False) if (before, kind) == (b"moof", b"mdat")
    ]
    return max(ends, default=0)


def _boxes(path: Path) -> Iterator[tuple[bytes, int]]:
    """The whole boxes at the top of an mp4, and where each ends."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            head = file.read(16)
            length = int.from_bytes(head[:4])
            if length == 1:  # in 64 bits
                length = int.from_bytes(head[8:16])
            at += length
            if length < 8 or at > size:
                return
            yield head[4:8], at


def count_pictures(path: Path, container_format: str, *, most: int | None = None) -> int:
    """Packets of pictures, each of which is one here: our live encoder waits for none. Not beyond `most`."""
    import av

    count = 0
    try:
        with av.open(str(path.absolute()), format=container_format) as container:
            if not container.streams.video:
                return 0
            for packet in container.demux(container.streams.video[0]):
                count += bool(packet.size) and not packet.is_corrupt
                if count == most:
                    break
    except av.FFmpegError:  # torn: what came before it counts
        return count
    return count
