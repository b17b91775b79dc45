"""Videos as people and attackers have them, and the two ways in which ours are read."""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from hp_trt.media.video import VideoReader
from hp_trt.streams.sources import Picture, open_source


def read_clip(path: Path) -> tuple[list[np.ndarray], list[str]]:
    """The frames of clip mode, and its notes."""
    reader = VideoReader(path)
    return list(reader), reader.notes


def read_live(path: Path) -> tuple[list[np.ndarray], list[str]]:
    """The frames of live mode, and its notes."""
    source = open_source(str(path), sound=True, timeout_s=2.0, stop=threading.Event())
    try:
        images = [item.image for item in source.read() if isinstance(item, Picture)]
    finally:
        source.close()
    return images, source.notes


MODES = [read_clip, read_live]


def patch(path: Path, box: bytes, offset: int, new: bytes) -> Path:
    """Overwrite bytes of the first mp4 box of that name, `offset` bytes after the name."""
    data = bytearray(path.read_bytes())
    start = data.index(box) + 4 + offset
    data[start : start + len(new)] = new
    path.write_bytes(data)
    return path


def with_matrix(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """An mp4 whose track header has this display matrix: x' = a x + c y, y' = b x + d y."""
    numbers = [round(v * 65536) for v in (a, b, 0, c, d, 0, 0, 0)]
    return patch(path, b"tkhd", 40, struct.pack(">9i", *numbers, 1 << 30))


def with_pixel_shape(path: Path, shape: Fraction, *, size=(64, 48), count=12, codec="libx264") -> Path:
    """Grey pictures with a white disc that is round with pixels of `shape`."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    disc = ((columns - width / 2) * float(shape)) ** 2 + (rows - height / 2) ** 2 < (height / 4) ** 2
    image = np.where(disc, 220, 40).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    with av.open(str(path), "w") as output:
        video = output.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.sample_aspect_ratio = shape
        for _ in range(count):
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(video.encode(None))
    return path


def lopsided(path: Path, *, size=(64, 48), count=3, title="", codec="libx264") -> Path:
    """Pictures whose four corners all differ, and whose diagonals do."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    image = np.clip(30 + columns * 2 + rows * 0.8, 0, 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    with av.open(str(path), "w") as output:
        output.metadata["title"] = title
        video = output.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        for _ in range(count):
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(video.encode(None))
    return path


def disc_shape(image: np.ndarray) -> float:
    """Width of the white disc to its height."""
    white = image[:, :, 0] > 130
    return white.any(axis=0).sum() / white.any(axis=1).sum()


def copied_from(source: Path, target: Path, first: int, *, gap_at: int | None = None, gap: int = 0) -> Path:
    """The packets of `source` moved `first` frames to the front, as a cut by stream copy does; then a gap of frames."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        pictures = old.streams.video[0]
        frame = round(1 / pictures.average_rate / pictures.time_base)
        track = new.add_stream_from_template(pictures)
        for number, packet in enumerate(p for p in old.demux(pictures) if p.dts is not None):
            late = gap if gap_at is not None and number >= gap_at else 0
            packet.stream = track
            packet.pts += (late - first) * frame
            packet.dts += (late - first) * frame
            new.mux(packet)
    return target


def cut_off(path: Path, part: float) -> Path:
    """The file without its end."""
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * part)])
    return path


def titled(path: Path, raw: bytes) -> Path:
    """A video of ten frames whose title is `raw`, whatever that is."""
    mark = b"TITLE" * 4
    assert len(raw) <= len(mark)
    lopsided(path, count=10, title=mark.decode(), codec="mpeg4" if path.suffix == ".avi" else "libx264")
    data = path.read_bytes()
    assert mark in data
    path.write_bytes(data.replace(mark, raw.ljust(len(mark), b" ")))
    return path


def sizes(images: Sequence[np.ndarray]) -> set[tuple[int, ...]]:
    return {image.shape for image in images}
