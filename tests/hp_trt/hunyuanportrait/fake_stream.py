"""HunyuanPortrait's stream without a bundle: the loop's stand-in networks, a motion network and a decoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from hp_trt.faces.face import Face
from hp_trt.hunyuanportrait.live_crops import LiveCrops
from hp_trt.hunyuanportrait.portrait_encoder import EncodedPortrait
from hp_trt.hunyuanportrait.stream import PortraitStream
from hp_trt.media.portrait import Portrait
from runtime.hunyuanportrait.live import LiveLoop
from runtime.hunyuanportrait.sampling import Sampling
from runtime.live_decode import LiveDecoder
from runtime.live_windows import LiveWindows
from tests.fakes import FakeBackend, decoded, decoder_spec, spec
from tests.runtime.hunyuanportrait.fake_networks import CHANNELS, FEATURES, TOKENS, H, W, fake_clip, identity_of
from tests.runtime.hunyuanportrait.test_live import live_sessions

PICTURE_PX, CROP_PX, MOTION_PX = 32, 12, 4
GEOMETRY = {"crop_px": CROP_PX, "motion_px": MOTION_PX, "appearance_px": 8}
WINDOWS = LiveWindows(size=5, overlap=1, lead_in=1)  # 4 new frames in each window
SAMPLING = Sampling(steps=2)


class Faces:
    """One face in the middle of every picture but those of brightness 0."""

    name, reads_pixels, steadiness = "fake faces", True, 0.0

    def __init__(self) -> None:
        self.seen: list[int] = []

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        self.seen.append(frame)
        if not image.max():
            return []
        side = image.shape[0]
        points = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.42, 0.6], [0.58, 0.6]]) * side
        return [Face(box=(0.35 * side, 0.35 * side, 0.3 * side, 0.3 * side), landmarks=points, score=1.0)]


def portrait_of(backend: FakeBackend, number: int = 0) -> Portrait:
    identity = identity_of(backend, fake_clip(3 + number))
    nothing = np.zeros(0)  # a stream never looks at it
    encoded = EncodedPortrait(box=(0, 0, 1, 1), square=nothing, embedding=nothing, identity=identity)
    return Portrait(image=picture(0), path=None, notes=(), paste=lambda crop: crop, encoded=encoded)


def picture(level: int, size: int = PICTURE_PX) -> np.ndarray:
    """A driving frame that is known by its brightness."""
    return np.full((size, size, 3), level, np.uint8)


def sessions_of(backend: FakeBackend, windows: LiveWindows = WINDOWS) -> dict[str, Any]:
    """By role, as `PortraitStream` takes them."""
    images = ("frames", 3, MOTION_PX, MOTION_PX)
    motion = spec(
        "motion",
        {"face_images": images, "pose_images": images, "head_id": (1,), "exp_id": (1,)},
        {"motion_tokens": ("frames", TOKENS, FEATURES)},
        dtypes={"head_id": "int64", "exp_id": "int64"},
    )
    decoder = decoder_spec("tiny_decoder", (CHANNELS, H, W), 6, 6, most=8, context=2)
    return {
        **live_sessions(backend, windows.size),
        "motion": backend.session(motion, motion_tokens),
        "decoder": backend.session(decoder, pictures),
    }


def motion_tokens(face_images, pose_images, head_id, exp_id):
    """Each frame's mean brightness, in every feature."""
    level = pose_images.mean((1, 2, 3)).astype(np.float32)
    return {"motion_tokens": np.broadcast_to(level[:, None, None], (len(level), TOKENS, FEATURES)).copy()}


def pictures(latents):
    return decoded(np.repeat(np.repeat(latents[:, :3], 2, axis=2), 2, axis=3))


def open_stream(backend: FakeBackend, *, locator: Any = None, after: PortraitStream | None = None, **options: Any):
    """A stream of portrait 0, as the model opens one."""
    given: dict[str, Any] = {
        "portrait": portrait_of(backend),
        "sampling": SAMPLING,
        "windows": WINDOWS,
        "side_px": CROP_PX,
        "crops": after.crops if after else LiveCrops(locator or Faces(), GEOMETRY),
        "guard": None,
    } | options
    sessions = given.pop("sessions", None) or sessions_of(backend, given["windows"])
    return PortraitStream(backend, sessions, **given)


def plain_crops(levels: list[int], sampling: Sampling = SAMPLING) -> list[np.ndarray]:
    """What a stream should make of pictures of these brightnesses: the loop alone."""
    backend = FakeBackend()
    sessions, identity = sessions_of(backend), portrait_of(backend).encoded.identity
    loop = LiveLoop(backend, sessions, identity=identity, sampling=sampling, windows=WINDOWS, side_px=CROP_PX)
    decoder = LiveDecoder(backend, sessions["decoder"])
    made: list[np.ndarray] = []
    while len(made) < len(levels):
        group = levels[len(made) : len(made) + loop.wanted]
        images = np.stack([np.full((3, MOTION_PX, MOTION_PX), level / 255, np.float32) for level in group])
        tokens = motion_tokens(images, images, 0, 0)["motion_tokens"]
        latents = loop.window(backend.upload(tokens))
        made += decoder.frames(decoder.begin(latents))
    return made
