"""A clip at a glance: one picture with the portrait, and evenly spaced frames of the driving video, where there is one,
above the result's; named pictures may stand in a line below.

It is made from the files, after the result is complete: each video is walked through once more, and of a clip of any
length only the thumbnails of the chosen frames are held. The picture appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.safe_output import check_outputs
from hp_trt.media.images import load_image
from hp_trt.media.seal import Seal, marked, sealed_output
from hp_trt.media.video import VideoReader

if TYPE_CHECKING:
    from PIL import Image

COLUMNS = 8
CELL_PX = 160  # a thumbnail's square
_GAP, _LINE, _WORD = 8, 24, 72  # pixels: between cells, of a line of text, of a row's name
_INK, _PAPER = (43, 45, 51), (255, 255, 255)


def check_sheet(path: Path, inputs: Mapping[str, Path | str | None]) -> None:
    """Raises OutputError when no sheet can be written there, InputError when it would replace one of `inputs`."""
    check_outputs({"the contact sheet": path}, inputs, suffixes=(".png",))


def write_sheet(
    path: Path,
    *,
    portrait: Path | np.ndarray,
    driving: Path | None,
    result: Path,
    frames: int,
    below: Sequence[tuple[str, np.ndarray]] = (),
    seal: Seal | None = None,
) -> None:
    """Write the PNG `path`; `portrait` is a picture's file, or (H, W, 3) uint8 RGB, `frames` how many each video has,
    `below` pictures (H, W, 3) uint8 with their names, shown pixel by pixel, `seal` of the run that made the result.

    Raises OutputError, InputError as the readers do.
    """
    from PIL import Image

    chosen = evenly_spaced(frames, COLUMNS)
    rows = {} if driving is None else {"driving": thumbnails(driving, chosen)}
    sheet = _draw(thumbnail(load_image(portrait)), {**rows, "result": thumbnails(result, chosen)})
    if below:
        sheet = _with_line(sheet, below)
    with sealed_output(path, seal, left=f"{result} is complete") as part:
        Image.fromarray(marked(np.asarray(sheet), seal)).save(part, format="PNG")


def evenly_spaced(total: int, count: int) -> list[int]:
    """At most `count` different numbers of 0 .. total-1, the first and the last among them."""
    return sorted({int(n) for n in np.linspace(0, total - 1, min(count, total)).round()})


def thumbnails(video: Path, chosen: list[int]) -> list[tuple[str, Image.Image]]:
    """(time since the first frame, thumbnail) of the chosen frames."""
    row, start_s = [], None
    for number, frame in enumerate(VideoReader(video).timed()):
        start_s = frame.time_s if start_s is None else start_s
        if number in chosen:
            row.append((f"{float(frame.time_s - start_s):.2f} s", thumbnail(frame.image)))
        if number == chosen[-1]:
            break
    return row


def thumbnail(image: np.ndarray) -> Image.Image:
    """The picture (H, W, 3) uint8 RGB, as large as fits into CELL_PX a side."""
    from PIL import Image, ImageOps

    return ImageOps.contain(Image.fromarray(image), (CELL_PX, CELL_PX))


def _with_line(sheet: Image.Image, pictures: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """The sheet with a line of pictures below it, each under its name; as wide as the wider of the two."""
    from PIL import Image, ImageDraw, ImageFont

    width = sum(picture.shape[1] + _GAP for _, picture in pictures)
    left = max((sheet.width - width) // 2, _GAP)
    height = _LINE + max(picture.shape[0] for _, picture in pictures) + _GAP
    whole = Image.new("RGB", (max(sheet.width, left + width), sheet.height + height), _PAPER)
    whole.paste(sheet, (0, 0))
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(14)
    for name, picture in pictures:
        middle = left + picture.shape[1] // 2, sheet.height + _LINE // 2
        pen.text(middle, name, fill=_INK, font=font, anchor="mm")
        whole.paste(Image.fromarray(picture), (left, sheet.height + _LINE))
        left += picture.shape[1] + _GAP
    return whole


def _draw(portrait: Image.Image, rows: Mapping[str, list[tuple[str, Image.Image]]]) -> Image.Image:
    """`rows` by name, of equal lengths; the first one's times stand above them."""
    from PIL import Image, ImageDraw, ImageFont

    step = CELL_PX + _GAP
    left = _GAP + step + _WORD  # of the first frame
    timed = next(iter(rows.values()))
    sheet = Image.new("RGB", (left + len(timed) * step, _LINE + len(rows) * step), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)

    def put(image: Image.Image, x: int, y: int) -> None:
        """Into the middle of the cell at x, y."""
        sheet.paste(image, (x + (CELL_PX - image.width) // 2, y + (CELL_PX - image.height) // 2))

    def say(text: str, x: int, y: int) -> None:
        pen.text((x, y), text, fill=_INK, font=font, anchor="mm")

    middle = _LINE + (step - CELL_PX) // 2 + (len(rows) - 1) * step // 2
    put(portrait, _GAP, middle)
    say("portrait", _GAP + CELL_PX // 2, middle - _LINE // 2)
    for number, (name, row) in enumerate(rows.items()):
        y = _LINE + number * step
        say(name, left - _GAP - _WORD // 2, y + CELL_PX // 2)
        for column, (_, image) in enumerate(row):
            put(image, left + column * step, y)
    for column, (time, _) in enumerate(timed):
        say(time, left + column * step + CELL_PX // 2, _LINE // 2)
    return sheet
