"""Painting the face: shaded skin, ears, eyes, brows, nose, mouth, glasses."""

from __future__ import annotations

import numpy as np

from procedural import features
from procedural.canvas import Canvas
from procedural.head import Head
from procedural.identity import mix, shade
from procedural.manner import PLAIN, Manner

_ROUND = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_SQUARISH = (
    np.sign(np.cos(_ROUND)) * np.abs(np.cos(_ROUND)) ** 0.55,
    np.sign(np.sin(_ROUND)) * np.abs(np.sin(_ROUND)) ** 0.55,
)


def ears(canvas: Canvas, head: Head, alpha: dict[int, float]) -> None:
    """Each ear as solid as `alpha` says for its side."""
    skin = head.identity.skin
    for side, solid in alpha.items():
        canvas.fill(features.ear(head, side), shade(skin, 0.9), solid)
        canvas.fill(features.ear(head, side, 0.55), shade(skin, 0.74), solid)


def near_ears(head: Head) -> dict[int, float]:
    """How much of each ear lies before the head's outline rather than behind it."""
    return {side: float(np.clip((head.facing((side, 0.0, 0.0)) - 0.05) / 0.2, 0, 1)) for side in (-1, 1)}


def shading(canvas: Canvas, head: Head, outline: np.ndarray, manner: Manner = PLAIN) -> None:
    """Light on forehead, cheeks and chin; shade in the eye sockets and along the temples."""
    who, skin = head.identity, head.identity.skin
    mask = canvas.mask(outline)

    lights: list[tuple[float, float, float, float, float, float, float]] = [  # x, y, radii, shade, alpha, redness
        (0, -0.115, 0.17, 0.11, 1.07, 0.8, 0)
    ]
    for side in (-1, 1):
        lights.append((side * who.width * 0.93, 0.05, 0.06, 0.22, 0.80, 0.5, 0))
        lights.append((side * who.eye_x, who.eye_y - 0.012, 0.098, 0.078, 0.66, 0.65, 0))
        lights.append((side * 0.118, 0.110, 0.075, 0.062, 1.07, 0.75, 0.08 + 0.35 * who.blush))
    lights.append((0, 0.045, 0.032, 0.11, 1.10, 0.8, 0))
    under = 0.62 * who.mouth_y + 0.38 * who.chin + 0.045 * head.state.jaw
    lights.append((0, under, 0.075, 0.022, 0.78, 0.6, 0))
    x, y, rx, ry, *_ = np.array(lights).T
    places = head.curves({"middle": (x, y, 0.0), "right": (x + rx / 4, y, 0.0), "down": (x, y + ry / 4, 0.0)})
    rights, downs = 4 * (places["right"] - places["middle"]), 4 * (places["down"] - places["middle"])
    for place, right, down, light in zip(places["middle"], rights, downs, lights, strict=True):
        *_, factor, alpha, red = light
        canvas.glow(place, right, down, mix(shade(skin, factor), (226, 80, 80), red), alpha * manner.glow, mask)


def eye(canvas: Canvas, head: Head, side: int, manner: Manner = PLAIN) -> None:
    who, seen = head.identity, features.eye(head, side)
    canvas.stroke(seen.crease, 0.006, shade(who.skin, 0.62), 0.8 * manner.crease)
    if seen.opening > 0.02:
        hole = canvas.hole(np.concatenate([seen.upper, seen.lower[::-1]]))
        if hole is not None:
            hole.pixels[:] = manner.white
            hole.fill(seen.iris, who.iris)
            hole.fill(seen.pupil, (14, 12, 14))
            hole.fill(seen.glint, (255, 255, 255))
            canvas.show(hole)
    taper = np.sin(np.linspace(0.35, np.pi - 0.35, len(seen.upper)))
    canvas.stroke(seen.lower, 0.006 * taper, shade(who.skin, 0.5))
    canvas.stroke(seen.upper, 0.017 * manner.lash_width * taper, manner.lash)


def brow(canvas: Canvas, head: Head, side: int, manner: Manner = PLAIN) -> None:
    points = features.brow(head, side)
    inner = -side * np.linspace(-1, 1, len(points))
    thick = head.identity.brow_thick * manner.brow
    canvas.stroke(points, thick * (0.72 + 0.28 * inner) * head.state.scale, head.identity.brow)


def nose(canvas: Canvas, head: Head, manner: Manner = PLAIN) -> None:
    skin, seen = head.identity.skin, features.nose(head)
    canvas.fill(seen.body, shade(skin, 1.06), manner.nose)
    taper = np.sin(np.linspace(0.4, np.pi - 0.4, len(seen.under)))
    canvas.stroke(seen.under, 0.012 * taper, shade(skin, 0.6), manner.nose_line)
    for nostril in seen.nostrils:
        canvas.fill(nostril, shade(skin, 0.42), manner.nose_line)
    r = 0.011 * head.state.scale
    canvas.fill(
        seen.tip + r * np.stack([np.cos(_ROUND), 0.8 * np.sin(_ROUND)], axis=1), shade(skin, 1.2), 0.6 * manner.nose
    )


def mouth(canvas: Canvas, head: Head, manner: Manner = PLAIN) -> None:
    who, seen = head.identity, features.mouth(head)
    canvas.fill(seen.lips, who.lips)
    if seen.gap > 0.0015:
        hole = canvas.hole(seen.hole)
        if hole is not None:
            hole.pixels[:] = (70, 18, 26)
            hole.fill(seen.tongue, (206, 92, 98))
            hole.fill(seen.teeth, manner.teeth)
            canvas.show(hole)
    taper = np.sin(np.linspace(0.6, np.pi - 0.6, len(seen.seam)))
    canvas.stroke(seen.seam, 0.007 * taper, shade(who.lips, 0.5), manner.seam)


def glasses(canvas: Canvas, head: Head) -> None:
    who = head.identity
    if who.glasses is None:
        return
    across, down = (np.cos(_ROUND), np.sin(_ROUND)) if who.glasses_round else _SQUARISH
    rx, ry = who.eye_x * 0.80, who.eye_height * (2.1 if who.glasses_round else 1.75)
    for side in (-1, 1):
        lens = head.at(side * who.eye_x * 1.04 + rx * across, who.eye_y + 0.006 + ry * down, 0.03)
        canvas.fill(lens, (255, 255, 255), 0.12)
        canvas.stroke(np.concatenate([lens, lens[:2]]), 0.011 * head.state.scale, who.glasses)
        hinge = lens[np.argmax(side * across)]
        ear = head.place(np.array([[side * (who.width * 0.99 + 0.008), 0.005, -0.01]]))[0]
        seen = float(np.clip((head.facing((side, 0.0, 0.0)) + 0.35) / 0.3, 0, 1))
        canvas.stroke(np.stack([hinge, ear]), 0.010 * head.state.scale, who.glasses, seen)
    gap = who.eye_x * 1.04 - rx
    t = np.linspace(-1, 1, 9)
    bridge = head.at(gap * t, who.eye_y - 0.006 - 0.008 * (1 - t * t), 0.034)
    canvas.stroke(bridge, 0.011 * head.state.scale, who.glasses)
