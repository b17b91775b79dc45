"""What every portrait file holds: the picture as PNG, and where in it the made square is put back."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.encoded.encoded_file import EncodedFile
from hp_trt.media.images import MAX_SIDE, checked_picture
from hp_trt.media.pixel_limit import PICTURE_BYTES, check_pixels
from hp_trt.media.portrait import Portrait

PICTURE = "picture"  # the tensor: bytes of a PNG
_LEVEL = 3  # of zlib: a third of the usual one's time, and a tenth larger
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class KeptPortrait:
    """What is read of it."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB
    box: Box  # x0, y0, x1, y1 in the picture
    key: str  # of the portrait


def keep_portrait(portrait: Portrait, box: Sequence[int]) -> tuple[dict[str, Any], dict[str, np.ndarray], list[str]]:
    """Of an encoded portrait: what a header says, the tensors, and the notes."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(portrait.image).save(file, format="PNG", compress_level=_LEVEL)
    said = {"box": [int(side) for side in box], "key": portrait.key}
    path = portrait.path  # where it lies is nobody's concern but the maker's
    notes = [note if path is None else note.replace(str(path), path.name) for note in portrait.notes]
    return said, {PICTURE: np.frombuffer(file.getvalue(), np.uint8)}, notes


def read_portrait(file: EncodedFile) -> KeptPortrait:
    """What `keep_portrait` kept, behind the file's own hash. Raises InputError."""
    with file.reading():
        key = file.about["key"].text(most=128)
        if not re.fullmatch(r"[0-9a-f]{64}", key):
            raise file.about["key"].wrong("64 lower-case hex digits")
        x0, y0, x1, y1 = (side.whole(0, MAX_SIDE) for side in file.about["box"].listed(least=4, most=4))
    file.require_bytes(PICTURE)
    file.check_content()
    with file.reading():
        pixels = _pixels(file.array(PICTURE).tobytes(), file.path)
        height, width = pixels.shape[:2]
        if not (x0 < x1 <= width and y0 < y1 <= height):
            raise file.about["box"].wrong(f"a part of the picture of {width} x {height} pixels")
    return KeptPortrait(pixels=pixels, box=(x0, y0, x1, y1), key=key)


def picture_of(path: Path) -> np.ndarray:
    """The picture in a portrait file, (H, W, 3) uint8 RGB, for whoever wants to see it. Raises InputError."""
    return read_portrait(EncodedFile(path, "portrait")).pixels


def refuse_landmarks(landmarks: object, what: str) -> None:
    """Raises InputError for landmarks of a face that was found when the file was made."""
    if landmarks is not None:
        raise InputError(f"landmarks: {what} is encoded already, and its faces were found then; leave them out")


def _pixels(content: bytes, path: Path) -> np.ndarray:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # our own limit is lower than Pillow's
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            check_pixels(path, image.width, image.height, PICTURE_BYTES)
            if image.mode != "RGB":
                raise ValueError(f"its picture is of {image.mode}, needed is RGB")
            image.load()
            return checked_picture(np.array(image), "its picture")
