"""How much nearer the shipped upscaler is to a picture as it was drawn than a bicubic filter, on people never seen."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from engines.bundle import Bundle
from engines.onnx_backend import OnnxBackend
from hp_trt import shipped
from procedural.draw import draw
from procedural.identity import Identity
from procedural.motion import motion

PEOPLE = range(6)  # seeds below those of training
LEAST_DB = 1.0  # better than bicubic, of the mean over the people
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "area": Image.Resampling.BOX}


@pytest.fixture(scope="module")
def upscaler():
    folder = shipped.bundle_folder(shipped.ENHANCER_POCKET_BUNDLE)
    bundle, backend = Bundle.open(folder, family="onnxruntime"), OnnxBackend(threads=2)
    session = backend.load(bundle.spec("enhance_upscaler"), bundle.model_path("enhance_upscaler"))

    def enlarge(picture: np.ndarray) -> np.ndarray:
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        made = backend.download(session.run({"picture": backend.upload(planes)})["enlarged"])[0].transpose(1, 2, 0)
        return (made.clip(0, 1) * 255).round().astype(np.uint8)

    yield enlarge
    session.close()


def psnr(made: np.ndarray, drawn: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((made.astype(np.float64) - drawn) ** 2)))


def person(seed: int, side: int) -> np.ndarray:
    return draw(Identity.random(seed), motion(seed, 12)[-1], side)


@pytest.mark.parametrize("halved", FILTERS)
@pytest.mark.parametrize("side", [256, 512])
def test_the_shipped_upscaler_is_nearer_to_unseen_people_than_bicubic(upscaler, halved, side):
    gains = []
    for seed in PEOPLE:
        drawn = person(seed, side)
        small = Image.fromarray(drawn).resize((side // 2, side // 2), FILTERS[halved])
        bicubic = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))
        gains.append(psnr(upscaler(np.asarray(small)), drawn) - psnr(bicubic, drawn))
    assert np.mean(gains) >= LEAST_DB, gains
