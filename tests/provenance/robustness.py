"""What the invisible mark costs, and what it outlives: the table of docs/provenance.md, in some minutes.

python -m tests.provenance.robustness
python -m tests.provenance.robustness --clip pocket --clip "128 px"   # some of the columns
python -m tests.provenance.robustness --video VIDEO --video ANOTHER   # your files instead, their first 2 s
python -m tests.provenance.robustness --clip all --video VIDEO        # the table whole, with a file of yours

Clips of 2 s: drawn people, a drawn portrait animated by `shipped:pocket`, and sizes. Each is marked, encoded as our
video writer does but at another crf, handled, and searched; where it says "encoded" it is encoded once more, at crf 23.
A cell is the score of the find, or what the score was in brackets where nothing was found or another payload.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from math import floor
from pathlib import Path

import cv2
import numpy as np

from hp_trt import Runtime
from hp_trt.media.video import VideoReader
from hp_trt.provenance.mark import InvisibleMark, InvisibleMarkFinder
from hp_trt.sample import write_sample
from procedural.clip import clip
from tests.provenance.encoded import encoded, reencoded

Frames = list[np.ndarray]
PAYLOAD = 0xC0FFEE11
SECONDS = 2


def drawn(seed: int, px: int, rate: int = 25) -> Frames:
    return clip(seed, frames=SECONDS * rate, px=px).frames()


def wide(seed: int) -> Frames:
    """1920 x 1080: a drawn person of 1080 px in front of a wall."""
    wall = np.linspace(90, 160, 1920, dtype=np.float32).astype(np.uint8)[None, :, None].repeat(3, 2).repeat(1080, 0)
    frames = []
    for frame in drawn(seed, 1080):
        whole = wall.copy()
        whole[:, 420:1500] = frame
        frames.append(whole)
    return frames


def animated(seed: int) -> Frames:
    """512 x 512: a drawn portrait that `shipped:pocket` moves, pasted back."""
    with tempfile.TemporaryDirectory() as folder, Runtime("shipped:pocket") as runtime:
        portrait, driving = write_sample(Path(folder), frames=SECONDS * 25, seed=seed)
        return [frame.full() for frame in runtime.frames(runtime.portrait(portrait), driving)]


def read(path: Path) -> Frames:
    video = VideoReader(path)
    return list(islice(video, round(SECONDS * float(video.info.rate))))


CLIPS: Mapping[str, Callable[[], Frames]] = {
    "drawn 7": lambda: drawn(7, 512),
    "drawn 3": lambda: drawn(3, 512),
    "drawn 11": lambda: drawn(11, 512),
    "drawn 20, 30 frames/s": lambda: drawn(20, 512, 30),
    "pocket": lambda: animated(5),
    "256 px": lambda: drawn(7, 256),
    "128 px": lambda: drawn(7, 128),
    "1920 x 1080": lambda: wide(7),
}


def handled(marked: Frames) -> Iterator[tuple[str, Frames]]:
    """What happens to a marked clip, and its frames after it."""
    at_23, at_28 = reencoded(marked, crf=23), reencoded(marked, crf=28)
    yield "as it was marked", marked
    yield "its first frame alone", marked[:1]
    yield "crf 23", at_23
    yield "crf 28", at_28
    yield "crf 33", reencoded(marked, crf=33)
    yield "crf 23, then crf 28", reencoded(at_23, crf=28)
    for factor in (0.5, 0.75, 1.5):
        yield f"crf 23, {factor} times the size", [scaled(f, factor) for f in at_23]
        yield f"crf 23, {factor} times the size, encoded", reencoded([scaled(f, factor) for f in at_23], crf=23)
    yield "crf 23, crop of 300 px", [crop(f) for f in at_23]
    yield "crf 28, crop of 300 px", [crop(f) for f in at_28]
    yield "crf 23, crop of 300 px, encoded", reencoded([crop(f) for f in at_23], crf=23)
    yield "crf 23, crop of 300 px, crf 28", reencoded([crop(f) for f in at_23], crf=28)
    yield "crf 23, brighter by 20, encoded", reencoded([cv2.convertScaleAbs(f, beta=20) for f in at_23], crf=23)
    yield "crf 23, contrast 1.2 times, encoded", reencoded([cv2.convertScaleAbs(f, alpha=1.2) for f in at_23], crf=23)
    yield "one frame as JPEG 75", [jpeg(marked[len(marked) // 2], 75)]


def scaled(frame: np.ndarray, factor: float) -> np.ndarray:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(frame, None, fx=factor, fy=factor, interpolation=how)


def crop(frame: np.ndarray, px: int = 300) -> np.ndarray:
    """At a place that is no multiple of anything; of a smaller frame as much of it as of 512 px."""
    height, width = (min(px, round(side * px / 512)) for side in frame.shape[:2])
    top, left = round((frame.shape[0] - height) * 0.476), round((frame.shape[1] - width) * 0.269)
    return frame[top : top + height, left : left + width]


def jpeg(frame: np.ndarray, quality: int) -> np.ndarray:
    done, file = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1]


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean(np.square(one.astype(np.float64) - other))))


def column(frames: Frames) -> dict[str, str]:
    """The table's column of one clip, with the name of each row."""
    mark = InvisibleMark(PAYLOAD)
    mark.embed(frames[0])
    started = time.process_time()
    marked = [mark.embed(frame) for frame in frames]
    each_ms = (time.process_time() - started) / len(frames) * 1000
    grown = len(encoded(marked, crf=23)) / len(encoded(frames, crf=23)) - 1
    cells = {
        "PSNR of the worst frame, dB": f"{min(map(psnr_db, marked, frames)):.1f}",
        "bytes at crf 23": f"{100 * grown:+.1f} %",
        "ms a frame to mark": f"{each_ms:.1f}",
        "unmarked": searched(frames),
    }
    return cells | {name: searched(after) for name, after in handled(marked)}


def searched(frames: Frames) -> str:
    found = InvisibleMarkFinder().find(frames)
    return f"{floor(found.score)}" if found.payload == PAYLOAD else f"({floor(found.score)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, action="append", default=[], help="a file of yours, its first 2 s")
    parser.add_argument(
        "--clip", choices=("all", *CLIPS), action="append", default=[], help="a column [all, or none beside a video]"
    )
    chosen = parser.parse_args()
    every = "all" in chosen.clip or not (chosen.clip or chosen.video)
    clips: dict[str, Callable[[], Frames]] = {name: CLIPS[name] for name in (CLIPS if every else chosen.clip)}
    clips |= {path.stem: partial(read, path) for path in chosen.video}
    cv2.setNumThreads(1)
    columns = {}
    for name, frames in clips.items():
        columns[name] = column(frames())
        print(f"{name}: {columns[name]}", flush=True)
    print(f"\n| | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for row in next(iter(columns.values())):
        print(f"| {row} | {' | '.join(cells[row] for cells in columns.values())} |")


if __name__ == "__main__":
    main()
