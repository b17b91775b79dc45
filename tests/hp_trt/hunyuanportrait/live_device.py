"""A live stream whose graphs are plans on the fake device, with tensors as large as the real ones.

The networks are a formula each, cheap enough for 512 pixels, and see all that the real ones see.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from engines.backend import Backend
from engines.families import TENSORRT
from engines.trt_backend import TrtBackend
from hp_trt.hunyuanportrait.portrait_encoder import EncodedPortrait
from hp_trt.hunyuanportrait.stream import PortraitStream
from hp_trt.media.portrait import Portrait
from runtime.hunyuanportrait.memory_bank import Identity
from runtime.hunyuanportrait.sampling import Sampling
from runtime.live_windows import LiveWindows
from tests.engines.fake_cuda import FakeDriver
from tests.engines.fake_trt import FakePlan, fake_trt
from tests.fakes import FakeBackend, decoded, decoder_spec, spec

WINDOWS = LiveWindows()  # 8 frames, 1 of them the window before's
TOKENS, FEATURES, EMBEDDING, MOTION_PX = 4, 64, 16, 112
Formulas = dict[str, tuple[Any, Any]]  # role -> what it promises, and what it does


def formulas(side_px: int, windows: LiveWindows = WINDOWS) -> Formulas:
    """The graphs of a live stream by role."""
    cells, size = side_px // 8, windows.size
    cell, images = (4, cells, cells), ("frames", 3, MOTION_PX, MOTION_PX)
    window = ("frames", *cell)

    def denoiser(latents, c_in, step_embedding, image_latents, image_tokens, motion_tokens, row_weights):
        own = motion_tokens.mean((0, 2, 3)).reshape(-1, 1, 1, 1)
        seen = own + image_latents.mean() + image_tokens.mean() + step_embedding.mean() + row_weights.sum()
        return {"velocity": (c_in * latents + seen).astype(np.float32)}

    def stitch(latents, velocities, matrix, a, b):
        mean = (matrix @ velocities.reshape(len(velocities), -1)).reshape(latents.shape)
        return {"next_latents": (a * latents + b * mean).astype(np.float32)}

    def motion(face_images, pose_images, head_id, exp_id):
        level = face_images.mean((1, 2, 3)) + 0.1 * pose_images.mean((1, 2, 3)) + 1e-3 * (head_id + exp_id)
        return {"motion_tokens": np.broadcast_to(level[:, None, None], (len(level), TOKENS, FEATURES)).astype("f4")}

    def decoder(latents):
        before = np.concatenate([np.zeros_like(latents[:1]), latents[:-1]])
        mixed = 0.1 * (latents[:, :3] + 0.5 * before[:, :3])
        return decoded(mixed.repeat(8, axis=2).repeat(8, axis=3))

    inputs = {
        "latents": (size, *cell),
        "c_in": (1,),
        "step_embedding": (1, EMBEDDING),
        "image_latents": ("rows", *cell),
        "image_tokens": ("rows", TOKENS, FEATURES),
        "motion_tokens": ("rows", size, TOKENS, FEATURES),
        "row_weights": ("rows",),
    }
    stitched = {"latents": window, "velocities": window, "matrix": ("frames", "frames"), "a": (1,), "b": (1,)}
    pushed = {"face_images": images, "pose_images": images, "head_id": (1,), "exp_id": (1,)}
    ids = {"head_id": "int64", "exp_id": "int64"}
    return {
        "step_embedding": (
            spec("step_embedding", {"timesteps": ("n",), "added_time_ids": (3,)}, {"embeddings": ("n", EMBEDDING)}),
            lambda timesteps, added_time_ids: {
                "embeddings": np.cos(timesteps[:, None] + np.arange(EMBEDDING)).astype(np.float32)
            },
        ),
        "motion": (spec("motion", pushed, {"motion_tokens": ("frames", TOKENS, FEATURES)}, dtypes=ids), motion),
        "denoiser": (
            spec("live_denoiser", inputs, {"velocity": (size, *cell)}, most=3, unit="rows", repeated=True),
            denoiser,
        ),
        "stitch": (spec("live_stitch", stitched, {"next_latents": window}, most=25), stitch),
        "decoder": (
            decoder_spec("tiny_decoder", cell, side_px, side_px, most=25, lane="decode", repeated=True, context=1),
            decoder,
        ),
    }


class Crops:
    """Crops without a face finder: a picture is its brightness."""

    frames = held = faceless = 0

    def crop(self, image: np.ndarray, index: int) -> Any:
        self.frames += 1
        level = np.float32(image.mean() / 255)
        seen = np.full((3, MOTION_PX, MOTION_PX), level, np.float32)
        return SimpleNamespace(face_image=seen, pose_image=seen)

    def intensity(self, crops: Any) -> tuple[int, int]:
        return len(crops), 1

    def notes(self) -> list[str]:
        return []


def portrait_of(backend: Backend, side_px: int) -> Portrait:
    draw, cells = np.random.default_rng(7), side_px // 8
    identity = Identity(
        image_tokens=backend.upload(draw.standard_normal((1, TOKENS, FEATURES), np.float32)),
        image_latents=backend.upload(draw.standard_normal((1, 4, cells, cells), np.float32)),
        start_latents=draw.standard_normal((1, 4, cells, cells), np.float32),
    )
    nothing = np.zeros(0)  # a stream never looks at it
    encoded = EncodedPortrait(box=(0, 0, 1, 1), square=nothing, embedding=nothing, identity=identity)
    return Portrait(image=picture(0), path=None, notes=(), paste=lambda crop: crop, encoded=encoded)


def picture(level: int) -> np.ndarray:
    return np.full((8, 8, 3), level, np.uint8)


def stream_of(backend: Any, sessions: Any, portrait: Portrait, side_px: int, *, steps: int = 1) -> PortraitStream:
    return PortraitStream(
        backend,
        sessions,
        portrait=portrait,
        crops=Crops(),  # type: ignore[arg-type]
        guard=None,
        sampling=Sampling(steps=steps),
        windows=WINDOWS,
        side_px=side_px,
    )


class LiveDevice:
    """A TrtBackend over the fake device with a live stream's plans."""

    def __init__(self, folder: Path, side_px: int, *, driver: FakeDriver | None = None, **options: Any) -> None:
        self.side_px, self.driver = side_px, driver or FakeDriver(total_bytes=2 << 30)
        trt = fake_trt(self.driver)
        self.backend = TrtBackend(TENSORRT, trt, self.driver, device="fake GPU", **options)
        self.made = trt.made
        self.sessions = {}
        for role, (promise, formula) in formulas(side_px).items():
            plan = FakePlan(spec=promise, formula=formula, arena_bytes=1 << 20)
            self.sessions[role] = self.backend.load(promise, trt.write_plan(folder / f"{role}.plan", plan))
        self.portrait = portrait_of(self.backend, side_px)

    def stream(self, **options: Any) -> PortraitStream:
        return stream_of(self.backend, self.sessions, self.portrait, self.side_px, **options)


@contextmanager
def live_device(folder: Path, side_px: int, **options: Any) -> Iterator[LiveDevice]:
    """Clean in the end."""
    opened = LiveDevice(folder, side_px, **options)
    with opened.backend:
        yield opened
    gc.collect()
    opened.driver.require_clean()


def plain_frames(levels: list[int], side_px: int, *, steps: int = 1) -> list[np.ndarray]:
    """What comes of pictures of these brightnesses on the plain backend, window after window."""
    backend = FakeBackend()
    sessions = {role: backend.session(promise, formula) for role, (promise, formula) in formulas(side_px).items()}
    stream = stream_of(backend, sessions, portrait_of(backend, side_px), side_px, steps=steps)
    made: list[np.ndarray] = []
    for number, group in enumerate(groups(levels)):
        assert len(group) <= stream.new_frames(number)
        seen = [stream.see(picture(level), 0) for level in group]
        made += stream.frames(stream.begin(stream.denoise(stream.encode(seen))))
    return made


def groups(levels: list[int]) -> list[list[int]]:
    """The driving frames of each window."""
    found, at = [], 0
    while at < len(levels):
        count = WINDOWS.new_frames(len(found))
        found.append(levels[at : at + count])
        at += count
    return found
