"""One person's face through a driving video: who it is, what to show while it cannot be seen, and where the shot ends.

A frame that does not show the face holds the last one that does, picture and all: what comes of the video is what would
come of it if that frame were repeated. A scene cut is a face that leaps while the picture changes: neither fast motion
nor a flash nor a fade does both. Causal, so that a live session sees what a clip does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from hp_trt.faces.face import Face, FaceFollower, FaceLocator
from hp_trt.faces.found import find_faces, follow_face
from hp_trt.faces.track import FaceTrack, moved
from hp_trt.media.scene_cut import changed, thumbnail

_LOOK_AROUND = 25  # every so many frames the whole picture is searched, whatever is followed
# Which part of the picture changes with a cut: with a face that is nowhere near where it was, with one that has moved
# by more than half of its size or has another size, and within a second of a leap.
_CHANGED, _ALL_CHANGED, _CHANGED_SINCE = 0.15, 0.6, 0.05
_MOVED, _GROWN = 0.5, 1.25
_TOLD = 5  # of more places the number is told


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a driving frame shows of the face."""

    image: np.ndarray  # (H, W, 3) uint8 RGB: the frame, or the last one that shows the face
    face: Face  # in it
    held: bool = False
    leapt: bool = False  # the face is elsewhere than it was: a scene cut, or another person is followed


class FollowedFace:
    """Feed it all frames, in order. `follow`: let a locator that can look for the face where it was."""

    def __init__(self, locator: FaceLocator, *, follow: bool = False) -> None:
        self._locator, self._follow = locator, follow and isinstance(locator, FaceFollower)
        self._track = FaceTrack()
        self._last: Sight | None = None
        self._faces: Sequence[Face] = []  # all that the last frame with any shows
        self._cells: np.ndarray | None = None  # the thumbnail of the last sight's picture
        self._leap: tuple[int, np.ndarray | None] | None = None  # the latest, and the thumbnail before it
        self.frames = 0  # with a sight
        self.held = 0  # of them, those that do not show the face
        self.crowded = 0  # of them, those with several
        self._faceless = 0  # of the held ones, those without any
        self._cuts = _Places("a scene cut at frame", "scene cuts, at frames")
        self._others = _Places("another face was followed from frame", "times another face was followed, from frames")

    def begin(self, image: np.ndarray, face: Face) -> None:
        """What frames before the first face hold: `face` in `image`."""
        self._last, self._faces = Sight(image=image, face=face, held=True), [face]

    def restart(self) -> None:
        """The largest of the next faces is followed, wherever it is."""
        self._track.restart()
        self._cells = self._leap = None

    def see(self, image: np.ndarray, number: int, time_s: Fraction | float | None = None) -> Sight | None:
        """The face in frame `number`, as its locator counts, at `time_s` of its video; None before the first face.

        Raises InputError for what is no face.
        """
        cells = thumbnail(image)
        faces, face = self._look(image, number, cells)
        return self._seen(image, faces, face, cells, number, time_s)

    def _look(self, image: np.ndarray, number: int, cells: np.ndarray | None) -> tuple[Sequence[Face], Face | None]:
        """The faces of a picture; and which of them is the followed one, where it was looked for alone."""
        last = self._last
        near_enough = last is not None and changed(cells, self._cells) <= _ALL_CHANGED
        if self._follow and last is not None and near_enough and number % _LOOK_AROUND and self._track.follows:
            faces = follow_face(self._locator, image, last.face)
            if (face := self._track.near(faces)) is not None:
                return faces, face
        return find_faces(self._locator, image, number), None

    def _seen(
        self,
        image: np.ndarray,
        faces: Sequence[Face],
        face: Face | None,
        cells: np.ndarray | None,
        number: int,
        time_s: Fraction | float | None,
    ) -> Sight | None:
        last = self._last
        if last is None and not faces:
            return None
        self.frames += 1
        self.crowded += len(faces) > 1
        if not faces and last is not None:
            self.held += 1
            self._faceless += 1
            return self._hold(last, number)
        if face is None:
            face, leap = self._choose(faces, number, cells)
        else:
            leap = self._late_cut(number, cells)
        if face is None:
            assert last is not None, "the first frame with a face shows the one that is followed"
            self.held += 1
            return Sight(image=last.image, face=last.face, held=True)
        if leap is not None:
            leap.tell(number, time_s)
        self._last, self._faces, self._cells = Sight(image=image, face=face), faces, cells
        return Sight(image=image, face=face, leapt=leap is not None)

    def _choose(
        self, faces: Sequence[Face], number: int, cells: np.ndarray | None
    ) -> tuple[Face | None, _Places | None]:
        """The followed one of all faces of a picture; and what its leap is, if there is one."""
        last, track = self._last, self._track
        if last is None or not track.follows:
            return track.choose(faces), None
        part = changed(cells, self._cells)
        if part <= _ALL_CHANGED or not all(_elsewhere(face, last.face) for face in faces):
            changes, face = track.changes, track.choose(faces)
            if track.changes > changes:
                return face, self._others
            if not track.leapt:
                return face, self._late_cut(number, cells)
            if part <= _CHANGED:
                self._leap = number, self._cells
                return face, None
        track.restart()
        return track.choose(faces), self._cuts

    def _late_cut(self, number: int, cells: np.ndarray | None) -> _Places | None:
        """A face that has leapt while one shot was faded into another is told when the picture is another."""
        if self._leap is None:
            return None
        at, before = self._leap
        is_cut = number - at < _LOOK_AROUND and changed(cells, before) > _CHANGED_SINCE
        if is_cut or number - at >= _LOOK_AROUND:
            self._leap = None
        return self._cuts if is_cut else None

    def _hold(self, last: Sight, number: int) -> Sight:
        """What the frame of `last` would show once more."""
        faces, face = self._faces, None
        if self._follow:  # its own search would be as near as this one's
            again, face = self._look(last.image, number, self._cells)
            faces = again or faces
        if face is None:
            face = self._track.choose(faces)
        held = Sight(image=last.image, face=face or last.face, held=True)
        self._last = held
        return held

    def notes(self, after_cut: str) -> list[str]:
        """What a user should know so far, a line each; empty when all was well. `after_cut`: what a cut does."""
        notes = []
        if self._faceless:
            text = f"{self._faceless} of {self.frames} driving frames show no face: the last frame with one was held"
            notes.append(text)
        if others := self.held - self._faceless:
            notes.append(
                f"{others} of {self.frames} driving frames show other faces, not the one that is followed: the last "
                "frame with it was held"
            )
        if self.crowded:
            least = "at least " if self._follow else ""  # most of its frames are searched around the face alone
            notes.append(
                f"{least}{self.crowded} of {self.frames} driving frames show several faces, up to {self._track.most}: "
                "one was followed, the largest at the start"
            )
        return [*notes, *(f"{places}: {after_cut}" for places in (self._cuts, self._others) if places.count)]


class _Places:
    """Where in a video something happened, as a note tells it: the first few of them."""

    def __init__(self, one: str, several: str) -> None:
        self._one, self._several = one, several
        self._told: list[str] = []
        self.count = 0

    def tell(self, number: int, time_s: Fraction | float | None) -> None:
        self.count += 1
        if len(self._told) < _TOLD:
            self._told.append(f"{number}" if time_s is None else f"{number} ({float(time_s):.2f} s)")

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self._told) else ""
        return f"{self._one if self.count == 1 else f'{self.count} {self._several}'} {', '.join(self._told)}{more}"


def _elsewhere(face: Face, before: Face) -> bool:
    apart, grown = moved(before, face)
    return apart > _MOVED or max(grown, 1 / grown) > _GROWN
