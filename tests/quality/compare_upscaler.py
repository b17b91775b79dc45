"""The shipped upscaler beside bicubic filters, on drawn people never seen: docs/quality.md has what this prints.

    python -m tests.quality.compare_upscaler --people 24

People are drawn, halved, and enlarged again by the upscaler, by Pillow's bicubic filter and by OpenCV's. PSNR against
the picture as it was drawn; gain: of the mean over the better of the two filters' means.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from engines.bundle import Bundle
from engines.onnx_backend import OnnxBackend
from hp_trt import shipped
from procedural.draw import draw
from procedural.identity import Identity
from procedural.motion import motion

SIDES = (128, 256, 512)
QUALITIES = {"jpeg 90": 90, "jpeg 75": 75}
HALVED = ("bicubic", "area", *QUALITIES)  # by which filter; the last ones by area, and stored as JPEG then
Enlarge = Callable[[np.ndarray], np.ndarray]  # (H, W, 3) uint8 -> (2H, 2W, 3) uint8


def shipped_upscaler(threads: int = 2) -> Enlarge:
    """The whole picture at once, without tiles."""
    bundle = Bundle.open(shipped.bundle_folder(shipped.ENHANCER_POCKET_BUNDLE), family="onnxruntime")
    backend = OnnxBackend(threads=threads)
    session = backend.load(bundle.spec("enhance_upscaler"), bundle.model_path("enhance_upscaler"))

    def enlarge(picture: np.ndarray) -> np.ndarray:
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        made = backend.download(session.run({"picture": backend.upload(planes)})["enlarged"])[0].transpose(1, 2, 0)
        return np.asarray((made.clip(0, 1) * 255).round().astype(np.uint8))

    return enlarge


def person(seed: int, side: int) -> np.ndarray:
    """(side, side, 3) uint8."""
    return draw(Identity.random(seed), motion(seed, 12)[-1], side)


def halved(picture: np.ndarray, way: str) -> np.ndarray:
    side = picture.shape[0] // 2
    kind = Image.Resampling.BICUBIC if way == "bicubic" else Image.Resampling.BOX
    small = Image.fromarray(picture).resize((side, side), kind)
    if way in QUALITIES:
        packed = io.BytesIO()
        small.save(packed, "JPEG", quality=QUALITIES[way])
        small = Image.open(packed).convert("RGB")
    return np.asarray(small)


def by_pillow(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((2 * width, 2 * height), Image.Resampling.BICUBIC))


def by_opencv(picture: np.ndarray) -> np.ndarray:
    import cv2

    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC))


def psnr_db(made: np.ndarray, drawn: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((made.astype(np.float64) - drawn) ** 2)))


def compared(enlarge: Enlarge, people: range, side: int, way: str) -> np.ndarray:
    """(people, 3): PSNR of the upscaler, of Pillow's filter and of OpenCV's, in dB."""
    rows = []
    for seed in people:
        drawn = person(seed, side)
        small = halved(drawn, way)
        rows.append([psnr_db(by(small), drawn) for by in (enlarge, by_pillow, by_opencv)])
    return np.array(rows)


def gain_db(compared: np.ndarray) -> float:
    """Of the mean, over the better filter's."""
    ours, *filters = compared.mean(axis=0)
    return float(ours - max(filters))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=24, help="seeds from 0 on")
    people, enlarge = range(parser.parse_args().people), shipped_upscaler()
    print("| side | halved by | upscaler | Pillow | OpenCV | gain | worst of a person |\n|---|---|---|---|---|---|---|")
    for side in SIDES:
        for way in HALVED:
            found = compared(enlarge, people, side, way)
            worst = (found[:, 0] - found[:, 1:].max(axis=1)).min()
            means = " | ".join(f"{mean:.2f}" for mean in found.mean(axis=0))
            print(f"| {side} px | {way} | {means} | {gain_db(found):+.2f} | {worst:+.2f} |")


if __name__ == "__main__":
    main()
