"""Any picture a user may have, as (H, W, 3) uint8 RGB.

Turned as it says itself, its colours converted to sRGB. Transparency is laid on black: the release saw such pictures
without their alpha, and black is what most pictures hold under it. CMYK, palette, grey and 16-bit pictures are
converted; 16 bits are scaled to 8 by their full range. Of several pictures in a file the first is taken.

Pillow opens only the formats that are named here: some of its others start programs or hold pictures in pictures.
Everything is converted in strips, so that memory holds the decoded picture and the result alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.interface.arguments import shown
from hp_trt.media.colour import Convert, UnusableProfileError, to_srgb
from hp_trt.media.files import check_file
from hp_trt.media.heif_boxes import is_heif
from hp_trt.media.pixel_limit import PICTURE_BYTES, check_pixels, most_pixels, too_large
from hp_trt.media.turn import from_exif

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "DIB", "JPEG2000", "PPM", "TGA")
# Of a pixel: one decoder holds four bytes for each colour, the other two pictures beside Pillow's.
_DECODER_BYTES = {"JPEG2000": 16, "WEBP": 6}
_STRIP_PIXELS = 1_000_000
_ADVICE = "give the path of a picture (PNG, JPEG, WebP, HEIC, ...)"
_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
# What a profile of the picture sees, where that is not the mode itself.
_BASE_MODES = {
    "RGBA": "RGB",
    "RGBa": "RGB",
    "P": "RGB",
    "PA": "RGB",
    "1": "L",
    "LA": "L",
    "La": "L",
    "F": "L",
    "I": "L",
}
_BASE_MODES |= dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), "L")
MAX_SIDE = 32_766  # what OpenCV can warp: it counts pixels in 16 bits


@dataclass(frozen=True)
class LoadedPicture:
    """A picture, and what a user should know of it, a line each."""

    pixels: np.ndarray  # (H, W, 3) uint8 RGB, contiguous
    notes: tuple[str, ...] = ()


def load_image(source: Path | str | np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB, contiguous; the caller owns it.

    An array is checked and copied: (H, W, 3) or (H, W, 4) uint8, RGB first. Raises InputError.
    """
    return load_picture(source).pixels


def load_picture(source: Path | str | np.ndarray) -> LoadedPicture:
    """`load_image` with its notes."""
    if isinstance(source, np.ndarray):
        return LoadedPicture(_from_array(source))
    path = Path(source)
    check_file(path, _ADVICE)
    with foreign(f"{path} cannot be read", "use another picture"), open(path, "rb") as file:
        head = file.read(64)
    if is_heif(head):
        from hp_trt.media import heic

        made = heic.read(path)
        return _by_profile(made.pixels, made.profile, path)
    return _read(path, path)


def picture_of_bytes(data: bytes, name: str, *, formats: Sequence[str] = FORMATS) -> LoadedPicture:
    """`load_picture` of what lies in memory, but no HEIC; `name` is what a message calls it. Raises InputError."""
    return _read(BytesIO(data), name, formats)


def _read(source: Path | BytesIO, path: Path | str, formats: Sequence[str] = FORMATS) -> LoadedPicture:
    """`path`: its name."""
    from PIL import Image, UnidentifiedImageError

    with foreign(f"{path} is a damaged picture", "save it again, or use another one"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # our own limit is lower than Pillow's, and its reader forgives much
        Image.init()
        try:
            with Image.open(source, formats=[name for name in formats if name in Image.OPEN]) as image:
                check_pixels(path, image.width, image.height, _DECODER_BYTES.get(image.format or "", PICTURE_BYTES))
                _check_tiles(image, path)
                return _converted(image, path)
        except UnidentifiedImageError as error:
            raise InputError(
                f"{path} is not a picture that Pillow can read here; give a PNG, JPEG, WebP or HEIC file"
            ) from error
        except Image.DecompressionBombError as error:
            raise too_large(path, "far more pixels", most_pixels(PICTURE_BYTES)) from error


def _check_tiles(image: Image.Image, path: Path | str) -> None:
    """A TIFF's tile may be larger than its picture, and is decoded whole."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None and 322 in tags and 323 in tags:
        check_pixels(path, int(tags[322]), int(tags[323]), PICTURE_BYTES)


def _converted(image: Image.Image, path: Path | str) -> LoadedPicture:
    image.load()
    turn = from_exif(image.getexif().get(0x0112))  # now: Pillow turns a TIFF itself, a PNG may say it at its end
    convert, notes = _profile_of(image.info.get("icc_profile"), _BASE_MODES.get(image.mode, image.mode), path)
    mode, to_rgb = convert or ("RGB", _unchanged)
    has_alpha = image.mode in _ALPHA or "transparency" in image.info
    white = _white(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows in _strips(image.height, image.width):
        part: Image.Image = image.crop((0, rows.start, image.width, rows.stop))
        if white is not None:
            part = _from_wide(part, white)
        if has_alpha:
            part = part.convert("RGBA")
            alpha = np.asarray(part.getchannel("A"))
            pixels[rows] = _on_black(np.asarray(to_rgb(part.convert("RGB").convert(mode))), alpha[:, :, None])
        else:
            pixels[rows] = np.asarray(to_rgb(part.convert(mode)))
    image.close()
    return LoadedPicture(turn.apply(pixels), notes)


def _by_profile(pixels: np.ndarray, profile: bytes | None, path: Path) -> LoadedPicture:
    """(H, W, 3) uint8 RGB, converted in place by its profile."""
    from PIL import Image

    convert, notes = _profile_of(profile, "RGB", path)
    if convert:
        for rows in _strips(*pixels.shape[:2]):
            pixels[rows] = np.asarray(convert[1](Image.fromarray(pixels[rows])))
    return LoadedPicture(pixels, notes)


def _profile_of(
    profile: bytes | None, mode: str, path: Path | str
) -> tuple[tuple[str, Convert] | None, tuple[str, ...]]:
    """What the profile does to a picture of `mode`, if anything, and what a user should know."""
    if not profile:
        return None, ()
    try:
        return to_srgb(profile, mode), ()
    except UnusableProfileError as error:
        return None, (f"the colour profile of {path} cannot be used ({error}): its colours are taken as sRGB",)


def _strips(height: int, width: int) -> Iterator[slice]:
    """Rows of about a megapixel."""
    rows = max(1, _STRIP_PIXELS // max(width, 1))
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))


def _unchanged(image: Image.Image) -> Image.Image:
    return image


def _white(image: Image.Image) -> float | None:
    """The value of white in a picture of more than 8 bits; None for others. Floats count as 0 to 1."""
    if image.mode == "F":
        return 1.0
    if image.mode == "I" and cast("tuple[int, int]", image.getextrema())[1] <= 255:
        return 255.0  # 8-bit values in a 32-bit file
    return 65535.0 if image.mode.startswith("I") else None


def _from_wide(image: Image.Image, white: float) -> Image.Image:
    """Grey of more than 8 bits as grey of 8, by the full range of what it holds."""
    from PIL import Image

    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    return Image.fromarray(np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8))


def _on_black(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W, 3) and (H, W, 1) uint8 -> (H, W, 3) uint8."""
    return ((colours * alpha.astype(np.uint16) + 127) // 255).astype(np.uint8)


def checked_picture(found: object, what: str, *, channels: tuple[int, ...] = (3,)) -> np.ndarray:
    """An array that an application has handed in as a picture, `what` for a message: (H, W, C) uint8, contiguous.

    The very array where it is contiguous: whoever keeps it copies it. Raises InputError.
    """
    need = " or ".join(f"(H, W, {count})" for count in channels)
    if not isinstance(found, np.ndarray):
        raise InputError(f"{what} must be an array {need} of uint8, red first, got {shown(found)}; convert it first")
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] not in channels:
        raise InputError(
            f"{what} must be {need} of uint8, red first, got {found.shape} {found.dtype}; convert it first"
        )
    height, width = found.shape[:2]
    if not found.size:
        raise InputError(f"{what} has no pixels: it is {found.shape}; hand in none where there is none")
    most = most_pixels(PICTURE_BYTES)
    if max(height, width) > MAX_SIDE or height * width > most:
        raise InputError(
            f"{what} has {width} x {height} pixels; at most {MAX_SIDE} a side and {most / 1e6:.0f} megapixels "
            "are taken: make it smaller first"
        )
    return np.ascontiguousarray(found)


def _from_array(array: np.ndarray) -> np.ndarray:
    checked = checked_picture(array, "a picture that is an array", channels=(3, 4))
    return _on_black(checked[:, :, :3], checked[:, :, 3:]) if checked.shape[2] == 4 else np.array(checked, order="C")
