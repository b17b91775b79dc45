"""Who is followed, of all the faces of a video: the same person from frame to frame.

All faces are followed, each to where it is expected next, so that a face beside ours is never taken for ours: while
ours is hidden or not found, the other stays the other's. Ours is chosen once, the largest of the first frame that has
any, and anew where it is lost:

- A face that appears as ours vanishes is ours after a leap: it is taken at once, and ours again should it turn up.
- Where others alone are seen, ours is waited for for a second, and then the largest of them is followed.
- After a scene cut nobody is who they were: `restart`.

The released program takes the largest face of each frame (SPEC 7.1). Where there is one face, the two are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from hp_trt.faces.face import Face, largest_face

# From one frame to the next a face stays within its own size, and grows or shrinks by less than this.
_REACH, _LOG_SIZES = 1.0, log(1.6)
_WAIT = 25  # frames until another person is followed: a second at the usual rate
_FORGET = 2 * _WAIT  # frames until a face that is not seen is nobody's
_RETURN = 5  # frames in which a leap may turn out to have been a detector's mistake
_MOST = 100  # of a crowd the largest so many are followed


@dataclass(eq=False)
class _Person:
    face: Face  # where last seen
    born: int  # frame number
    seen: int  # frame number
    velocity: np.ndarray  # (2,) pixels a frame


class FaceTrack:
    """Feed it all faces of each frame, in order."""

    def __init__(self) -> None:
        self._people: list[_Person] = []
        self._ours: _Person | None = None
        self._stand_in: _Person | None = None  # has leapt from where ours was, a few frames ago
        self._frame = 0
        self.most = 0  # faces in one frame
        self.leapt = False  # whether the latest face was taken from elsewhere than where ours was expected
        self.changes = 0  # how often another person was followed after ours was lost

    @property
    def follows(self) -> bool:
        """Whether somebody was chosen."""
        return self._ours is not None

    def restart(self) -> None:
        """The next frame's largest face is followed."""
        self._people, self._ours, self._stand_in = [], None, None

    def choose(self, faces: Sequence[Face]) -> Face | None:
        """Of all faces of the next frame the one that is followed; None where it is not among them."""
        self._frame += 1
        self.most, self.leapt = max(self.most, len(faces)), False
        if len(faces) > _MOST:
            faces = sorted(faces, key=lambda face: face.area, reverse=True)[:_MOST]
        self._match(faces)
        if self._ours is None:
            if not faces:
                return None
            self._ours = self._person_of(largest_face(faces))
        if self._ours.seen == self._frame:
            self._stand_in = None
            return self._ours.face
        return self._instead(self._ours, faces)

    def near(self, faces: Sequence[Face]) -> Face | None:
        """Of the faces about where the followed one was, it; None where none of them is. Nobody else is looked for."""
        ours = self._stand_in or self._ours
        if ours is None or not faces:
            return None
        costs = _costs(self._people, faces, self._frame + 1)
        own = costs[self._people.index(ours)]
        own[costs.min(axis=0) < own] = np.inf  # that face is somebody else's
        if own.min() == np.inf:
            return None
        self._frame += 1
        for other in self._people:  # nobody looked for them, so nobody missed them
            other.seen += other is not ours
        self._ours, self._stand_in, self.leapt = ours, None, False
        self._move(ours, faces[int(own.argmin())])
        return ours.face

    def _instead(self, ours: _Person, faces: Sequence[Face]) -> Face | None:
        """Whom to follow in a frame in which ours is not where it should be."""
        lost, stand_in = self._frame - ours.seen, self._stand_in
        if stand_in is not None and stand_in.seen == self._frame:
            if lost > _RETURN:
                self._ours, self._stand_in = stand_in, None
            return stand_in.face
        if new := [person for person in self._people if person.born > ours.seen and person.seen == self._frame]:
            where = _middles([ours.face])
            apart = np.linalg.norm(_middles([person.face for person in new]) - where, axis=1)
            self._stand_in, self.leapt = new[int(apart.argmin())], True
            return self._stand_in.face
        if not faces or lost <= _WAIT:
            return None
        self.changes, self.leapt = self.changes + 1, True
        self._ours, self._stand_in = self._person_of(largest_face(faces)), None
        return self._ours.face

    def _match(self, faces: Sequence[Face]) -> None:
        """Give each face to the person that is expected there, the surest pair first; others are new people."""
        left = set(range(len(faces)))
        if self._people and faces:
            costs = _costs(self._people, faces, self._frame)
            missing = set(range(len(self._people)))
            for _, i, j in sorted((costs[i, j], i, j) for i, j in np.argwhere(costs < np.inf).tolist()):
                if i in missing and j in left:
                    missing.remove(i)
                    left.remove(j)
                    self._move(self._people[i], faces[j])
        kept = [p for p in self._people if self._frame - p.seen <= _FORGET or p is self._ours]
        kept = [p for p in kept if p is self._ours or p.seen == self._frame] if len(kept) > _MOST else kept
        new = [_Person(face=faces[j], born=self._frame, seen=self._frame, velocity=np.zeros(2)) for j in sorted(left)]
        self._people = kept + new

    def _move(self, person: _Person, face: Face) -> None:
        if self._frame - person.seen == 1:
            person.velocity = (person.velocity + (_middles([face]) - _middles([person.face]))[0]) / 2
        person.face, person.seen = face, self._frame

    def _person_of(self, face: Face) -> _Person:
        return next(person for person in self._people if person.face is face)


def moved(before: Face, now: Face) -> tuple[float, float]:
    """How far a face has moved, in its own sizes, and what its size has grown by: 1 where it is the same."""
    size = float(np.sqrt(before.area))
    return float(np.linalg.norm(_middles([now])[0] - _middles([before])[0])) / size, float(np.sqrt(now.area)) / size


def _costs(people: Sequence[_Person], faces: Sequence[Face], frame: int) -> np.ndarray:
    """(people, faces): how unlike each face is to each person in that frame; infinite where it cannot be them."""
    before = [person.face for person in people]
    sizes, now = np.sqrt([face.area for face in before])[:, None], np.sqrt([face.area for face in faces])
    places, moved = _middles(before), np.array([p.velocity * (frame - p.seen) for p in people])
    apart = np.minimum(*(np.linalg.norm(_middles(faces) - at[:, None], axis=2) for at in (places, places + moved)))
    apart, growth = apart / sizes, np.abs(np.log(now / sizes))
    return np.where((apart > _REACH) | (growth > _LOG_SIZES), np.inf, apart + growth)


def _middles(faces: Sequence[Face]) -> np.ndarray:
    """(faces, 2): x, y."""
    boxes = np.array([face.box for face in faces])
    return boxes[:, :2] + boxes[:, 2:] / 2
