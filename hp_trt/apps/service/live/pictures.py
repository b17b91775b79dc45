"""Pictures that come and go as bytes, at arm's length: limits before anything is decoded."""

from __future__ import annotations

import io

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.media.images import picture_of_bytes

_ADVICE = "send a baseline JPEG"
# A progressive picture may be gone over ten thousand times in a megabyte, each time all of it.
_MOST_SCANS = 64
_PORTRAITS = ("JPEG", "PNG", "WEBP")
_SCAN = b"\xff\xda"


def driving_picture(data: bytes, *, most_pixels: int) -> np.ndarray:
    """A camera's frame (H, W, 3) uint8 RGB of a JPEG. Raises InputError for what is none, or larger."""
    from PIL import Image

    with foreign("a frame is a damaged JPEG", _ADVICE), Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        if image.width * image.height > most_pixels:
            raise InputError(
                f"a frame has {image.width} x {image.height} pixels; at most {most_pixels / 1e6:.1f} megapixels are "
                "taken: send smaller ones"
            )
        if image.info.get("progressive") or data.count(_SCAN) > _MOST_SCANS:
            raise InputError(f"a frame is a progressive JPEG; {_ADVICE}")
        return np.asarray(image.convert("RGB"))


def portrait_picture(data: bytes, *, longest_px: int) -> np.ndarray:
    """A portrait (H, W, 3) uint8 RGB of the bytes of a picture, no side longer than that. Raises InputError.

    Every frame that is shown has the whole portrait in it: a photograph of 20 megapixels is no picture to send 25 times
    a second.
    """
    if data.count(_SCAN) > _MOST_SCANS:
        raise InputError(f"the portrait is a JPEG of more than {_MOST_SCANS} scans; save it again, or use another one")
    return shrunk(picture_of_bytes(data, "the portrait", formats=_PORTRAITS).pixels, longest_px)


def shrunk(picture: np.ndarray, longest_px: int) -> np.ndarray:
    """(H, W, 3) uint8, itself where no side is longer."""
    import cv2

    height, width = picture.shape[:2]
    shrink = max(height, width) / longest_px
    if shrink <= 1:
        return picture
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def jpeg_of(picture: np.ndarray, quality: int) -> bytes:
    """The baseline JPEG of (H, W, 3) uint8 RGB."""
    import cv2

    made, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert made, "OpenCV has a JPEG encoder"
    return data.tobytes()
