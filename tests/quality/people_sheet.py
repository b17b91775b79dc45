"""Varied people side by side, as one picture: docs/varied-people.webp is what this draws.

    python -m tests.quality.people_sheet --seeds 0:24 --out docs/varied-people.webp

Each seed's person in the twelfth state of the seed's motion. It also says how long a picture takes, of one core, beside
a plain one: of six of the seeds, twenty states each, what a person has once (textures) drawn before.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from engines.safe_output import safe_output
from hp_trt.measure.evaluation.config import parse_seeds
from procedural.motion import motion
from procedural.people import Person

COLUMNS, CELL_PX, STATE, TIMED = 8, 128, 11, 20


def milliseconds(px: int, seeds: Sequence[int], *, varied: bool) -> float:
    """Of a processor, for one picture."""
    cv2.setNumThreads(1)
    total, count = 0.0, 0
    for seed in seeds:
        person, states = Person.random(seed, varied=varied), motion(seed, TIMED)
        person.draw(states[0], px)
        start = time.process_time()
        for frame, state in enumerate(states):
            person.draw(state, px, frame)
        total, count = total + time.process_time() - start, count + len(states)
    return 1e3 * total / count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=parse_seeds, default=range(24))
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    cells = [Person.random(seed, varied=True).draw(motion(seed, STATE + 1)[STATE], CELL_PX) for seed in asked.seeds]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS)]
    with safe_output(asked.out) as part:
        Image.fromarray(np.vstack(rows)).save(part, format=asked.out.suffix[1:].upper(), quality=80)
    for px in (128, 256):
        plain, varied = (milliseconds(px, asked.seeds[:6], varied=how) for how in (False, True))
        print(f"{px} px: plain {plain:.1f} ms, varied {varied:.1f} ms, {varied / plain:.2f} times as long")


if __name__ == "__main__":
    main()
