"""How well face locators see, side by side: docs/quality.md has what this prints.

    hp-trt fetch mesh
    python -m tests.quality.compare_locators --seeds 8:16 --video VIDEO.mp4
    python -m tests.quality.compare_locators --seeds 8:16 --frames 30 --bundle shipped:pocket

Drawn clips have known landmarks; of a video only the trembling and the lost frames can be told. What is measured is
what the networks of the product see: the landmarks of `hp_trt.hunyuanportrait.driving`, a locator's steadying applied.
With a bundle, each clip drives its own first frame with every locator, and the judge reads what comes out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hp_trt.config import RuntimeConfig
from hp_trt.faces.face import FaceFollower, FaceLocator, largest_face
from hp_trt.faces.flow import FlowLocator
from hp_trt.faces.locators import open_live_locator, open_locator
from hp_trt.hunyuanportrait.driving import DrivingCrops, first_face
from hp_trt.hunyuanportrait.live_crops import LiveCrops
from hp_trt.measure.evaluation.config import EvaluateConfig, NetworkFiles, parse_seeds
from hp_trt.measure.evaluation.contestants import bundle_columns
from hp_trt.measure.evaluation.drawn import DrawnPairs, known_faces
from hp_trt.measure.evaluation.measure_clip import ClipMeasures
from hp_trt.measure.evaluation.measures import measures
from hp_trt.measure.metrics.judge import Judge
from hp_trt.media.video import VideoReader
from hp_trt.shipped import bundle_folder
from procedural.clip import clip

PX = 256
FOLLOWS = ("psnr", "lmd", "landmark_correlation")
MOUTH = ("jaw", "corners", "rounding")


@dataclass(frozen=True, kw_only=True)
class Track:
    """A locator's landmarks of one clip."""

    landmarks: np.ndarray  # (N, 5, 2) pixels, as the networks get them
    lost: int  # frames
    search_ms: float
    follow_ms: float  # of a face where it was a moment ago; not a number where the locator does not follow
    box: np.ndarray  # (4,) of the first face

    @property
    def eyes_px(self) -> float:
        """The mean distance between the eyes."""
        return float(np.linalg.norm(self.landmarks[:, 1] - self.landmarks[:, 0], axis=-1).mean())


def track(images: Sequence[np.ndarray], locator: FaceLocator) -> Track:
    """What `locator` says of a clip's `images`, the first of which has a face; a live one as a live session asks it."""
    first = first_face(iter(images), locator)
    crops: DrivingCrops | LiveCrops
    if isinstance(locator, FlowLocator):
        crops = LiveCrops(locator, {"crop_px": 64, "motion_px": 32})
        seen = [crop for number, image in enumerate(images) if (crop := crops.crop(image, number)) is not None]
    else:
        crops = DrivingCrops(locator, first, crop_px=64, size=32)
        seen = list(crops.crops(images))
    landmarks = np.stack([crop.landmarks for crop in seen])
    searches, follows = [], []
    for frame, image in enumerate(images):
        start = time.perf_counter()
        locator.locate(image, frame)
        searches.append(time.perf_counter() - start)
    if isinstance(locator, FaceFollower):
        face = first_face(iter(images), locator)
        for frame, image in enumerate(images):
            start = time.perf_counter()
            found = locator.near(image, face)
            follows.append(time.perf_counter() - start)
            face = largest_face(found or locator.locate(image, frame) or [face])
    return Track(
        landmarks=landmarks,
        lost=crops.held,
        search_ms=1e3 * float(np.median(searches)),
        follow_ms=1e3 * float(np.median(follows)) if follows else float("nan"),
        box=np.array(first.box),
    )


def jitter(landmarks: np.ndarray) -> float:
    """The mean length of the second difference in time, pixels."""
    return float(np.linalg.norm(np.diff(landmarks, n=2, axis=0), axis=-1).mean())


def drawn_rows(seeds: range, frames: int, locators: Mapping[str, FaceLocator]) -> Iterator[list[str]]:
    """Errors and jitter in percent of the distance between the eyes; the box in pixels of `PX`."""
    clips = [clip(seed, frames=frames, px=PX) for seed in seeds]
    truths = [made.landmarks()[:, :5] for made in clips]
    eyes = [float(np.linalg.norm(truth[:, 1] - truth[:, 0], axis=-1).mean()) for truth in truths]
    pictures = [made.frames() for made in clips]
    for name, locator in ({"truth": None} | dict(locators)).items():
        errors, trembling, lost, search_ms, follow_ms, boxes = [], [], 0, [], [], []
        for made, truth, px, images in zip(clips, truths, eyes, pictures, strict=True):
            found = track(images, known_faces(made) if locator is None else locator)
            errors.append(100 * np.linalg.norm(found.landmarks - truth, axis=-1).mean(axis=0) / px)
            trembling.append(100 * jitter(found.landmarks) / px)
            lost += found.lost
            search_ms.append(found.search_ms)
            follow_ms.append(found.follow_ms)
            boxes.append(found.box)
        eye, nose, mouth = (np.mean(errors, axis=0)[part].mean() for part in (slice(0, 2), 2, slice(3, 5)))
        box = " ".join(f"{number:.0f}" for number in np.mean(boxes, axis=0))
        yield [
            name, f"{eye:.1f}", f"{nose:.1f}", f"{mouth:.1f}", f"{np.mean(trembling):.2f}",
            f"{lost} of {len(seeds) * frames}", f"{np.mean(search_ms):.0f}", f"{np.mean(follow_ms):.1f}", box,
        ]  # fmt: skip


def video_rows(video: Path, locators: Mapping[str, FaceLocator]) -> Iterator[list[str]]:
    images = list(VideoReader(video))
    for name, locator in locators.items():
        found = track(images, locator)
        yield [
            name, f"{100 * jitter(found.landmarks) / found.eyes_px:.2f}", f"{found.lost} of {len(images)}",
            f"{found.search_ms:.0f}", f"{found.follow_ms:.1f}", " ".join(f"{number:.0f}" for number in found.box),
        ]  # fmt: skip


def result_rows(bundle: Path, seeds: range, frames: int, locators: Mapping[str, FaceLocator]) -> Iterator[list[str]]:
    """Self-reenactment of drawn clips, their driving faces found by each locator. The portrait's are known."""
    config = EvaluateConfig(protocol="self", seeds=f"{seeds.start}:{seeds.stop}", bundles=(bundle,))
    [column] = bundle_columns(replace(config, runtimes=(RuntimeConfig(),)))
    source = DrawnPairs("self", seeds, frames)
    measured = ClipMeasures(measures("self"), NetworkFiles(), locator=open_locator(), read=Judge().read)
    size = column.bundle.manifest.geometry["crop_px"]
    with column.opened() as animate:
        for name, locator in ({"truth": None} | dict(locators)).items():
            found = []
            for index in range(len(seeds)):
                pair = source.pair(index, size)
                pair = pair if locator is None else replace(pair, driving_faces=locator)
                found.append(measured.measure(pair, animate(pair), column.joints(frames)))
            means = [np.mean([clip.values[key] for clip in found]) for key in FOLLOWS]
            mouths = [
                np.mean(values) if (values := [c.correlations[key] for c in found if key in c.correlations]) else np.nan
                for key in MOUTH
            ]
            yield [name, *(f"{number:.2f}" for number in (*means, *mouths))]


def show(head: Sequence[str], rows: Iterator[list[str]]) -> None:
    """A table as docs/quality.md has it, line by line."""
    for row in (head, ["---"] * len(head)):
        print(f"| {' | '.join(row)} |")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description="Face locators side by side.")
    parser.add_argument("--seeds", type=parse_seeds, default=range(24), help="drawn clips A to B - 1, as A:B")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--video", type=Path, help="one of your own")
    parser.add_argument("--bundle", type=bundle_folder, help="animate, too")
    parser.add_argument("--mesh", type=Path, help="face_landmark.tflite [as fetched]")
    asked = parser.parse_args()
    locators = {"haar": open_locator(), "haar, live": open_live_locator(), "mesh": open_locator("mesh", asked.mesh)}
    if asked.bundle:
        head = ["locator", "PSNR, dB", "LMD", "landmarks follow", *(f"{name} follows" for name in MOUTH)]
        show(head, result_rows(asked.bundle, asked.seeds, asked.frames, locators))
        return
    costs = ["lost frames", "search, ms", "follow, ms", "first box, px"]
    show(
        ["drawn clips", "eyes, %", "nose, %", "mouth, %", "jitter, %", *costs],
        drawn_rows(asked.seeds, asked.frames, locators),
    )
    if asked.video:
        show(["video", "jitter, %", *costs], video_rows(asked.video, locators))


if __name__ == "__main__":
    main()
