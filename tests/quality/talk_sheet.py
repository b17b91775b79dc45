"""Mouths beside the sounds that they make, as one picture: docs/talking-people.webp is what this draws.

    python -m tests.quality.talk_sheet --bundle shipped:talk_pocket --seeds 0:5 --out docs/talking-people.webp

A row for what each drawn person should do, and one for what the bundle makes of their portrait and their sentence. The
columns are moments: the middles of a sentence's sounds, evenly spaced over it, named above by their symbols.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engines.safe_output import safe_output
from hp_trt.config import RuntimeConfig
from hp_trt.measure.evaluation.config import EvaluateConfig, parse_seeds
from hp_trt.measure.evaluation.contestants import bundle_columns
from hp_trt.measure.evaluation.pairs import Pair
from hp_trt.measure.evaluation.spoken import SpokenPairs, said
from hp_trt.shipped import bundle_folder
from procedural.speech import Phoneme
from runtime.hallo2.presets import FPS

COLUMNS, CELL_PX, LINE_PX, GAP_PX = 12, 128, 20, 4
# Pillow's own font has no phonetic symbols.
FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
PAPER, INK = (255, 255, 255), (43, 45, 51)


def moments(phonemes: Sequence[Phoneme], frames: int) -> list[tuple[str, int]]:
    """Symbol and frame of COLUMNS sounds, evenly spaced over a sentence."""
    middles = [(phoneme.symbol, round((phoneme.start_s + phoneme.end_s) / 2 * FPS)) for phoneme in phonemes]
    inside = [(symbol, frame) for symbol, frame in middles if frame < frames]
    return [inside[int(i)] for i in np.linspace(0, len(inside) - 1, COLUMNS).round()]


def strip(pair: Pair, made: Sequence[np.ndarray], chosen: Sequence[tuple[str, int]]) -> Image.Image:
    """One person: the symbols, the truth, and what was made."""
    step = CELL_PX + GAP_PX
    picture = Image.new("RGB", (COLUMNS * step, LINE_PX + 2 * step), PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.truetype(FONT, 13)
    assert pair.truth is not None
    for column, (symbol, frame) in enumerate(chosen):
        text = f"{symbol}  {frame / FPS:.2f} s"
        pen.text((column * step + CELL_PX // 2, LINE_PX // 2), text, fill=INK, font=font, anchor="mm")
        for row, images in enumerate((pair.truth, made)):
            cell = Image.fromarray(images[frame]).resize((CELL_PX, CELL_PX))
            picture.paste(cell, (column * step, LINE_PX + row * step))
    return picture


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=bundle_folder, required=True)
    parser.add_argument("--seeds", default="0:5")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    config = EvaluateConfig(protocol="talk", seeds=words.seeds, bundles=(words.bundle,))
    [column] = bundle_columns(replace(config, runtimes=(RuntimeConfig(),)))
    seeds = parse_seeds(words.seeds)
    source, strips = SpokenPairs(seeds, words.frames), []
    with column.opened() as animate:
        for index, seed in enumerate(seeds):
            pair = source.pair(index, column.bundle.manifest.geometry["crop_px"])
            chosen = moments(said(seed, words.frames).phonemes, words.frames)
            strips.append(strip(pair, animate(pair), chosen))
    sheet = Image.new("RGB", (strips[0].width, sum(s.height for s in strips)), PAPER)
    for number, one in enumerate(strips):
        sheet.paste(one, (0, number * one.height))
    with safe_output(words.out) as part:
        sheet.save(part, format=words.out.suffix[1:].upper(), quality=80)


if __name__ == "__main__":
    main()
