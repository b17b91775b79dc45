"""Does the finder find what is not there? Windows of 2 s of unmarked drawn clips, by hand.

python -m tests.provenance.false_finds                 # 10 000 windows; --processes 2 for two cores

Each clip has 242 frames of somebody else, 160 px, and gives 97 windows of 50 frames, two frames apart, each cut out
at another place, 128 to 160 px a side. So neighbours share 48 frames of 50, though of another crop, and windows that
are 25 apart share none. Of three clips one is as drawn, one has noise of 4 grey levels in every pixel and frame, one
went through x264 at crf 28.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Iterator

import cv2
import numpy as np

from hp_trt.provenance.alignment import align
from hp_trt.provenance.evidence import Evidence
from hp_trt.provenance.mark import THRESHOLD
from procedural.clip import clip
from tests.provenance.encoded import reencoded

FRAMES, APART, OF_A_CLIP, PX, LEAST_PX = 50, 2, 97, 160, 128


def windows(seed: int) -> Iterator[list[np.ndarray]]:
    """The 97 windows of one clip."""
    rng = np.random.default_rng(seed)
    frames = clip(seed, frames=FRAMES + APART * (OF_A_CLIP - 1), px=PX).frames()
    if seed % 3 == 1:
        frames = [np.clip(f + rng.normal(0, 4, f.shape), 0, 255).astype(np.uint8) for f in frames]
    elif seed % 3 == 2:
        frames = reencoded(frames, crf=28)
    for i in range(OF_A_CLIP):
        side = int(rng.integers(LEAST_PX, PX + 1))
        top, left = rng.integers(0, PX - side + 1, 2)
        yield [f[top : top + side, left : left + side] for f in frames[i * APART : i * APART + FRAMES]]


def scores(seed: int) -> list[float]:
    """The score of each window of one clip."""
    cv2.setNumThreads(1)
    return [score(frames) for frames in windows(seed)]


def score(frames: list[np.ndarray]) -> float:
    """What `InvisibleMarkFinder` holds against `THRESHOLD`, which tells 0 where this is below."""
    evidence = Evidence()
    for frame in frames:
        evidence.add(frame)
    return align(evidence.picture()).score


def report(found: np.ndarray, seeds: int) -> str:
    """What was run and what came of it. Of no find among n the rate is below 3 / n with a confidence of 95 %."""
    lines = [
        f"{len(found)} windows of {FRAMES} frames, of {seeds} clips: {int((found >= THRESHOLD).sum())} false finds "
        f"(score {THRESHOLD:g} or more), best score {found.max():.1f}",
        f"without a find, the rate is below {3 / len(found):.1e} a window (95 %)",
    ]
    lines += [f"score {least:+d} or more: {int((found >= least).sum())}" for least in range(-6, 4)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    wanted = parser.parse_args()
    seeds = range(wanted.first_seed, wanted.first_seed + -(-wanted.windows // OF_A_CLIP))
    # Products this small are slower on many threads; a process that is spawned reads this before numpy does.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    found: list[float] = []
    with multiprocessing.get_context("spawn").Pool(wanted.processes) as pool:
        for done, some in enumerate(pool.imap(scores, seeds), 1):
            found += some
            if done % 10 == 0 and done < len(seeds):  # a run that is stopped early has said what it saw
                print(report(np.array(found), done), end="\n\n", flush=True)
    print(report(np.array(found), len(seeds)))


if __name__ == "__main__":
    main()
