"""A batch at a glance: one picture with a line for each clip, its portrait and evenly spaced frames of it.

Of many clips some are shown, evenly spaced too. A clip that cannot be read is left out: the report tells of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.errors import HpTrtError
from hp_trt.apps.batch.pairs import Pair
from hp_trt.encoded.encoded_file import is_encoded
from hp_trt.encoded.kept_portrait import picture_of
from hp_trt.media.contact_sheet import CELL_PX, evenly_spaced, thumbnail, thumbnails
from hp_trt.media.images import load_image
from hp_trt.media.seal import Seal, marked, sealed_output
from hp_trt.media.video import VideoReader

if TYPE_CHECKING:
    from PIL import Image

MOST_CLIPS, FRAMES = 24, 5
_GAP, _LINE = 8, 22  # pixels: between cells, of a line of text
_INK, _PAPER = (43, 45, 51), (255, 255, 255)
_LETTERS = 90


def write_batch_sheet(path: Path, pairs: Sequence[Pair], out: Path, seal: Seal | None) -> int:
    """Write the PNG `path` of clips in the folder `out`; how many it shows. None is written where none can be shown.

    Raises OutputError.
    """
    from PIL import Image

    lines = []
    for number in evenly_spaced(len(pairs), MOST_CLIPS) if pairs else []:
        try:
            lines.append((pairs[number].out, _cells(pairs[number], out)))
        except (HpTrtError, OSError):
            continue
    if lines:
        with sealed_output(path, seal, left="The clips are complete") as part:
            Image.fromarray(marked(np.asarray(_draw(lines)), seal)).save(part, format="PNG")
    return len(lines)


def _cells(pair: Pair, out: Path) -> list[Image.Image]:
    """The portrait and frames of its clip."""
    picture = picture_of(pair.portrait) if is_encoded(pair.portrait) else load_image(pair.portrait)
    clip = out / pair.out
    chosen = evenly_spaced(VideoReader(clip).info.frames or 1, FRAMES)
    return [thumbnail(picture), *(image for _, image in thumbnails(clip, chosen))]


def _draw(lines: Sequence[tuple[str, list[Image.Image]]]) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFont

    step, row = CELL_PX + _GAP, CELL_PX + _GAP + _LINE
    sheet = Image.new("RGB", (_GAP + (1 + FRAMES) * step, len(lines) * row), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, (name, cells) in enumerate(lines):
        shown = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 4]} ..."
        pen.text((_GAP, number * row + _LINE // 2), shown, fill=_INK, font=font, anchor="lm")
        for column, image in enumerate(cells):
            x, y = _GAP + column * step, number * row + _LINE
            sheet.paste(image, (x + (CELL_PX - image.width) // 2, y + (CELL_PX - image.height) // 2))
    return sheet
