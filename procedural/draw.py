"""One frame: a head and shoulders before a wall."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from procedural import face, hair, scene
from procedural.canvas import Canvas
from procedural.head import Head
from procedural.identity import Identity
from procedural.manner import PLAIN, Manner
from procedural.motion import State

MATERIALS: tuple[str, ...] = ("skin", "hair", "cloth", "lips", "eye", "neck", "other")


def draw(identity: Identity, state: State, px: int) -> np.ndarray:
    """(px, px, 3) uint8 RGB, smooth-edged; the same arrays for the same arguments."""
    canvas = Canvas(scene.wall(identity, px).copy(), px)
    for _ in paint(canvas, Head(identity, state)):
        pass
    return canvas.pixels


def paint(canvas: Canvas, head: Head, manner: Manner = PLAIN) -> Iterator[str]:
    """Paint a head and shoulders on `canvas`, layer on layer; yields the next layer's material, of MATERIALS."""
    identity = head.identity
    skin = hair.skin(head)
    yield "hair"
    hair.back(canvas, head)
    yield from scene.body(canvas, head, skin)
    yield "skin"
    if not hair.covers_ears(identity.style):
        face.ears(canvas, head, {-1: 1.0, 1: 1.0})
    yield "hair"
    hair.cap(canvas, head)
    yield "skin"
    canvas.fill(skin, identity.skin)
    face.shading(canvas, head, skin, manner)
    if not hair.covers_ears(identity.style):
        face.ears(canvas, head, face.near_ears(head))
    yield "lips"
    face.mouth(canvas, head, manner)
    yield "eye"
    for turned in (-1, 1):
        face.eye(canvas, head, turned, manner)
    yield "hair"
    hair.fringe(canvas, head, manner)
    for turned in (-1, 1):
        face.brow(canvas, head, turned, manner)
    yield "skin"
    face.nose(canvas, head, manner)
    yield "other"
    face.glasses(canvas, head)
