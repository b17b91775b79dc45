"""Where a face's features are: curves in the picture, for drawing and for landmarks alike.

`side` is -1 for the picture's left, 1 for its right. All curves are (N, 2) in picture sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from math import pi
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np

from procedural.head import JAW_DROP, Head

Words = ParamSpec("Words")
Curves = TypeVar("Curves")
_ARC = np.linspace(-1, 1, 17)
_ROUND = np.linspace(0, 2 * pi, 28, endpoint=False)
_COS, _SIN = np.cos(_ROUND), np.sin(_ROUND)
_MIDDLE = len(_ARC) // 2
BROW_LIFT = 0.026
_GAPE = 0.062  # between the lips at jaw = 1


def _once(find: Callable[Concatenate[Head, Words], Curves]) -> Callable[Concatenate[Head, Words], Curves]:
    """What `find` finds, kept with its head: paint, light and landmarks ask for the same curves."""

    @wraps(find)
    def known(head: Head, *words: Words.args, **named: Words.kwargs) -> Curves:
        key = (find.__name__, *words, *named.items())
        if key not in head.known:
            head.known[key] = find(head, *words, **named)
        return head.known[key]  # type: ignore[return-value]  # what was put there

    return known


@dataclass(frozen=True)
class Eye:
    upper: np.ndarray  # the lids' edges, from the picture's left to its right
    lower: np.ndarray
    crease: np.ndarray  # above the upper lid
    iris: np.ndarray
    pupil: np.ndarray
    glint: np.ndarray
    middle: np.ndarray  # (2,)
    iris_middle: np.ndarray
    opening: float  # 0 closed .. 1


@_once
def eye(head: Head, side: int) -> Eye:
    who, state = head.identity, head.state
    lid = state.lid_left if side < 0 else state.lid_right
    x, y = side * who.eye_x, who.eye_y
    bow = 1 - np.abs(_ARC) ** 2.3
    slant = -side * who.eye_slant * _ARC
    edge = x + who.eye_width * _ARC
    low = 0.72 * who.eye_height
    upper = y + slant + bow * (-who.eye_height + lid * (who.eye_height + 0.9 * low))
    lower = y + slant + bow * low * (1 - 0.1 * lid)
    crease = y + slant - bow * who.eye_height * (1.35 - 0.45 * lid)
    radius = 0.9 * who.eye_height
    look_x = x + state.gaze_x * (who.eye_width - 0.75 * radius) * 0.62
    look_y = y - 0.1 * who.eye_height + state.gaze_y * 0.34 * who.eye_height
    rise = 0.004

    def disc(part: float, dx: float = 0.0, dy: float = 0.0) -> tuple[np.ndarray, np.ndarray, float]:
        r = part * radius
        return look_x + dx * radius + r * _COS, look_y + dy * radius + r * _SIN, rise

    seen = head.curves(
        {
            "upper": (edge, upper, rise),
            "lower": (edge, lower, rise),
            "crease": (edge, crease, rise),
            "iris": disc(1.0),
            "pupil": disc(0.52),
            "glint": disc(0.24, -0.32, -0.34),
            "middle": (x, y, rise),
            "iris_middle": (look_x, look_y, rise),
        }
    )
    return Eye(
        upper=seen["upper"],
        lower=seen["lower"],
        crease=seen["crease"],
        iris=seen["iris"],
        pupil=seen["pupil"],
        glint=seen["glint"],
        middle=seen["middle"][0],
        iris_middle=seen["iris_middle"][0],
        opening=1 - lid,
    )


def brow(head: Head, side: int) -> np.ndarray:
    """From the picture's left to its right."""
    who, state = head.identity, head.state
    raised = state.brow_left if side < 0 else state.brow_right
    inner = -side * _ARC  # 1 at the nose
    height = who.eye_y - who.brow_y - BROW_LIFT * raised - 0.014 * (1 - _ARC**2) + 0.006 * inner
    height = height + 0.012 * np.maximum(0, -raised) * inner  # a frown pulls the inner ends down
    return head.at(side * who.eye_x * 1.03 + 1.22 * who.eye_width * _ARC, height, 0.010)


@dataclass(frozen=True)
class Nose:
    body: np.ndarray
    tip: np.ndarray  # (2,)
    bridge: np.ndarray  # (2,)
    under: np.ndarray  # the lower edge, from the picture's left to its right
    nostrils: tuple[np.ndarray, np.ndarray]


@_once
def nose(head: Head) -> Nose:
    who = head.identity
    w, out, y = who.nose_width, who.nose_out, who.nose_y
    top = who.eye_y + 0.01
    wing_t = np.linspace(0, pi, 15)
    under_x, under_y = -w * np.cos(wing_t), y + 0.004 + 0.017 * np.sin(wing_t) ** 0.8
    under_out = 0.012 + (0.75 * out - 0.012) * np.sin(wing_t)
    side_x, side_y = w * np.array([0.32, 0.36, 0.6]), np.array([top, (top + y) / 2, y - 0.018])
    side_out = np.array([0.012, 0.35 * out, 0.5 * out])
    hole_x, hole_y = 0.2 * w * _COS, y + 0.0125 + 0.0045 * _SIN
    seen = head.curves(
        {
            "left": (-side_x, side_y, side_out),
            "under": (under_x, under_y, under_out),
            "right": (side_x, side_y, side_out),
            "left nostril": (hole_x - 0.46 * w, hole_y, 0.5 * out),
            "right nostril": (hole_x + 0.46 * w, hole_y, 0.5 * out),
            "tip": (0.0, y - 0.004, out),
            "bridge": (0.0, top, 0.02),
        }
    )
    return Nose(
        body=np.concatenate([seen["left"], seen["under"], seen["right"][::-1]]),
        tip=seen["tip"][0],
        bridge=seen["bridge"][0],
        under=seen["under"],
        nostrils=(seen["left nostril"], seen["right nostril"]),
    )


@dataclass(frozen=True)
class Mouth:
    lips: np.ndarray  # the outline
    hole: np.ndarray  # between the lips
    teeth: np.ndarray
    tongue: np.ndarray
    seam: np.ndarray  # the lower edge of the upper lip, from the picture's left to its right
    upper_middle: np.ndarray  # (2,): that edge's middle
    lower_middle: np.ndarray  # (2,): the upper edge of the lower lip
    left: np.ndarray  # (2,): corner
    right: np.ndarray
    gap: float  # between the lips, in picture sides


@_once
def mouth(head: Head) -> Mouth:
    who, state = head.identity, head.state
    half = who.mouth_width * (1 + 0.14 * state.corners - 0.42 * state.rounding - 0.08 * state.jaw)
    gap = _GAPE * state.jaw + 0.012 * state.rounding * state.jaw
    thick = who.lip_thick * (1 + 0.35 * state.rounding)
    bow = 1 - np.abs(_ARC) ** (2.2 - 0.2 * state.rounding)
    x = half * _ARC
    corner = -0.024 * state.corners * np.abs(_ARC) ** 1.6 + 0.35 * JAW_DROP * state.jaw * np.abs(_ARC) ** 2
    rise = 0.012 + (0.006 + 0.014 * state.rounding) * bow
    seam = who.mouth_y + corner + 0.004 * bow - 0.12 * gap * bow
    floor = who.mouth_y + corner + 0.004 * bow + 0.88 * gap * bow
    dent = 0.18 * thick * np.exp(-((_ARC / 0.18) ** 2))
    top = seam - thick * 0.85 * bow**0.7 + dent
    bottom = floor + thick * 1.15 * bow**0.7
    inner = 0.9 * x
    show = state.teeth * min(0.018, 0.45 * gap)
    seen = head.curves(
        {
            "top": (1.05 * x, top, rise),
            "bottom": (1.05 * x, bottom, rise),
            "seam": (inner, seam, rise),
            "floor": (inner, floor, rise),
            "gums": (inner, seam - 0.01, rise),
            "teeth": (inner, seam + show * bow, rise),
            "tongue": (0.55 * half * _COS, who.mouth_y + 0.95 * gap + 0.42 * gap * _SIN, 0.012),
            "line": (x, seam, rise),
            "upper": (0.0, seam[_MIDDLE], rise[_MIDDLE]),
            "lower": (0.0, floor[_MIDDLE], rise[_MIDDLE]),
        }
    )
    return Mouth(
        lips=np.concatenate([seen["top"], seen["bottom"][::-1]]),
        hole=np.concatenate([seen["seam"], seen["floor"][::-1]]),
        teeth=np.concatenate([seen["gums"], seen["teeth"][::-1]]),
        tongue=seen["tongue"],
        seam=seen["line"],
        upper_middle=seen["upper"][0],
        lower_middle=seen["lower"][0],
        left=seen["line"][0],
        right=seen["line"][-1],
        gap=gap,
    )


def ear(head: Head, side: int, part: float = 1.0) -> np.ndarray:
    """An ear's outline; `part` < 1 is inside it."""
    who = head.identity
    away = _COS * 0.5 * part
    x = side * (who.width * 0.985 + 0.016 + 0.028 * away)
    y = 0.035 + part * who.ears * _SIN
    z = -0.035 - 0.05 * away
    return head.place(np.stack([x, y, z], axis=1))


def chin(head: Head) -> np.ndarray:
    sphere = np.array([[0.0, 0.96, 0.28]])
    return head.place(head.surface(sphere))[0]
