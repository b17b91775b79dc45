"""Any picture a user may have, as (H, W, 3) uint8 RGB.

Turned as its EXIF says. Transparency is laid on black: the release saw such pictures without their alpha,
and black is what most pictures hold under it. CMYK, palette, grey and 16-bit pictures are
converted; 16 bits are scaled to 8 by their full range.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.errors import InputError
from hp_trt.interface.arguments import shown

if TYPE_CHECKING:
    from PIL import Image

# 64 megapixels decode to 192 MB: more than any camera's portrait needs, less than hurts a small machine.
MAX_PIXELS = 64_000_000
MAX_SIDE = 32_766  # what OpenCV can warp: it counts pixels in 16 bits


def load_image(source: Path | str | np.ndarray, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """(H, W, 3) uint8 RGB, contiguous; the caller owns it.

    An array is checked and copied: (H, W, 3) or (H, W, 4) uint8, RGB first. Raises InputError.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    path = Path(source)
    if not path.exists():
        raise InputError(f"{path}: no such file; give the path of a picture (PNG, JPEG, WebP, ...)")
    if not path.is_file():
        raise InputError(f"{path} is not a file; give the path of a picture (PNG, JPEG, WebP, ...)")
    return _read(path, max_pixels)


def _read(path: Path, max_pixels: int) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            with Image.open(path) as image:
                if image.width * image.height > max_pixels:
                    raise _too_large(path, f"{image.width} x {image.height} pixels", max_pixels)
                return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture that Pillow can read; give a PNG, JPEG or WebP file") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, "far more pixels", max_pixels) from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: permission denied; change its permissions") from error
    except (OSError, SyntaxError, ValueError, MemoryError) as error:  # what Pillow raises on damaged files
        raise InputError(f"{path} is a damaged picture ({error}); save it again, or use another one") from error


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith(("I", "F")):
        return _from_wide(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_black(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def _from_wide(grey: np.ndarray) -> np.ndarray:
    """Grey (H, W) of more than 8 bits, by the full range of what it holds; floats count as 0 to 1."""
    values = np.nan_to_num(grey.astype(np.float64))
    if grey.dtype.kind == "f":
        top = 1.0
    elif grey.dtype.itemsize > 2 and values.max(initial=0) <= 255:
        top = 255.0  # 8-bit values in a 32-bit file
    else:
        top = 65535.0
    return np.repeat(np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8)[:, :, None], 3, axis=2)


def _on_black(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    return ((rgba[:, :, :3] * alpha + 127) // 255).astype(np.uint8)


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
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise InputError(
            f"{what} has {width} x {height} pixels; at most {MAX_SIDE} a side and {MAX_PIXELS / 1e6:.0f} megapixels "
            "are taken: make it smaller first"
        )
    return np.ascontiguousarray(found)


def _from_array(array: np.ndarray) -> np.ndarray:
    checked = checked_picture(array, "a picture that is an array", channels=(3, 4))
    return _on_black(checked) if checked.shape[2] == 4 else np.array(checked, order="C")


def _too_large(path: Path, found: str, max_pixels: int) -> InputError:
    return InputError(
        f"{path} has {found}; at most {max_pixels / 1e6:.0f} megapixels are decoded: make the picture smaller first"
    )
