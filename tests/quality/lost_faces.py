"""How well it is seen that a face was lost: docs/quality.md has what this prints.

    python -m tests.quality.lost_faces --bundle shipped:pocket --portrait me.png --sheet sheet.png

A bundle that comes with hp-trt animates drawn people, plain and varied, whom it should animate well, and what it should
not: the same people from the side, with a hand before the face, without colours, painted over; scikit-image's sample
pictures, a gradient and noise; `--portrait FILE`, as often as there are pictures, adds one's own. Of each kind it is
counted how many were refused because no face was found, had a note of doubt before, and were called lost afterwards
(`hp_trt.faces.lost`). Of drawn people whom a video drives, the truth is known: how the detail about the eyes correlates
with it, of those that were called lost and of the others. No picture of a real person comes with this repository.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines.bundle import Bundle
from export.training.pictures import sample
from hp_trt import FaceNotFound, Runtime, RuntimeConfig
from hp_trt.faces.lost import FaceWatch
from hp_trt.measure.evaluation.drawn import known_faces
from hp_trt.measure.evaluation.spoken import said
from hp_trt.media.images import load_image
from hp_trt.shipped import bundle_folder
from procedural.clip import clip
from procedural.landmarks import face_box
from procedural.motion import State, motion
from procedural.people import Person
from procedural.speech import HZ
from tests.quality.photographs import sheet

PX, LARGE_PX = 256, 512  # of drawn pictures, of photographs
FRAMES, DRIVER = 17, 500  # of clips; the seed that drives
PERSON, WHOLE = "astronaut.png", (slice(None), slice(None))
PHOTOGRAPHS: Mapping[str, tuple[slice, slice]] = {  # which part of each
    PERSON: (slice(0, 300), slice(80, 380)),
    "camera.png": (slice(0, 256), slice(100, 356)),
    "chelsea.png": (slice(0, 300), slice(80, 300)),  # the cat's face
    "coffee.png": WHOLE,
    "coins.png": WHOLE,
    "rocket.jpg": WHOLE,
}
OF_DOUBT = ("no eye is seen", "turned far", "is outside of the picture", "of the side of the square")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A portrait, and who it is where somebody drawn looks ahead, untouched."""

    kind: str
    name: str
    picture: np.ndarray
    who: Person | None = None


def grey(picture: np.ndarray) -> np.ndarray:
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def painted(picture: np.ndarray) -> np.ndarray:
    """In patches, of eight levels a colour."""
    return (cv2.medianBlur(picture, 9) // 32 * 32 + 16).astype(np.uint8)


def outlined(picture: np.ndarray) -> np.ndarray:
    return cv2.stylization(picture, sigma_s=60, sigma_r=0.5)


def hidden(picture: np.ndarray, seed: int) -> np.ndarray:
    """With something of the shape and the colour of a hand before the face."""
    random, found, side = np.random.default_rng(seed), picture.copy(), len(picture)
    colour = random.integers([150, 100, 80], [235, 190, 160]).tolist()
    x = int(side * (0.5 + random.uniform(-0.1, 0.1)))
    y = int(side * (0.62 + random.uniform(-0.05, 0.05)))
    for finger in range(4):
        left = x - side // 7 + finger * side // 12
        cv2.line(found, (left, y), (left, y - side // 6), colour, side // 16, cv2.LINE_AA)
    cv2.ellipse(found, (x, y), (side // 6, side // 8), 0, 0, 360, colour, -1, cv2.LINE_AA)
    cv2.line(found, (x, y), (x + side // 5, side), colour, side // 9, cv2.LINE_AA)
    return found


def cases(people: int, fewer: int, own: Sequence[Path]) -> Iterator[Case]:
    """`people` of each rendering as they are, the first `fewer` of them altered."""
    for varied in (False, True):
        how = "varied" if varied else "plain"
        drawn = [Person.random(seed, varied=varied) for seed in range(people)]
        ahead = [who.draw(motion(seed, 1)[0], PX) for seed, who in enumerate(drawn)]
        for seed, (who, picture) in enumerate(zip(drawn, ahead, strict=True)):
            yield Case(kind=f"{how} people", name=f"{how} {seed}", picture=picture, who=who)
        for seed in range(fewer):
            for what, picture in _ways(drawn[seed], ahead[seed], seed):
                yield Case(kind=f"{how}, {what}", name=f"{how} {seed}, {what}", picture=picture)
    for name, where in PHOTOGRAPHS.items():
        picture = _square(sample(name)[where])
        yield Case(kind="scikit-image's pictures", name=name, picture=picture)
        if name == PERSON:
            yield from _altered(picture, name, "scikit-image's pictures")
    ramp = np.linspace(0, 255, LARGE_PX)
    flat = np.stack(
        [np.tile(ramp, (LARGE_PX, 1)), np.tile(ramp[:, None], (1, LARGE_PX)), np.full((LARGE_PX, LARGE_PX), 128.0)],
        axis=2,
    )
    noise = np.random.default_rng(0).integers(0, 256, (LARGE_PX, LARGE_PX, 3), dtype=np.uint8)
    for name, picture in (("gradient", flat.astype(np.uint8)), ("noise", noise)):
        yield Case(kind="a gradient, noise", name=name, picture=picture)
    for path in own:
        picture = load_image(path)
        yield Case(kind="your photographs", name=path.stem, picture=picture)
        yield from _altered(picture, path.stem, "your photographs")


def _ways(who: Person, ahead: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Somebody drawn, as nobody is whom networks have learnt from. Odd seeds turn to the other side."""
    sign = 1 if seed % 2 else -1
    yield "without colours", grey(ahead)
    yield "painted", painted(ahead)
    yield "outlined", outlined(ahead)
    yield "turned by 45 degrees", who.draw(State(yaw_deg=45 * sign), PX)
    yield "turned by 70 degrees", who.draw(State(yaw_deg=70 * sign), PX)
    yield "a hand before the face", hidden(ahead, seed)


def _altered(picture: np.ndarray, name: str, kind: str) -> Iterator[Case]:
    """A photographed person, who has seldom been drawn."""
    for what, seen in (
        ("without colours", grey(picture)),
        ("outlined", outlined(picture)),
        ("a hand before the face", hidden(picture, 3)),
    ):
        yield Case(kind=f"{kind}, altered", name=f"{name}, {what}", picture=seen)


def _square(picture: np.ndarray) -> np.ndarray:
    """The middle square."""
    side = min(picture.shape[:2])
    y, x = ((length - side) // 2 for length in picture.shape[:2])
    square = np.ascontiguousarray(picture[y : y + side, x : x + side])
    return cv2.resize(square, (LARGE_PX, LARGE_PX), interpolation=cv2.INTER_AREA)


def true_detail(frames: Sequence[np.ndarray], who: Person, box: Sequence[int]) -> float:
    """The correlation of what changes within a small part of a face, about the eyes, with the truth's.

    `frames`: (S, S, 3) uint8 of the square `box` of the portrait, whom the driver of `FRAMES` states drives.
    """
    states, found = motion(DRIVER, FRAMES), []
    x0, y0, x1, y1 = box
    for number in range(0, FRAMES, 2):
        true = who.draw(states[number], PX, number)[y0:y1, x0:x1]
        one, other = (_detail(cv2.resize(picture, (PX, PX))) for picture in (frames[number], true))
        x, y, w, h = np.array(face_box(who.identity, states[number], PX)) - (x0, y0, 0, 0)
        where = slice(max(int(y + 0.2 * h), 0), int(y + 0.6 * h)), slice(max(int(x), 0), int(x + w))
        found.append(np.corrcoef(one[where].ravel(), other[where].ravel())[0, 1])
    return float(np.mean(found))


def _detail(picture: np.ndarray) -> np.ndarray:
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur(gray, (0, 0), 4) - cv2.GaussianBlur(gray, (0, 0), 12)


def main() -> None:
    parser = argparse.ArgumentParser(description="How well it is seen that a face was lost.")
    parser.add_argument("--bundle", type=bundle_folder, required=True)
    parser.add_argument("--portrait", type=Path, action="append", default=[], help="a photograph of a face")
    parser.add_argument("--people", type=int, default=24, help="of each rendering [24]")
    parser.add_argument("--fewer", type=int, default=8, help="of them, altered in each way [8]")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--sheet", type=Path, help="a picture of all results")
    asked = parser.parse_args()
    video = Bundle.open(asked.bundle, family="onnxruntime").manifest.model == "hunyuanportrait"
    driver, speech = clip(DRIVER, frames=FRAMES, px=PX), said(DRIVER, FRAMES).samples
    driving, faces = driver.frames(), known_faces(driver)
    config = RuntimeConfig(threads=asked.threads, profile="live" if video else "exact")
    rows: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    truths: dict[bool, list[float]] = {True: [], False: []}
    results: list[list[np.ndarray]] = []
    with Runtime(asked.bundle, config) as runtime:
        for case in cases(asked.people, asked.fewer, asked.portrait):
            try:
                portrait = runtime.portrait(case.picture)
            except FaceNotFound:
                rows[case.kind].append(("refused", False))
                continue
            moves = (
                runtime.frames(portrait, driving, landmarks=faces) if video else runtime.talk(portrait, (speech, HZ))
            )
            frames = [frame.crop for frame in moves][:FRAMES]
            watch = FaceWatch(portrait.square)
            for frame in frames:
                watch.see(frame)
            lost, doubted = bool(watch.notes()), any(part in note for note in portrait.notes for part in OF_DOUBT)
            rows[case.kind].append(("lost" if lost else "kept", doubted))
            print(f"{case.name}: {rows[case.kind][-1][0]}", flush=True)
            assert portrait.square is not None and portrait.box is not None
            results.append([cv2.resize(portrait.square, frames[0].shape[:2]), *frames])
            if video and case.who is not None:
                truths[lost].append(true_detail(frames, case.who, portrait.box))
    print("\n| portraits | of | no face found | a note before | lost, as is said afterwards |\n|---|---|---|---|---|")
    for kind, found in rows.items():
        counts = [sum(state == "refused" for state, _ in found), sum(doubted for _, doubted in found)]
        print(f"| {kind} | {len(found)} | {counts[0]} | {counts[1]} | {sum(s == 'lost' for s, _ in found)} |")
    for lost, known in truths.items():
        if known:
            print(f"detail like the truth's, {'lost' if lost else 'others'}: {np.mean(known):.2f} of {len(known)}")
    if asked.sheet:
        sheet(results, asked.sheet)


if __name__ == "__main__":
    main()
