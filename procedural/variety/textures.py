"""Pictures of nothing: noise, cells, bricks, leaves, lights. Every one is of a generator's numbers alone.

Results are (side, side) or (side, side, 3) float32, about 0 .. 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from procedural.variety.style import Vector

Rng = np.random.Generator


def clouds(rng: Rng, side: int, *, cells: int = 3, rough: float = 0.55) -> np.ndarray:
    """(side, side): fractal noise from `cells` cells a side down to two pixels."""
    total: np.ndarray = np.zeros((side, side), np.float32)
    size, weight = cells, 1.0
    while size < side // 2:
        grid = rng.uniform(-1, 1, (size + 2, size + 2)).astype(np.float32)
        total += weight * np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
        size, weight = 2 * size, weight * rough
    return stretched(total)


def fine(rng: Rng, side: int, grain: float = 1.0) -> np.ndarray:
    """(side, side): noise of about `grain` pixels, mean 0, deviation 1."""
    noise = rng.standard_normal((side, side), dtype=np.float32)
    if grain <= 0.5:
        return noise
    soft = cv2.GaussianBlur(noise, (0, 0), grain)
    return soft / max(float(soft.std()), 1e-6)


def stretched(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-6)


def coloured(rng: Rng, values: np.ndarray, colors: int = 3) -> np.ndarray:
    """(side, side, 3): a way through a few random colours, along `values` in 0 .. 1."""
    stops = np.linspace(0, 1, colors)
    table = np.stack([np.interp(np.linspace(0, 1, 256), stops, rng.uniform(0, 1, colors)) for _ in range(3)], axis=1)
    middle = table.mean(axis=1, keepdims=True)
    table = middle + rng.uniform(0.1, 0.9) * (table - middle)
    return table.astype(np.float32)[np.clip(values * 255, 0, 255).astype(np.uint8)]


def gradient(rng: Rng, side: int) -> np.ndarray:
    axis = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * axis[None] + np.sin(angle) * axis[:, None]
    return coloured(rng, stretched(across + 0.2 * clouds(rng, side, cells=2)), 2)


def cloudy(rng: Rng, side: int) -> np.ndarray:
    return coloured(rng, clouds(rng, side, cells=int(rng.integers(2, 7)), rough=rng.uniform(0.4, 0.75)), 4)


def cells(rng: Rng, side: int) -> np.ndarray:
    """Voronoi cells, each of its own colour, with edges."""
    count = int(rng.integers(12, 120))
    points = rng.uniform(0, side, (count, 2))
    seeds = np.full((side, side), 255, np.uint8)
    at = np.clip(points.astype(int), 0, side - 1)
    seeds[at[:, 1], at[:, 0]] = 0
    distance, labels = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colors = coloured(rng, rng.uniform(0, 1, (1, int(labels.max()) + 1)).astype(np.float32), 4)[0]
    return colors[labels] * np.clip(1.1 - distance / distance.max() * rng.uniform(0, 0.9), 0, 1)[..., None]


def stripes(rng: Rng, side: int) -> np.ndarray:
    axis = np.arange(side, dtype=np.float32) / side
    angle, waves = rng.uniform(0, np.pi), rng.uniform(3, 24)
    across = np.cos(angle) * axis[None] + np.sin(angle) * axis[:, None] + rng.uniform(0, 0.05) * clouds(rng, side)
    return coloured(rng, 0.5 + 0.5 * np.clip(rng.uniform(0.8, 4) * np.sin(2 * np.pi * waves * across), -1, 1), 3)


def bricks(rng: Rng, side: int) -> np.ndarray:
    rows, wide = int(rng.integers(4, 16)), rng.uniform(1.5, 3)
    axis = np.arange(side, dtype=np.float32) / side * rows
    row = np.floor(axis).astype(int)
    along = axis[None] / wide + 0.5 * (row[:, None] % 2)
    column = np.floor(along).astype(int)
    tone = rng.uniform(0.25, 0.85, (rows + 1, int(column.max()) + 1)).astype(np.float32)[row[:, None], column]
    joint = 0.06 + 0.08 * rng.uniform()
    gap = ((axis % 1)[:, None] < joint) | ((along % 1) * wide < joint)
    wall = coloured(rng, np.where(gap, rng.uniform(0, 1), tone), 3)
    return wall * (0.75 + 0.35 * clouds(rng, side, cells=8, rough=0.8))[..., None]


def leaves(rng: Rng, side: int) -> np.ndarray:
    """Shapes of all sizes before one another, as things in the world are."""
    picture = coloured(rng, clouds(rng, side), 3).copy()
    for _ in range(int(rng.integers(60, 260))):
        size = min(0.4, 0.02 / max(float(rng.uniform(0.03, 1)), 1e-3)) * side
        middle = tuple(int(v) for v in rng.uniform(0, side, 2))
        color = tuple(float(v) for v in np.clip(rng.uniform(0, 1) + rng.uniform(-0.25, 0.25, 3), 0, 1))
        axes = max(1, int(size)), max(1, int(size * rng.uniform(0.2, 1)))
        if rng.random() < 0.5:
            cv2.ellipse(picture, middle, axes, rng.uniform(0, 180), 0, 360, color, -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints((middle, (2.0 * axes[0], 2.0 * axes[1]), rng.uniform(0, 180)))
            cv2.fillPoly(picture, [corners.astype(np.int32)], color, cv2.LINE_AA)
    return picture * (0.8 + 0.4 * clouds(rng, side, cells=6, rough=0.8))[..., None]


def bokeh(rng: Rng, side: int) -> np.ndarray:
    """Lights out of focus before something dark."""
    picture = 0.4 * coloured(rng, clouds(rng, side), 3)
    radius = rng.uniform(0.015, 0.08) * side
    for _ in range(int(rng.integers(15, 80))):
        disc = np.zeros((side, side), np.float32)
        middle = tuple(int(v) for v in rng.uniform(0, side, 2))
        cv2.circle(disc, middle, max(1, int(radius * rng.uniform(0.6, 1.2))), 1.0, -1, cv2.LINE_AA)
        picture = picture + disc[..., None] * rng.uniform(0.05, 0.6) * rng.uniform(0.2, 1, 3).astype(np.float32)
    return picture


def room(rng: Rng, side: int) -> np.ndarray:
    """Walls, frames, shelves: upright rectangles with edges and light from a side."""
    picture = np.ones((side, side, 3), np.float32) * rng.uniform(0.2, 0.9, 3).astype(np.float32)
    for _ in range(int(rng.integers(6, 30))):
        x, y = rng.uniform(-0.2, 1, 2) * side
        w, h = rng.uniform(0.05, 0.5, 2) * side
        color = np.clip(rng.uniform(0.05, 0.95) + rng.uniform(-0.2, 0.2, 3), 0, 1)
        box = (int(x), int(y)), (int(x + w), int(y + h))
        cv2.rectangle(picture, *box, color.tolist(), -1)
        if rng.random() < 0.6:
            cv2.rectangle(picture, *box, (color * rng.uniform(0.3, 1.4)).tolist(), int(rng.integers(1, 4)))
    return picture * (0.6 + 0.6 * clouds(rng, side, cells=2, rough=0.4))[..., None]


BY_NAME: Mapping[str, Callable[[Rng, int], np.ndarray]] = {
    "gradient": gradient, "clouds": cloudy, "cells": cells, "stripes": stripes, "bricks": bricks, "bokeh": bokeh,
    "leaves": leaves, "room": room,
}  # fmt: skip


def backdrop(name: str, seed: int, side: int, blur: float, light: Vector) -> np.ndarray:
    """(side, side, 3) uint8: the texture `name`, drawn at 256, scaled, out of focus by `blur` sides, lit unevenly."""
    rng = np.random.default_rng([seed, 81])
    drawn = 256
    picture = BY_NAME[name](rng, drawn)
    if rng.random() < 0.5:  # in colours that are nearly one
        gray = picture.mean(axis=2, keepdims=True)
        tint = 0.8 + rng.uniform(-0.25, 0.25) * np.array([1, 0.1, -1]) + rng.uniform(-0.12, 0.12, 3)
        picture = gray * tint.astype(np.float32) + rng.uniform(0.1, 0.6) * (picture - gray)
    if blur * drawn > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), blur * drawn)
    axis = np.linspace(-1, 1, drawn, dtype=np.float32)
    fall = 1 + rng.uniform(0, 0.4) * (light[0] * axis[None] + light[1] * axis[:, None])
    picture = picture * (rng.uniform(0.5, 1.15) * fall)[..., None]
    picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA if side < drawn else cv2.INTER_CUBIC)
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


def cloth(name: str, seed: int, side: int, contrast: float) -> np.ndarray:
    """(side, side) float32 about 1: what a cloth's colour is multiplied by, weave, pattern and folds."""
    rng = np.random.default_rng([seed, 82])
    axis = np.arange(side, dtype=np.float32) / side
    angle, waves = rng.uniform(0, np.pi), rng.uniform(8, 30)
    along = np.cos(angle) * axis[None] + np.sin(angle) * axis[:, None]
    across = np.cos(angle) * axis[:, None] - np.sin(angle) * axis[None]
    one, other = (np.sin(2 * np.pi * waves * v) for v in (along, across))
    pattern = {
        "plain": np.zeros((side, side), np.float32),
        "stripes": np.sign(one) * np.ones((side, side), np.float32),
        "checks": np.sign(one) * np.sign(other),
        "knit": np.abs(np.sin(2 * np.pi * waves * (along + 0.03 * other))) * 2 - 1,
        "noise": 2 * clouds(rng, side, cells=12, rough=0.8) - 1,
        "dots": np.where(one * other > 0.6, 1.0, -0.3),
    }[name]
    folds = clouds(rng, side, cells=3, rough=0.4) - 0.5
    result = 1 + 0.6 * contrast * pattern + 0.7 * folds + 0.05 * fine(rng, side, 0.6)
    return np.clip(result, 0.1, 1.9).astype(np.float32)
