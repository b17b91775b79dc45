"""Colours that a picture means by its own profile, as sRGB, which everything here means by its numbers.

The conversion is littlecms's, by Pillow, with the profile's perceptual intent. A profile that says sRGB, by whatever
name and version, changes nothing: profiles are told apart by what they do to a grid of colours.

Source: ICC.1 (a profile's colour space).
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from engines.foreign import reason

if TYPE_CHECKING:
    from PIL import Image

Convert = Callable[["Image.Image"], "Image.Image"]  # of the mode that the profile needs -> RGB
_NEEDED_MODE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # by the profile's colour space
# Grey has its place in every RGB space; the other way round a profile is somebody's mistake: (needed, has).
_FITTING = {("RGB", "RGB"), ("RGB", "L"), ("L", "L"), ("CMYK", "CMYK")}
_NOBODY_SEES = 2  # levels: two versions of sRGB differ by so much in the dark


class UnusableProfileError(Exception):
    """Why a profile cannot be used, in words."""


def to_srgb(profile: bytes, mode: str) -> tuple[str, Convert] | None:
    """For a picture of Pillow's `mode`: the mode to give to the conversion, and the conversion to RGB.

    None where nothing changes. Raises UnusableProfileError for a profile that is damaged, or for other pictures.
    """
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        needed = _NEEDED_MODE.get(space)
        if needed is None or (needed, mode) not in _FITTING:
            raise UnusableProfileError(f"it is for {space} pictures")
        # A grey curve that littlecms simplifies is ten levels off in the dark.
        flags = ImageCms.Flags.NOOPTIMIZE if needed == "L" else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), needed, "RGB", flags=flags)
        if needed == "RGB" and _changes_nothing(transform):
            return None
    except UnusableProfileError:
        raise
    except Exception as error:
        raise UnusableProfileError(reason(error)) from error
    # The image is there: None is for conversions in place alone.
    return needed, lambda image: cast("Image.Image", ImageCms.applyTransform(image, transform))


def _changes_nothing(transform: Any) -> bool:
    from PIL import Image, ImageCms

    steps = np.arange(0, 256, 17, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(len(steps), -1, 3)
    done = np.asarray(ImageCms.applyTransform(Image.fromarray(grid), transform))
    return int(np.abs(done.astype(int) - grid).max()) <= _NOBODY_SEES
