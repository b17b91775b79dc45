"""Pairs of drawn clips: nobody's face, and the truth known to the pixel.

self: a clip's first frame is the portrait, the clip drives it, and the clip should come out. cross: the next seed's
clip drives, and what should come out is the portrait's identity drawn in the driver's states. Seeds below
`FIRST_TRAINING_SEED` are for this alone; nothing is trained on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from hp_trt.faces.face import Face
from hp_trt.hunyuanportrait.geometry import corners, portrait_box
from hp_trt.measure.evaluation.config import Protocol
from hp_trt.measure.evaluation.pairs import Crop, Drawn, KnownFaces, Pair, require_inside
from hp_trt.measure.metrics.judge import JUDGE_PX
from hp_trt.measure.metrics.parameters import seen
from procedural.clip import Clip, clip
from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import face_box
from procedural.motion import State

PICTURE_PX = 256  # what is drawn; its crop is made as of any other picture
_SHOWN = 8  # frames by which identities are told apart


class DrawnPairs:
    """A pair for each of `seeds`. Raises InputError for a clip whose face leaves the picture."""

    def __init__(self, protocol: Protocol, seeds: range, frames: int) -> None:
        self.protocol, self.seeds, self.frames = protocol, seeds, frames
        self.names: Sequence[str] = [str(seed) for seed in seeds]
        for seed in seeds:
            for made in {self._driver(seed), self._target(seed)}:  # of self they are one
                check_inside(made, f"the drawn clip {seed}")

    def facts(self) -> dict[str, object]:
        return {"kind": "seeds", "seeds": [self.seeds.start, self.seeds.stop], "picture_px": PICTURE_PX}

    def pair(self, index: int, crop_px: int) -> Pair:
        seed = self.seeds[index]
        driver, target, portrait = self._driver(seed), self._target(seed), clip(seed, frames=1, px=PICTURE_PX)
        crop, driver_crop = _crop_of(portrait, crop_px), _crop_of(driver, crop_px)
        driving, picture = driver.frames(), portrait.frames()[0]
        shown = shown_frames(self.frames)
        return Pair(
            name=str(seed),
            portrait=picture,
            portrait_faces=known_faces(portrait),
            driving=driving,
            driving_faces=known_faces(driver),
            still=crop.cut(picture),
            driver=[driver_crop.cut(frame) for frame in driving],
            truth=[crop.cut(frame) for frame in (driving if self.protocol == "self" else target.frames())],
            drawn=Drawn(
                landmarks=crop.points(target.landmarks(), JUDGE_PX),
                parameters=seen(target.states),
                own=index,
                shown=shown,
                rivals=partial(rivals, self.seeds, [target.states[i] for i in shown], crop),
            ),
        )

    def _driver(self, seed: int) -> Clip:
        if self.protocol == "cross":  # the next of the ring; of a single seed, the one after it
            following = self.seeds.start + (seed + 1 - self.seeds.start) % len(self.seeds)
            seed = following if len(self.seeds) > 1 else seed + 1
        return clip(seed, frames=self.frames, px=PICTURE_PX)

    def _target(self, seed: int) -> Clip:
        return Clip(identity=Identity.random(seed), states=self._driver(seed).states, px=PICTURE_PX)


def shown_frames(frames: int) -> list[int]:
    """Those by which identities are told apart, of a clip of so many."""
    return np.unique(np.linspace(0, frames - 1, _SHOWN).round().astype(int)).tolist()


def rivals(seeds: range, states: Sequence[State], crop: Crop) -> Iterator[list[np.ndarray]]:
    """Every identity of `seeds` in these states."""
    for seed in seeds:
        identity = Identity.random(seed)
        yield [crop.cut(draw(identity, state, PICTURE_PX)) for state in states]


def known_faces(made: Clip) -> KnownFaces:
    """Where a drawn clip's faces are."""
    pairs = zip(made.boxes(), made.landmarks(), strict=True)
    faces = [[Face(box=tuple(box.tolist()), landmarks=points[:5], score=1.0)] for box, points in pairs]
    return KnownFaces(name="drawn landmarks", frames=faces)


def check_inside(made: Clip, what: str) -> None:
    """Raises InputError for a clip whose face leaves the picture; `what` names it."""
    for frame, box in enumerate(made.boxes().tolist()):
        require_inside(box, width=made.px, height=made.px, clip=what, frame=frame)


def _crop_of(made: Clip, crop_px: int) -> Crop:
    """What the product cuts from a clip: by the face of its first frame. Nearly always the whole picture."""
    first = face_box(made.identity, made.states[0], made.px)
    return Crop(box=portrait_box(corners(first), height=made.px, width=made.px), px=crop_px)
