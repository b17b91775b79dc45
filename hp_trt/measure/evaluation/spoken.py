"""Drawn people who speak: nobody's face, nobody's voice, and what the mouth should do known to the frame.

A seed is an identity, a motion, and a sentence in a voice of its own, the languages by turns. The portrait is the first
frame; what the sound decides is the mouth. How the head turns meanwhile nobody can hear: a result need not follow that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from hp_trt.faces.face import Face, FaceParts
from hp_trt.measure.evaluation.drawn import PICTURE_PX, check_inside, known_faces, rivals, shown_frames
from hp_trt.measure.evaluation.pairs import Crop, Drawn, KnownFaces, Pair
from hp_trt.measure.metrics.judge import JUDGE_PX
from hp_trt.measure.metrics.parameters import seen
from procedural.clip import Clip
from procedural.identity import Identity
from procedural.landmarks import lips_box, outline_box
from procedural.speech import LANGUAGES, Speech, sentence, talking
from runtime.hallo2.presets import FPS, SAMPLES_PER_FRAME


class SpokenPairs:
    """A portrait and its sentence for each of `seeds`. Raises InputError for a clip whose face leaves the picture."""

    def __init__(self, seeds: range, frames: int) -> None:
        self.seeds, self.frames = seeds, frames
        self.names: Sequence[str] = [str(seed) for seed in seeds]
        for seed in seeds:
            check_inside(self._clip(seed, said(seed, frames)), f"the drawn clip {seed}")

    def facts(self) -> dict[str, object]:
        return {"kind": "seeds", "seeds": [self.seeds.start, self.seeds.stop], "picture_px": PICTURE_PX}

    def pair(self, index: int, crop_px: int) -> Pair:
        seed = self.seeds[index]
        speech = said(seed, self.frames)
        clip = self._clip(seed, speech)
        crop = Crop(box=(0, 0, PICTURE_PX, PICTURE_PX), px=crop_px)  # a square portrait is used whole
        pictures = clip.frames()
        truth = [crop.cut(picture) for picture in pictures]
        shown = shown_frames(self.frames)
        return Pair(
            name=str(seed),
            portrait=pictures[0],
            portrait_faces=_faces(clip),
            driving=pictures,
            driving_faces=known_faces(clip),
            still=truth[0],
            driver=truth,
            truth=truth,
            drawn=Drawn(
                landmarks=crop.points(clip.landmarks(), JUDGE_PX),
                parameters=seen(clip.states),
                own=index,
                shown=shown,
                rivals=partial(rivals, self.seeds, [clip.states[i] for i in shown], crop),
            ),
            clip=clip,
            sound=speech.samples[: self.frames * SAMPLES_PER_FRAME],
        )

    def in_mood(self, pair: Pair, mood: str) -> list[np.ndarray]:
        """The pair's own person who says it in a mood: N of (S, S, 3) uint8."""
        seed, px = int(pair.name), len(pair.still)
        crop = Crop(box=(0, 0, PICTURE_PX, PICTURE_PX), px=px)
        return [crop.cut(picture) for picture in self._clip(seed, said(seed, self.frames), mood).frames()]

    def _clip(self, seed: int, speech: Speech, mood: str = "neutral") -> Clip:
        states = talking(seed, speech.phonemes, self.frames, mood=mood)
        return Clip(identity=Identity.random(seed), states=tuple(states), px=PICTURE_PX)


def said(seed: int, frames: int) -> Speech:
    """The sentence of a seed, as long as so many frames."""
    languages = list(LANGUAGES)
    return sentence(seed, frames / FPS, language=languages[seed % len(languages)])


def _faces(clip: Clip) -> KnownFaces:
    """Of the first frame: with outline and lips, of which masks are made."""
    found = known_faces(clip).frames[0][0]
    who, state, px = clip.identity, clip.states[0], clip.px
    parts = FaceParts(face=outline_box(who, state, px), lips=lips_box(who, state, px))
    face = Face(box=found.box, landmarks=found.landmarks, score=found.score, parts=parts)
    return KnownFaces(name="drawn landmarks", frames=[[face]])
