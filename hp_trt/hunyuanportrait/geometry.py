"""Boxes and motion ids: the numbers behind every crop.

Boxes are x0, y0, x1, y1 in pixels here (a detector's x, y, w, h is turned into one by
`corners`). Pure numpy on a handful of numbers: no pixels, no detector.

Source: SPEC 7.2 to 7.4, the released preprocessing, rounding quirks included.
"""

from __future__ import annotations

import numpy as np

from hp_trt.media.pixels import Box

NOSE = 2  # landmark order: eye, eye, nose, mouth corner, mouth corner


def corners(box_xywh: Box) -> tuple[float, float, float, float]:
    """A detector's x, y, w, h as x0, y0, x1, y1."""
    x, y, w, h = (float(v) for v in box_xywh)
    return x, y, x + w, y + h


def portrait_box(box: Box, *, height: int, width: int, ratio: float = 1.0) -> tuple[int, int, int, int]:
    """The square around a face that is cropped from a picture of `height` x `width`.

    The face box grows by `ratio` of its size on each side and is clipped to the picture; of that
    rectangle the square of the shorter side is kept, slid along the longer side towards the face.
    The four numbers are rounded one by one (half to even), so the box can be 1 px off square.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    grow_x, grow_y = ratio * (x1 - x0), ratio * (y1 - y0)
    left, right = max(x0 - grow_x, 0.0), min(x1 + grow_x, float(width))
    top, bottom = max(y0 - grow_y, 0.0), min(y1 + grow_y, float(height))
    side = min(right - left, bottom - top)
    slack = abs((right - left) - (bottom - top)) / 2
    center_x, center_y = (left + right) / 2, (top + bottom) / 2
    offset_x, offset_y = (x0 + x1) / 2 - center_x, (y0 + y1) / 2 - center_y
    if right - left > bottom - top:
        center_x += float(np.clip(offset_x, -slack, slack))
    else:
        center_y += float(np.clip(offset_y, -slack, slack))
    half = side / 2
    return round(center_x - half), round(center_y - half), round(center_x + half), round(center_y + half)


def face_box(landmarks: np.ndarray, first_box: Box, *, pull: float = 0.45) -> np.ndarray:
    """The box (4,) of one driving frame's face.

    The bounding box of `landmarks` (5, 2), each side moved by `pull` of the way towards the same side of
    the first frame's face box: it follows the landmarks and keeps the first frame's size.
    """
    tight = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
    return tight + pull * (np.asarray(first_box, dtype=np.float64) - tight)


def motion_ids(
    landmarks: np.ndarray, *, head_scale: float = 256, exp_scale: float = 1024, max_id: int = 127, nose: int = NOSE
) -> tuple[int, int]:
    """(head id, expression id), each in 0..`max_id`, of one chunk of driving frames.

    `landmarks` (n, 5, 2) in pixels. How far the nose, and the other points round the nose, stray
    from their mean over the chunk, in units of the first frame's landmark diagonal.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    nose_track = points[:, nose]
    shape = points - nose_track[:, None]
    diagonal = float(np.linalg.norm(shape[0].max(axis=0) - shape[0].min(axis=0)))
    if diagonal == 0.0:
        return 0, 0
    shape_spread = np.linalg.norm(shape - shape.mean(axis=0), axis=-1).mean()
    nose_spread = np.linalg.norm(nose_track - nose_track.mean(axis=0), axis=-1).mean()
    head = int(nose_spread / diagonal * head_scale)
    expression = int(shape_spread / diagonal * exp_scale)
    return min(max(head, 0), max_id), min(max(expression, 0), max_id)
