"""Which of several faces is restored: the best one, and then the same one for as long as it is seen.

The released program takes the last of a list, sorted by score and grown frame by frame (`released_choice`): of two
faces the worse one, and where there is none that of an earlier frame.

Source: SPEC 9, per frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.enhancer.detector import FoundFace

LEAST_EYES_PX = 5  # between the eyes: smaller faces are ignored
_SAME = 0.2  # so much of two boxes is common to both: the same face
_PATIENCE = 25  # frames without the followed face, after which another one is followed
_NUMBERS = 5


class FollowedFace:
    """Feed it the faces of all frames, in order. `state`: of another one, which it goes on from."""

    def __init__(self, state: np.ndarray | None = None) -> None:
        self._box: np.ndarray | None = None
        self._missed = 0
        if state is not None and state.size:
            self._box, self._missed = np.array(state[:4], np.float64), int(state[4])

    @property
    def state(self) -> np.ndarray:
        """(5,) float64, its box and for how many frames it has not been seen; (0,) where nobody is followed."""
        return np.array([] if self._box is None else [*self._box, self._missed], np.float64)

    def choose(self, faces: Sequence[FoundFace]) -> FoundFace | None:
        """The face of this frame; None: the followed one is not in it."""
        if self._box is None or self._missed >= _PATIENCE:
            found = max(faces, key=lambda face: face.score, default=None)
        else:
            near = [(in_common(face.box, self._box), face) for face in faces]
            found = max(near, key=lambda pair: pair[0], default=(0.0, None))[1]
            if found is not None and in_common(found.box, self._box) < _SAME:
                found = None
        if found is None:
            self._missed += self._box is not None
        else:
            self._box, self._missed = np.asarray(found.box, np.float64), 0
        return found


def is_state(array: np.ndarray) -> bool:
    """Whether `array` can be a `FollowedFace.state`."""
    return array.shape in ((0,), (_NUMBERS,)) and bool(np.isfinite(array).all())


def in_common(one: np.ndarray, other: np.ndarray) -> float:
    """What two boxes share, over what they cover together."""
    sides = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None)
    both = float(sides.prod())
    covered = float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()) - both
    return both / covered if covered > 0 else 0.0


def large_enough(face: FoundFace) -> bool:
    """Whether there is enough of a face to restore."""
    return float(np.hypot(*(face.points[0] - face.points[1]))) >= LEAST_EYES_PX


def released_large_enough(face: FoundFace) -> bool:
    """The same as released, which takes the wrong columns."""
    left, right, nose = face.points[:3]
    return float(np.hypot(left[1] - right[1], right[0] - nose[0])) >= LEAST_EYES_PX


def released_choice(window: Sequence[Sequence[FoundFace]]) -> list[FoundFace | None]:
    """Of each frame of a window the face that the released program takes; None before the first one is found."""
    last: FoundFace | None = None
    chosen = []
    for faces in window:
        last = faces[-1] if faces else last
        chosen.append(last)
    return chosen
