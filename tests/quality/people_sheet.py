"""Varied people side by side, as one picture: docs/varied-people.webp is what this draws.

    python -m tests.quality.people_sheet --seeds 0:24 --out docs/varied-people.webp

Each seed's person in the twelfth state of the seed's motion.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from engines.safe_output import safe_output
from hp_trt.measure.evaluation.config import parse_seeds
from procedural.motion import motion
from procedural.people import Person

COLUMNS, CELL_PX, STATE = 8, 128, 11


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


if __name__ == "__main__":
    main()
