"""The one limit, in bytes, to what a picture from elsewhere may decode to. Told before anything is decoded.

Pillow holds a pixel in four bytes, and a video's decoder holds the picture before beside the one it makes; so 64
megapixels of a photograph and 42 of a common video fit: more than a camera's portrait or an 8K video has, less than
hurts a small machine.
"""

from __future__ import annotations

from engines.errors import InputError

MAX_BYTES = 256_000_000  # of one decoded picture, as its decoder holds it
PICTURE_BYTES = 4  # of a pixel in Pillow, whatever its mode has less
VIDEO_BYTES = 6  # of a pixel in two pictures of 8 bits a colour


def most_pixels(bytes_per_pixel: float) -> int:
    """How many pixels of so many bytes may be decoded."""
    return int(MAX_BYTES / bytes_per_pixel)


def check_pixels(name: object, width: int, height: int, bytes_per_pixel: float) -> None:
    """Raises InputError for a picture that decodes to more than MAX_BYTES."""
    most = most_pixels(bytes_per_pixel)
    if width * height > most:
        raise too_large(name, f"{width} x {height} pixels", most)


def too_large(name: object, found: str, most: int) -> InputError:
    """The error for what has `found` where at most `most` pixels are decoded."""
    return InputError(
        f"{name} has {found}; at most {most // 10**6} megapixels are decoded: make the picture smaller first"
    )
