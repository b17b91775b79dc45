"""What `talk_pocket` learns from: sentences, and drawn people who say them; made once, kept on disk.

Number n of both has seed FIRST_TRAINING_SEED + n: clip n says sentence n, and begins somewhere in it. Seeds below are
for evaluation and never drawn here, so voices, sentences and faces that are measured are unseen. A share of the
sentences may be spoken by espeak, by seeds: those of a smaller share are among those of a larger one.

Heads are calmer than those of `procedural.motion`: sound says nothing of how a head turns, and a network that is this
small, and learns this shortly, would spend itself on it.
"""

from __future__ import annotations

import multiprocessing
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from engines.array_file import save_array
from engines.errors import InputError
from engines.foreign import foreign
from engines.part_file import whole_folder
from engines.safe_output import refusing
from export.training.data_parallel import end_with_parent
from hp_trt.faces.arcface import ID_DIM
from hp_trt.hallo2.masks import TalkMasks, masks
from hp_trt.hallo2.regions import Regions, Tight, grown, inside
from hp_trt.interface.voices import VOICES, Voice, speech
from procedural.clip import FIRST_TRAINING_SEED
from procedural.identity import Identity
from procedural.landmarks import landmarks, lips_box, outline_box
from procedural.motion import State
from procedural.people import Person, is_varied
from procedural.speech import HZ, LANGUAGES, MOODS, Phoneme, Speech, mouth, talking
from procedural.speech.phonemes import SOUNDS
from runtime.hallo2.presets import FPS

SECONDS = 6.0  # of a sentence
MOST_FRAMES = round(SECONDS * FPS)  # of a clip
SYMBOLS = tuple(SOUNDS)  # a phoneme's class is its place here
CALM = 0.3  # of the motion's turns and shifts
_STRENGTH = (0.5, 1.0)  # of a mood
_LEVELS = 4  # of masks
_BOXED_PX = 512  # the picture that boxes are measured in: a user's is larger than the networks'


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """What is heard, and what of it shows. T frames. Arrays are maps of files: read only."""

    samples: np.ndarray  # (n,) int16, HZ a second
    lips: np.ndarray  # (T, 4) float32: `procedural.speech.MOUTH`
    classes: np.ndarray  # (T,) int64: of SYMBOLS, what is heard at each frame's moment


@dataclass(frozen=True, kw_only=True)
class TalkingClip:
    """N frames of P x P pixels from frame `first` of the sentence on. Arrays are maps of files: read only."""

    pictures: np.ndarray  # (N, P, P, 3) uint8
    points: np.ndarray  # (N, K, 2) float32: landmarks in their pixels
    lips: np.ndarray  # (N, 4) float32
    first: np.ndarray  # () int64
    portrait: np.ndarray  # (P, P, 3) uint8: the same person, calm
    identity: np.ndarray  # (512,) float32: who it is, as `identity_numbers` says
    face_region: np.ndarray  # (P, P) float32, of the portrait
    masks: np.ndarray  # (3, L_0 + L_1 + ...) float32: full, face, lips, level after level
    mood: np.ndarray  # (6,) float32: how much of each of `procedural.speech.MOODS`, together 1


def voice_of(seed: int, espeak: float) -> Voice:
    """Who says sentence `seed`, where a share of `espeak` is spoken by it."""
    return "espeak" if np.random.default_rng([seed, 97]).uniform() < espeak else "own"


def speech_of(seed: int, voice: Voice) -> Speech:
    """Sentence `seed`. Raises what `hp_trt.interface.voices.speech` raises."""
    return speech(voice, seed, SECONDS, language=sorted(LANGUAGES)[seed % len(LANGUAGES)])


def draw_sentence(seed: int, voice: Voice = "own") -> dict[str, np.ndarray]:
    """The arrays of `Sentence`, by name."""
    said = speech_of(seed, voice)
    frames = MOST_FRAMES
    return {
        "samples": np.round(said.samples * 32767).astype(np.int16),
        "lips": mouth(said.phonemes, frames, fps=FPS),
        "classes": classes_of(said.phonemes, frames),
    }


def classes_of(phonemes: Sequence[Phoneme], frames: int) -> np.ndarray:
    """(frames,) int64: which of SYMBOLS is heard at each frame's moment."""
    ends = np.array([phoneme.end_s for phoneme in phonemes])
    at = np.searchsorted(ends, np.arange(frames) / FPS, side="right").clip(max=len(ends) - 1)
    return np.array([SYMBOLS.index(phonemes[i].symbol) for i in at], np.int64)


def draw_talking(
    seed: int, *, frames: int, px: int, voice: Voice = "own", varied: float = 0.0
) -> dict[str, np.ndarray]:
    """The arrays of `TalkingClip`, by name: somebody says a part of sentence `seed`; a share of `varied` of all people
    is drawn with variety."""
    said = speech_of(seed, voice)
    total = MOST_FRAMES
    first = int(np.random.default_rng([seed, 91]).integers(total - frames + 1))
    person = Person.random(seed, varied=is_varied(seed, varied))
    who = person.dressed
    mood, strength = mood_of(seed)
    talker = talking(seed, said.phonemes, total, fps=FPS, mood=mood, mood_strength=strength)
    states = [calmed(state) for state in talker[first : first + frames]]
    lips = mouth(said.phonemes, total, fps=FPS)[first : first + frames]
    places = masks_of(who, px)
    return {
        "pictures": np.stack([person.draw(state, px, frame) for frame, state in enumerate(states)]),
        "points": np.stack([landmarks(who, state, px) for state in states]).astype(np.float32),
        "lips": lips,
        "first": np.array(first, np.int64),
        "portrait": person.draw(State(), px, frames),
        "identity": identity_numbers(who),
        "face_region": places.face_region[0],
        "masks": np.concatenate(places.levels, axis=1),
        "mood": mood_weights(mood, strength),
    }


def mood_of(seed: int) -> tuple[str, float]:
    """Somebody's mood and how much of it there is: neutral for every second seed, the others in turn."""
    calm, *others = MOODS
    if seed % 2 == 0:
        return calm, 1.0
    return others[seed // 2 % len(others)], float(np.random.default_rng([seed, 96]).uniform(*_STRENGTH))


def mood_weights(mood: str, strength: float) -> np.ndarray:
    """(6,) float32: a mood, mixed with the neutral one."""
    names = list(MOODS)
    weights = np.zeros(len(names), np.float32)
    weights[names.index("neutral")] = 1 - strength
    weights[names.index(mood)] += strength
    return weights


def calmed(state: State) -> State:
    """`state` with its head turned and shifted less."""
    turned = {n: CALM * getattr(state, n) for n in ("yaw_deg", "pitch_deg", "roll_deg", "shift_x", "shift_y")}
    return replace(state, scale=1 + CALM * (state.scale - 1), **turned)


def masks_of(who: Identity, px: int) -> TalkMasks:
    """Of somebody's calm portrait, for networks of `px`, as the application makes them of known boxes."""
    edges = [
        (x, y, x + w, y + h) for x, y, w, h in (outline_box(who, State(), _BOXED_PX), lips_box(who, State(), _BOXED_PX))
    ]
    square = {"height": _BOXED_PX, "width": _BOXED_PX}
    boxes = grown(Tight(face=edges[0], lips=edges[1]), **square)
    regions = Regions(face=inside(boxes.face, **square), lips=inside(boxes.lips, **square))
    return masks(regions, **square, side_px=px, levels=_LEVELS, whole_face=True)


def identity_numbers(who: Identity) -> np.ndarray:
    """(512,) float32 that stand for a face embedding, which would need a foreign network: a fixed random projection of
    all numbers that a drawn person is made of."""
    numbers: list[float] = []
    for field in fields(who):
        value = getattr(who, field.name)
        if isinstance(value, tuple) and len(value) == 3 and all(isinstance(v, int) for v in value):
            numbers += [(v - 128) / 64 for v in value]
        elif isinstance(value, float):
            numbers.append(value)
    known = np.array(numbers, np.float64)
    matrix = np.random.default_rng(92).normal(size=(ID_DIM, len(known))) / np.sqrt(len(known))
    return (matrix @ known).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class _Folder(ABC):
    """A folder of `count` of a kind, made where they are missing: each a folder of arrays, whole or not there."""

    folder: Path
    count: int
    espeak: float = 0.0  # the share that it speaks

    @abstractmethod
    def kind(self) -> str: ...

    @abstractmethod
    def arrays(self, number: int) -> Mapping[str, np.ndarray]: ...

    def path(self, number: int) -> Path:
        return self.of_voice(number, self.voice(number))

    def of_voice(self, number: int, voice: Voice) -> Path:
        """Where it is, or would be if it were spoken by `voice`."""
        spoken = "" if voice == "own" else f"-{voice}"
        return self.folder / f"{FIRST_TRAINING_SEED + number}-{self.kind()}{spoken}"

    def voice(self, number: int) -> Voice:
        return voice_of(FIRST_TRAINING_SEED + number, self.espeak)

    def check_voices(self) -> None:
        """Raises InputError where one is there that another voice speaks: what was learnt from it would stay."""
        for number in range(self.count):
            for voice in VOICES:
                if voice != self.voice(number) and (other := self.of_voice(number, voice)).is_dir():
                    raise InputError(
                        f"{other} is of a run with another --espeak than {self.espeak:g}; "
                        "go on with that, or give another --run"
                    )

    def ready(self) -> list[int]:
        """Those that are there, by number."""
        return [number for number in range(self.count) if self.path(number).is_dir()]

    def draw_missing(self, workers: int = 1) -> Iterator[int]:
        """Make what is missing; yields how many are there after each."""
        missing = [number for number in range(self.count) if not self.path(number).is_dir()]
        done = self.count - len(missing)
        yield done
        for _ in self._made(missing, workers):
            done += 1
            yield done

    def _made(self, missing: Sequence[int], workers: int) -> Iterator[None]:
        if workers == 1:
            yield from map(self._make, missing)
            return
        # Not forked: networks may have been trained in this process, and their threads would be missing in a copy.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
            yield from pool.map(self._make, missing, chunksize=4)

    def _make(self, number: int) -> None:
        import cv2

        cv2.setNumThreads(1)
        with refusing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_folder(self.path(number)) as hidden:
                for name, array in self.arrays(number).items():
                    save_array(hidden / f"{name}.npy", array)


@dataclass(frozen=True, kw_only=True)
class Sentences(_Folder):
    """Sentences, in a folder."""

    def kind(self) -> str:
        return f"{SECONDS:g}x{HZ}"

    def arrays(self, number: int) -> Mapping[str, np.ndarray]:
        return draw_sentence(FIRST_TRAINING_SEED + number, self.voice(number))

    def load(self, number: int) -> Sentence:
        return Sentence(**_loaded(Sentence, self.path(number)))


@dataclass(frozen=True, kw_only=True)
class TalkingClips(_Folder):
    """Clips, in a folder."""

    frames: int
    px: int
    varied: float = 0.0  # the share of the people who are drawn with variety

    def kind(self) -> str:
        return f"{self.frames}x{self.px}" + (f"-varied{self.varied:g}" if self.varied else "")

    def check_share(self) -> None:
        """Raises InputError where the folder was begun with another share: what was learnt from it would stay."""
        known = re.compile(rf"\d+-{self.frames}x{self.px}(-varied[\d.e-]+)?(-[a-z]+)?")
        for path in sorted(self.folder.glob(f"{FIRST_TRAINING_SEED}-*")):
            if (found := known.fullmatch(path.name)) and (found[1] or "") != self.kind().removeprefix(
                f"{self.frames}x{self.px}"
            ):
                raise InputError(
                    f"{path} is of a run with another --varied than {self.varied:g}; go on with that, or give another "
                    "--run"
                )

    def arrays(self, number: int) -> Mapping[str, np.ndarray]:
        sizes = {"frames": self.frames, "px": self.px}
        return draw_talking(FIRST_TRAINING_SEED + number, voice=self.voice(number), varied=self.varied, **sizes)

    def is_calm(self, number: int) -> bool:
        return mood_of(FIRST_TRAINING_SEED + number)[0] == "neutral"

    def load(self, number: int) -> TalkingClip:
        return TalkingClip(**_loaded(TalkingClip, self.path(number)))


def _loaded(kind: type[Sentence | TalkingClip], folder: Path) -> dict[str, np.ndarray]:
    with foreign(f"the arrays in {folder} are damaged", "delete the folder, and its stage makes it again"):
        return {field.name: np.load(folder / f"{field.name}.npy", mmap_mode="r") for field in fields(kind)}
