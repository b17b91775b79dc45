"""A runtime without a bundle: the loop's stand-in networks, a motion network and a decoder of one line each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from hp_trt.faces.face import Face
from hp_trt.live.session import LiveSession
from hp_trt.profiles import Profile, find_profile
from runtime.hunyuanportrait.memory_bank import Identity
from runtime.hunyuanportrait.sampling import Sampling
from runtime.live_windows import LiveWindows
from runtime.stages import Stages
from tests.fakes import FakeBackend, spec
from tests.runtime.hunyuanportrait.fake_networks import CHANNELS, FEATURES, TOKENS, H, W, fake_clip, identity_of
from tests.runtime.hunyuanportrait.test_live import live_sessions

PICTURE_PX, CROP_PX, MOTION_PX = 32, 12, 4
WINDOWS = LiveWindows(size=5, overlap=1, lead_in=1)  # 4 new frames in each window
PROFILE = Profile(name="fake live", mode="live", sampling={"steps": 2}, windows=WINDOWS)


def picture(level: int, size: int = PICTURE_PX) -> np.ndarray:
    """A driving frame that is known by its brightness."""
    return np.full((size, size, 3), level, np.uint8)


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


class FakeRuntime:
    """What `LiveSession` needs of a `Runtime`. `before_denoise`: called in the denoiser, to be slow or to fail."""

    def __init__(self, *, concurrent: bool = True, before_denoise: Callable[[], None] = lambda: None) -> None:
        self.backend = FakeBackend()
        self.backend.concurrent = concurrent
        self.bundle = SimpleNamespace(
            manifest=SimpleNamespace(geometry={"crop_px": CROP_PX, "motion_px": MOTION_PX, "appearance_px": 8})
        )
        self.inside = self.most_inside = 0  # threads that run a graph at once
        self._counting = threading.Lock()
        self._before_denoise = before_denoise
        self._opened: dict[str, dict[str, Any]] = {}

    def portrait(self, number: Any = 0) -> Any:
        clip = fake_clip(3 + int(number))
        return SimpleNamespace(identity=identity_of(self.backend, clip), paste=lambda crop: crop, notes=())

    def live_profile(self, profile: Profile | str) -> Profile:
        return profile if isinstance(profile, Profile) else find_profile(profile)

    def sampling_of(self, profile: Profile, **overrides: Any) -> Sampling:
        return Sampling.from_manifest(profile.sampling, **overrides)

    def sessions_of(self, profile: Profile) -> dict[str, Any]:
        assert profile.windows is not None
        if profile.name not in self._opened:
            backend = self.backend
            sessions = live_sessions(backend, profile.windows.size)
            denoise = sessions["denoiser"].formula
            sessions["denoiser"].formula = lambda **inputs: self._before_denoise() or denoise(**inputs)
            images = ("frames", 3, MOTION_PX, MOTION_PX)
            sessions["motion"] = backend.session(
                spec(
                    "motion",
                    {"face_images": images, "pose_images": images, "head_id": (1,), "exp_id": (1,)},
                    {"motion_tokens": ("frames", TOKENS, FEATURES)},
                    dtypes={"head_id": "int64", "exp_id": "int64"},
                ),
                motion_tokens,
            )
            sessions["decoder"] = backend.session(
                spec(
                    "tiny_decoder",
                    {"latents": ("chunk", CHANNELS, H, W)},
                    {"frames": ("chunk", 3, 6, 6)},
                    most=8,
                    context=2,
                ),
                pictures,
            )
            for session in sessions.values():
                session.formula = self._counted(session.formula)
            self._opened[profile.name] = sessions
        return self._opened[profile.name]

    def open(self, **options: Any) -> LiveSession:
        given: dict[str, Any] = {
            "profile": PROFILE, "locator": Faces(), "policy": "block", "queue_in": None, "queue_out": None,
            "sampling": {}, "stages": Stages(), "portrait": self.portrait(),
        }  # fmt: skip
        given.update(options)
        return LiveSession(self, given.pop("portrait"), given.pop("profile"), **given)  # type: ignore[arg-type]

    def _counted(self, formula: Callable[..., Any]) -> Callable[..., Any]:
        def run(**inputs: Any) -> Any:
            with self._counting:
                self.inside += 1
                self.most_inside = max(self.most_inside, self.inside)
            try:
                return formula(**inputs)
            finally:
                with self._counting:
                    self.inside -= 1

        return run


def motion_tokens(face_images, pose_images, head_id, exp_id):
    """Each frame's mean brightness, in every feature."""
    level = pose_images.mean((1, 2, 3)).astype(np.float32)
    return {"motion_tokens": np.broadcast_to(level[:, None, None], (len(level), TOKENS, FEATURES)).copy()}


def pictures(latents):
    return {"frames": np.repeat(np.repeat(latents[:, :3], 2, axis=2), 2, axis=3).astype(np.float32)}


def plain_crops(levels: list[int], profile: Profile = PROFILE, *, seed: int | None = None) -> list[np.ndarray]:
    """What a session should make of pictures of these brightnesses: the loop alone, on one thread."""
    from runtime.decode import to_uint8
    from runtime.hunyuanportrait.live import LiveLoop
    from runtime.live_decode import LiveDecoder

    runtime = FakeRuntime()
    sessions, identity = runtime.sessions_of(profile), runtime.portrait().identity
    assert isinstance(identity, Identity) and profile.windows is not None
    loop = LiveLoop(
        runtime.backend, sessions, identity=identity, sampling=runtime.sampling_of(profile, seed=seed),
        windows=profile.windows, side_px=CROP_PX,
    )  # fmt: skip
    decoder = LiveDecoder(runtime.backend, sessions["decoder"])
    made: list[np.ndarray] = []
    while len(made) < len(levels):
        group = levels[len(made) : len(made) + loop.wanted]
        images = np.stack([np.full((3, MOTION_PX, MOTION_PX), level / 255, np.float32) for level in group])
        tokens = motion_tokens(images, images, 0, 0)["motion_tokens"]
        latents = loop.window(runtime.backend.upload(tokens))
        made += [to_uint8(frame) for frame in decoder.frames(decoder.begin(latents))]
    return made
