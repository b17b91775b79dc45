"""What a mood does to a face that speaks: the same portrait and sentence in every mood, read by the judge.

What should be seen is what drawn people do in a mood (`procedural.speech.MOODS`): lip corners, brows and lids, each
moved so far, up or down. Measured is the mean over a clip's frames, with the mood less without, and how the jaw follows
the speech in both: a mood must not cost what is said. In the report (`hp_trt.measure.evaluation.report`), in place of
measures and metrics:

    moods            by mood, by what is seen, how far it is asked to move, in the judge's units
    columns          [{name, kind, seconds, jaw, moods, ...}]; of a bundle also what other reports have
      jaw            how it follows without a mood {mean, clips}
      moods          by mood {jaw {mean, change, clips}, seen}
        seen         by what is seen {asked, shift [mean], moved [clips that move as asked], clips [shift of each]}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hp_trt.measure.evaluation.measure_clip import Read
from hp_trt.measure.evaluation.measure_talk import followed
from hp_trt.measure.evaluation.pairs import Pair
from hp_trt.measure.evaluation.report import Found
from hp_trt.measure.evaluation.spoken import SpokenPairs
from hp_trt.measure.metrics.judge import Reading
from procedural.motion import NAMES
from procedural.speech import MOODS

Speak = Callable[[Pair, str], Sequence[np.ndarray]]  # of a pair in a mood: N of (S, S, 3) uint8
NEUTRAL, *OTHERS = MOODS
SEEN: Mapping[str, tuple[str, ...]] = {  # what is read -> parameters, of which the mean counts
    "corners": ("corners",),
    "brows": ("brow_left", "brow_right"),
    "lids": ("lid_left", "lid_right"),
}


class Speaker(Protocol):
    """A column of the table."""

    name: str
    kind: str  # "truth" or "bundle"

    def facts(self) -> dict[str, Any]: ...

    def in_moods(self) -> AbstractContextManager[Speak]: ...


@dataclass(kw_only=True)
class DrawnInMoods:
    """Drawn people in their moods: what should be seen, and how well the judge sees it."""

    source: SpokenPairs
    name: str = "truth"
    kind: str = "truth"

    def facts(self) -> dict[str, Any]:
        return {}

    @contextmanager
    def in_moods(self) -> Iterator[Speak]:
        yield self.source.in_mood


def asked() -> dict[str, dict[str, float]]:
    """By mood but for the neutral one: how far each of SEEN is to move, where it is."""
    found = {}
    for mood in OTHERS:
        moved = {what: float(np.mean([MOODS[mood].get(name, 0.0) for name in names])) for what, names in SEEN.items()}
        found[mood] = {what: offset for what, offset in moved.items() if offset}
    return found


@dataclass(frozen=True, kw_only=True)
class _Face:
    """What is read of one clip."""

    seen: Mapping[str, float]  # of SEEN: mean over the frames
    jaw: float | None  # its correlation with what is said; None where speech does not move it


@dataclass(frozen=True, kw_only=True)
class MoodColumn(Found):
    """What was found of one speaker."""

    clips: Sequence[Mapping[str, _Face]]  # by clip, by mood

    def to_json(self) -> dict[str, Any]:
        jaws = [clip[NEUTRAL].jaw for clip in self.clips]
        return {
            **self.about(),
            "jaw": {"mean": _mean(jaws), "clips": jaws},
            "moods": {mood: self._of_mood(mood, offsets) for mood, offsets in asked().items()},
        }

    def _of_mood(self, mood: str, offsets: Mapping[str, float]) -> dict[str, Any]:
        jaws = [clip[mood].jaw for clip in self.clips]
        both = zip(jaws, (clip[NEUTRAL].jaw for clip in self.clips), strict=True)
        changes = [None if jaw is None or plain is None else jaw - plain for jaw, plain in both]
        seen = {}
        for what, offset in offsets.items():
            shifts = [clip[mood].seen[what] - clip[NEUTRAL].seen[what] for clip in self.clips]
            moved = sum(shift * offset > 0 for shift in shifts)
            seen[what] = {"asked": offset, "shift": _mean(shifts), "moved": moved, "clips": shifts}
        return {"jaw": {"mean": _mean(jaws), "change": _mean(changes), "clips": jaws}, "seen": seen}


def mood_columns(
    speakers: Sequence[Speaker],
    source: SpokenPairs,
    read: Read,
    *,
    crop_px: int,
    on_progress: Callable[[str, int, int], None],
) -> list[MoodColumn]:
    """Speakers one after the other; each speaks every pair's sentence in every mood. `read` is `Judge.read`."""
    columns: list[MoodColumn] = []
    clips = len(source.names) * len(MOODS)
    for speaker in speakers:
        start, before = time.perf_counter(), len(columns) * clips
        found: list[dict[str, _Face]] = []
        with speaker.in_moods() as speak:
            for index in range(len(source.names)):
                pair = source.pair(index, crop_px)
                faces = {}
                for number, mood in enumerate(MOODS, start=before + index * len(MOODS)):
                    on_progress(speaker.name, number, len(speakers) * clips)
                    faces[mood] = _face(pair, read(speak(pair, mood)))
                found.append(faces)
        seconds = time.perf_counter() - start
        facts = speaker.facts()
        columns.append(MoodColumn(name=speaker.name, kind=speaker.kind, facts=facts, seconds=seconds, clips=found))
    on_progress("done", len(speakers) * clips, len(speakers) * clips)
    return columns


def _face(pair: Pair, reading: Reading) -> _Face:
    assert pair.drawn is not None
    means = dict(zip(NAMES, reading.parameters.mean(axis=0).tolist(), strict=True))
    return _Face(
        seen={what: float(np.mean([means[name] for name in names])) for what, names in SEEN.items()},
        jaw=followed("jaw", pair.drawn, reading),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """Of those that are there."""
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None
