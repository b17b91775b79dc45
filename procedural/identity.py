"""Who is drawn: proportions and colours, from a seed.

Lengths are in picture sides (1 = the picture's width), colours RGB in 0 .. 255.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

Color = tuple[int, int, int]

HAIR_STYLES = ("bald", "short", "parted", "fringe", "bob", "long", "bun", "curly")
COLLARS = ("round", "v", "shirt", "high")

_SKINS: tuple[Color, ...] = (
    (250, 216, 190), (246, 204, 172), (242, 194, 158), (232, 178, 138), (218, 160, 118), (198, 136, 94),
    (172, 112, 74), (146, 92, 60), (120, 74, 50),
)  # fmt: skip
_HAIRS: tuple[Color, ...] = (
    (38, 30, 34), (58, 38, 30), (92, 56, 34), (130, 78, 40), (176, 84, 36), (222, 170, 84), (236, 204, 130),
    (168, 168, 176), (60, 70, 120), (150, 60, 110),
)  # fmt: skip
_IRISES: tuple[Color, ...] = ((66, 44, 30), (84, 56, 34), (58, 92, 60), (52, 92, 140), (80, 100, 112), (96, 76, 40))


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything about a drawn person that does not move."""

    skin: Color
    width: float  # half the face's
    crown: float  # from the head's middle up
    chin: float  # from the head's middle down
    jaw: float  # -0.1 pointed .. 0.1 square
    hair: Color
    style: str  # of HAIR_STYLES
    volume: float  # how far the hair stands off, as a part of the head
    iris: Color
    eye_x: float  # from the middle of the face
    eye_y: float
    eye_width: float  # half
    eye_height: float  # half, when open
    eye_slant: float  # + outer corners up
    brow: Color
    brow_y: float  # above the eye
    brow_thick: float
    nose_y: float
    nose_width: float  # half
    nose_out: float  # how far the tip stands off
    mouth_y: float
    mouth_width: float  # half
    lips: Color
    lip_thick: float
    blush: float  # 0 .. 1
    ears: float
    glasses: Color | None
    glasses_round: bool
    clothes: Color
    trim: Color
    collar: str  # of COLLARS
    shoulders: float  # half their width
    wall: tuple[Color, Color]  # top and bottom
    spots: tuple[tuple[float, float, float, Color], ...]  # x, y, radius and colour of large soft shapes on the wall

    @classmethod
    def random(cls, seed: int) -> Identity:
        rng = np.random.default_rng([seed, 77])

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        tone = between(0, len(_SKINS) - 1)
        skin = mix(_SKINS[int(tone)], _SKINS[min(int(tone) + 1, len(_SKINS) - 1)], tone % 1)
        pale = 1 - tone / (len(_SKINS) - 1)
        usual = rng.random() > 0.12
        dark_hairs = 3 if pale < 0.5 and usual else 7 if usual else len(_HAIRS)
        hair = _HAIRS[int(rng.integers(dark_hairs))]
        hair = shade(hair, between(0.85, 1.15))
        wall = _apart(rng, (skin, hair), saturation=(0.2, 0.58), value=(0.6, 0.9))
        clothes = _apart(rng, (skin, wall), saturation=(0.45, 0.9), value=(0.35, 0.85))
        trim = _apart(rng, (clothes, skin), saturation=(0.1, 0.8), value=(0.3, 1.0))
        frame = ((30, 28, 34), (120, 40, 36), (40, 60, 110), (90, 60, 30))[int(rng.integers(4))]
        width = between(0.212, 0.242)
        return cls(
            skin=skin,
            width=width,
            crown=between(0.275, 0.30),
            chin=between(0.285, 0.325),
            jaw=between(-0.05, 0.11),
            hair=hair,
            style=HAIR_STYLES[int(rng.choice(len(HAIR_STYLES), p=(0.08, 0.17, 0.16, 0.14, 0.13, 0.14, 0.09, 0.09)))],
            volume=between(0.06, 0.12),
            iris=_IRISES[int(rng.integers(2 if pale < 0.4 else len(_IRISES)))],
            eye_x=width * between(0.39, 0.445),
            eye_y=between(-0.005, 0.018),
            eye_width=between(0.047, 0.057),
            eye_height=between(0.031, 0.041),
            eye_slant=between(-0.004, 0.008),
            brow=shade(mix(hair, (40, 28, 26), 0.55), 0.8 if pale > 0.4 else 0.5),
            brow_y=between(0.070, 0.084),
            brow_thick=between(0.016, 0.028),
            nose_y=between(0.095, 0.115),
            nose_width=between(0.032, 0.048),
            nose_out=between(0.045, 0.075),
            mouth_y=between(0.175, 0.192),
            mouth_width=between(0.078, 0.100),
            lips=mix(shade(skin, 0.72 + 0.45 * (1 - pale)), (204, 50, 72), between(0.4, 0.75)),
            lip_thick=between(0.014, 0.023),
            blush=between(0, 0.5),
            ears=between(0.042, 0.056),
            glasses=frame if rng.random() < 0.2 else None,
            glasses_round=bool(rng.random() < 0.5),
            clothes=clothes,
            trim=trim,
            collar=COLLARS[int(rng.integers(len(COLLARS)))],
            shoulders=between(0.36, 0.46),
            wall=(shade(wall, between(1.02, 1.15)), shade(wall, between(0.82, 0.98))),
            spots=tuple(
                (between(0, 1), between(0, 0.8), between(0.12, 0.3), shade(wall, between(0.85, 1.2)))
                for _ in range(int(rng.integers(3)))
            ),
        )


def shade(color: Color, factor: float) -> Color:
    """Darker below 1, lighter above, as far as 255 allows."""
    r, g, b = (min(255, round(c * factor)) for c in color)
    return r, g, b


def mix(color: Color, other: Color, part: float) -> Color:
    """`part` 0 is `color`, 1 is `other`."""
    r, g, b = (round(c + part * (o - c)) for c, o in zip(color, other, strict=True))
    return r, g, b


def _apart(
    rng: np.random.Generator,
    others: tuple[Color, ...],
    *,
    saturation: tuple[float, float],
    value: tuple[float, float],
) -> Color:
    """Of twelve random colours the one that is farthest from its nearest of `others`."""
    best, farthest = (0, 0, 0), -1.0
    for _ in range(12):
        r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
        color = round(255 * r), round(255 * g), round(255 * b)
        nearest = min(float(np.linalg.norm(np.subtract(color, other))) for other in others)
        if nearest > farthest:
            best, farthest = color, nearest
        if farthest > 110:
            break
    return best
