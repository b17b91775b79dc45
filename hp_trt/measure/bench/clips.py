"""What is animated while measuring: the user's files, or the drawn sample."""

from __future__ import annotations

from pathlib import Path

from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from hp_trt.sample import write_sample

SAMPLE_FRAMES = 50


def clip_files(
    folder: Path, *, portrait: Path | None = None, driving: Path | None = None, frames: int | None = None
) -> tuple[Path, Path]:
    """A portrait and a driving video, of `frames` frames where said; what has to be made for it goes into `folder`."""
    if portrait is None or driving is None:
        return write_sample(folder, frames=frames or SAMPLE_FRAMES)
    return portrait, driving if frames is None else shortened(driving, folder / "shortened.mp4", frames)


def shortened(driving: Path, out: Path, frames: int) -> Path:
    """`out`, with the first `frames` frames of `driving` or all it has, silent. Raises InputError, OutputError."""
    reader = VideoReader(driving)
    with VideoWriter(out, width=reader.info.width, height=reader.info.height, rate=reader.info.rate) as writer:
        for number, frame in enumerate(reader.timed()):
            if number == frames:
                break
            writer.write(frame.image, frame.time_s)
    return out
