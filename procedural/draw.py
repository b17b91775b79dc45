"""One frame: a head and shoulders before a wall."""

from __future__ import annotations

import numpy as np

from procedural import face, hair, scene
from procedural.canvas import Canvas
from procedural.head import Head
from procedural.identity import Identity
from procedural.motion import State


def draw(identity: Identity, state: State, px: int) -> np.ndarray:
    """(px, px, 3) uint8 RGB, smooth-edged; the same arrays for the same arguments."""
    canvas = Canvas(scene.wall(identity, px).copy(), px)
    head = Head(identity, state)
    skin = hair.skin(head)
    hair.back(canvas, head)
    scene.body(canvas, head, skin)
    if not hair.covers_ears(identity.style):
        face.ears(canvas, head, {-1: 1.0, 1: 1.0})
    hair.cap(canvas, head)
    canvas.fill(skin, identity.skin)
    face.shading(canvas, head, skin)
    if not hair.covers_ears(identity.style):
        face.ears(canvas, head, face.near_ears(head))
    face.mouth(canvas, head)
    for turned in (-1, 1):
        face.eye(canvas, head, turned)
    hair.fringe(canvas, head)
    for turned in (-1, 1):
        face.brow(canvas, head, turned)
    face.nose(canvas, head)
    face.glasses(canvas, head)
    return canvas.pixels
