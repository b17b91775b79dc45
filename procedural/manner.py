"""How the parts of a face are painted: with the lines and flat shapes of a drawing, or with less of them.

Where the parts are does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from procedural.identity import Color


@dataclass(frozen=True, kw_only=True)
class Manner:
    """The defaults are the plain drawing. Parts are 0 .. 1 and more, of what the plain drawing has."""

    lash: Color = (38, 24, 26)
    lash_width: float = 1.0
    white: Color = (250, 248, 244)  # of the eye
    teeth: Color = (250, 248, 240)
    crease: float = 1.0  # of the lids
    glow: float = 1.0  # painted light and shade of the skin
    nose: float = 1.0  # its flat shape and its light tip
    nose_line: float = 1.0  # its lower edge and nostrils
    seam: float = 1.0  # between the lips
    brow: float = 1.0  # how thick
    shine: float = 1.0  # painted light on the hair


PLAIN = Manner()
