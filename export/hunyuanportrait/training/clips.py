"""Training clips: drawn once, kept on disk, read by every phase.

A clip is an identity in motion and what the motion networks see of that motion: half of the time they see the
identity itself, half of the time another one that moves alike. So what they hand on can be motion, and cannot be
identity. The motion networks themselves learn from driving clips alone, and from many more of them: of 800 faces they
learn by heart whose brows are high and whose head is large, and of a new one they then say the wrong thing. Seeds from
`FIRST_TRAINING_SEED` on are for training; those below are for evaluation and never drawn here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from engines.array_file import save_array
from engines.errors import InputError
from engines.foreign import foreign
from engines.part_file import whole_folder
from engines.safe_output import refusing
from export.hunyuanportrait.training.framing import Framing
from export.training.data_parallel import end_with_parent
from export.training.pictures import Pictures
from hp_trt.hunyuanportrait.crops import face_image, pose_image
from hp_trt.hunyuanportrait.geometry import corners, face_box, motion_ids, portrait_box
from procedural.clip import FIRST_TRAINING_SEED
from procedural.motion import NAMES, State, motion
from procedural.people import Person, is_varied

FIRST_DRIVING_SEED = 2_000_000
NOWHERE = -1e4  # where the landmarks are of what is no face
_FAST = 3.0  # a clip's motion is up to so much faster than life: few frames, many poses
_DRIVING_PX = 256  # the driving picture, from which the motion networks' crops are cut


class Arrays:
    """Dataclasses of arrays, one file each in a folder."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Maps of the files that `save_arrays` wrote: read only."""
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # those below are dataclasses
        with foreign(f"the arrays in {folder} are damaged", "delete the folder, and the stage clips makes it again"):
            return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names})


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """One file each, all of them or none."""
    with refusing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(folder) as hidden:
            for name, array in arrays.items():
                save_array(hidden / f"{name}.npy", array)


@dataclass(frozen=True, kw_only=True)
class DrivingClip(Arrays):
    """N frames of somebody who drives. Arrays are maps of files: read only."""

    faces: np.ndarray  # (N, M, M, 3) uint8: what the expression network sees
    poses: np.ndarray  # (N, M, M, 3) uint8: what the head pose network sees
    states: np.ndarray  # (N, len(NAMES)) float32


@dataclass(frozen=True, kw_only=True)
class Clip(DrivingClip):
    """One clip, N frames of P x P pixels, and what drives it."""

    pictures: np.ndarray  # (N, P, P, 3) uint8: the identity, the target
    points: np.ndarray  # (N, K, 2) float32: where the target's landmarks are, in its pixels
    ids: np.ndarray  # (2,) int64: head and expression intensity


def draw_clip(
    seed: int, *, frames: int, px: int, motion_px: int, varied: float = 0.0, still: float = 0.0
) -> dict[str, np.ndarray]:
    """The arrays of `Clip`, by name, from a seed.

    `varied`: the share of the people who are drawn with variety. `still`: the share of the clips that show no face: one
    picture, which stays what it is, however the driver moves.
    """
    rng = np.random.default_rng(seed)
    person = _person(seed, varied)
    states = motion(seed, frames, fps=25.0 / rng.uniform(1.0, _FAST))
    driver = person if rng.uniform() < 0.5 else _person(int(rng.integers(FIRST_TRAINING_SEED, 2**31)), varied)
    seen, arrays = _seen_of(driver, states, px, motion_px, rng, seed)
    ids = np.array(motion_ids(seen[:25]), np.int64)
    framing = Framing.random(person, states[0], px, seed)
    points = np.stack([framing.landmarks(person, state) for state in states]).astype(np.float32)
    if is_still(seed, still):
        shown = Pictures().draw(rng, px)
        return {"pictures": np.stack([shown] * frames), **arrays, "points": np.full_like(points, NOWHERE), "ids": ids}
    pictures = np.stack([framing.draw(person, state, frame) for frame, state in enumerate(states)])
    return {"pictures": pictures, **arrays, "points": points, "ids": ids}


def is_still(seed: int, share: float) -> bool:
    """Whether `seed`'s clip shows no face, where a `share` of all show none."""
    return bool(np.random.default_rng([seed, 88]).random() < share)


def draw_driving_clip(seed: int, *, frames: int, px: int, motion_px: int, varied: float = 0.0) -> dict[str, np.ndarray]:
    """The arrays of `DrivingClip`, by name, from a seed: a few moments of some seconds."""
    rng = np.random.default_rng(seed)
    states = motion(seed, frames, fps=rng.uniform(1.5, 4.0))
    return _seen_of(_person(seed, varied), states, px, motion_px, rng, seed)[1]


def _person(seed: int, varied: float) -> Person:
    return Person.random(seed, varied=is_varied(seed, varied))


def _seen_of(
    person: Person, states: Sequence[State], px: int, motion_px: int, rng: np.random.Generator, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Five points (N, 5, 2) of the face that drives, in its picture, and the arrays of `DrivingClip`."""
    framing = Framing.random(person, states[0], _DRIVING_PX, seed + 1, nearest=1.0)
    seen = np.stack([framing.landmarks(person, state)[:5] for state in states])
    first = corners(framing.face_box(person, states[0]))
    # A detector frames a face a little otherwise than we do, all through a clip; more of it would hide how the head is
    # shifted, and how near it is, of which a crop that follows the face keeps less than half.
    side = first[2] - first[0]
    offset = rng.normal(0, 0.003, 2) * side
    stretch = float(np.exp(rng.normal(0, 0.006)))
    middle = seen.mean(axis=(0, 1))
    framed = (seen - middle) * stretch + middle + offset
    whole = portrait_box(first, height=_DRIVING_PX, width=_DRIVING_PX)
    faces, poses = [], []
    for frame, (state, five) in enumerate(zip(states, framed, strict=True)):
        picture = framing.draw(person, state, frame)
        faces.append(in_bytes(face_image(picture, face_box(five, first), motion_px)))
        poses.append(in_bytes(pose_image(picture, whole, crop_px=px, size=motion_px)))
    return seen, {
        "faces": np.stack(faces),
        "poses": np.stack(poses),
        "states": np.stack([state.vector() for state in states]),
    }


def in_bytes(planes: np.ndarray) -> np.ndarray:
    """(3, H, W) float32 in [0, 1] -> (H, W, 3) uint8."""
    return np.round(planes.transpose(1, 2, 0) * 255).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class _Folder(ABC):
    """A folder of `count` of a kind, drawn when they are missing."""

    folder: Path
    count: int
    frames: int
    px: int
    motion_px: int
    seed: int
    varied: float = 0.0  # the share of the people who are drawn with variety

    @abstractmethod
    def arrays(self, number: int) -> dict[str, np.ndarray]:
        """One of them, drawn."""

    def path(self, number: int) -> Path:
        return self.of_share(number, self.varied)

    def of_share(self, number: int, varied: float) -> Path:
        """Where it is, or would be if such a share were varied."""
        share = f"-varied{varied:g}" if varied else ""
        return self.folder / f"{self.seed + number}-{self.frames}x{self.px}-{self.motion_px}{share}"

    def check_share(self) -> None:
        """Raises InputError where the folder was begun with another share: what was learnt from it would stay."""
        name = self.path(0).name.split("-varied")[0]
        others = sorted({path.name for path in self.folder.glob(f"{name}*")} - {self.path(0).name})
        if others:
            raise InputError(
                f"{self.folder / others[0]} is of a run with another --varied than {self.varied:g}; "
                "go on with that, or give another --run"
            )

    def _sizes(self) -> dict[str, Any]:
        return {"frames": self.frames, "px": self.px, "motion_px": self.motion_px, "varied": self.varied}

    def ready(self) -> list[int]:
        """The clips that are drawn, by number."""
        return [number for number in range(self.count) if self.path(number).is_dir()]

    def draw_missing(self, workers: int = 1) -> Iterator[int]:
        """Draw what is missing; yields how many clips are there after each."""
        missing = [number for number in range(self.count) if not self.path(number).is_dir()]
        done = self.count - len(missing)
        yield done
        with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
            for _ in pool.map(self._draw, missing, chunksize=4):
                done += 1
                yield done

    def _draw(self, number: int) -> None:
        import cv2

        cv2.setNumThreads(1)
        save_arrays(self.path(number), self.arrays(number))


@dataclass(frozen=True, kw_only=True)
class Clips(_Folder):
    """Clips, in a folder."""

    seed: int = FIRST_TRAINING_SEED
    still: float = 0.0  # the share that show no face

    def arrays(self, number: int) -> dict[str, np.ndarray]:
        return draw_clip(self.seed + number, **self._sizes(), still=self.still)

    def load(self, number: int) -> Clip:
        return Clip.load(self.path(number))


@dataclass(frozen=True, kw_only=True)
class DrivingClips(_Folder):
    """Driving clips, in a folder."""

    seed: int = FIRST_DRIVING_SEED

    def arrays(self, number: int) -> dict[str, np.ndarray]:
        return draw_driving_clip(self.seed + number, **self._sizes())

    def load(self, number: int) -> DrivingClip:
        return DrivingClip.load(self.path(number))


# What a state's entries are divided by, so that the motion networks learn them all alike.
_SCALES = {"yaw_deg": 15, "pitch_deg": 8, "roll_deg": 6, "shift_x": 0.02, "shift_y": 0.02, "scale": 0.03}
STATE_SCALE = np.array([_SCALES.get(name, 0.5) for name in NAMES], np.float32)
STATE_MIDDLE = np.array([float(n == "scale") for n in NAMES], np.float32)


def normalised(states: np.ndarray) -> np.ndarray:
    """States (..., S) as the motion networks learn them: about zero, about one."""
    return (states - STATE_MIDDLE) / STATE_SCALE


def as_planes(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """(n, H, W, 3) uint8 -> (n, 3, H, W) float32 in [0, 1], stored plane by plane."""
    # A view of interleaved pixels would be stored as such by every layer after it, at three times the time on a CPU.
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).to(device).float() / 255
