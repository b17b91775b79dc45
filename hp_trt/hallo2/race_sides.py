"""The two sides of the bench's race: one sound from file to file, the exact way and the released way.

Finding the face, its masks, reading the sound, its features, paste-back and writing are the same code on both sides;
between them the released side calls the released program, which its caller loads and gives: PyTorch is not known here.
The speech encoder is among what both share: it is a thousandth of the work, and the same network.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.backend import Backend, Buffer, Session
from hp_trt.api import Runtime
from hp_trt.faces.locators import open_locator
from hp_trt.hallo2.portrait import TalkPortrait, talk_portrait
from hp_trt.hallo2.promises import levels_of
from hp_trt.hallo2.sound import Sound
from hp_trt.measure.bench.race import Outcome
from hp_trt.media.images import load_picture
from hp_trt.media.paste import PasteBack
from hp_trt.media.video_writer import VideoWriter
from hp_trt.provenance.options import NOTHING
from runtime.decode import decoder_buffers, to_uint8
from runtime.hallo2.audio_plan import AudioPlan, planned
from runtime.hallo2.presets import FPS
from runtime.hallo2.random_stream import TorchStream
from runtime.hallo2.sampling import Sampling
from runtime.hallo2.speech import encoded, normalised

SHARED = ("portrait_crop", "speech", "write", "finish")  # stages that are the same code


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """One sound to animate a portrait with."""

    portrait: Path
    audio: Path
    out: Path  # written anew by each run
    sampling: Sampling


@dataclass(frozen=True, kw_only=True)
class Clips:
    """What the released program takes of a video of K clips, all float32."""

    source_picture: np.ndarray  # (3, S, S) in [-1, 1]
    face_region: np.ndarray  # (3, S, S) in [0, 1]
    embedding: np.ndarray  # (512,)
    audio_features: np.ndarray  # (K F, layers, hidden)
    masks: Mapping[str, tuple[np.ndarray, ...]]  # full, face, lip -> (L_i) of every level
    noise: np.ndarray  # (K, 4, F, h, w)
    fields: np.ndarray  # (K, S, S) in [0, 1)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the released program gives."""

    latents: np.ndarray  # (K, 4, F, h, w) as each clip's loop ends with them
    frames: np.ndarray  # (K F, 3, S, S) in [0, 1]


class Released(Protocol):
    """The released program, loaded with a bundle's weights."""

    threads: int
    torch: str  # its version

    def __call__(self, clips: Clips, sampling: Sampling, motion_frames: int) -> Made: ...


def animate_released(runtime: Runtime, released: Released, inputs: Inputs) -> Outcome:
    """What `Runtime.animate` does, the released way."""
    start_s = time.perf_counter()
    manifest = runtime.bundle.manifest
    picture = load_picture(inputs.portrait)
    crop = talk_portrait(
        picture.pixels,
        open_locator("haar"),
        side_px=manifest.geometry["crop_px"],
        levels=levels_of(manifest),
        face_ratio=manifest.geometry["face_ratio"],
        lip_ratio=manifest.geometry["lip_ratio"],
        what=str(inputs.portrait),
    )
    features, frames = _features(runtime, inputs.audio)
    noise, fields = _noise(runtime, inputs.sampling.seed, len(features) // manifest.frames)
    network_s = time.perf_counter()
    made = released(
        Clips(
            source_picture=crop.source[0],
            face_region=crop.masks.face_region,
            embedding=np.zeros(512, np.float32),
            audio_features=features,
            masks=_masks(crop),
            noise=noise,
            fields=fields,
        ),
        inputs.sampling,
        manifest.geometry["motion_frames"],
    )
    network_s = time.perf_counter() - network_s
    raw = 2 * made.frames[:frames] - 1
    paste = PasteBack(picture.pixels, crop.box, fade_at_edges=False)
    height, width = picture.pixels.shape[:2]
    with VideoWriter(inputs.out, width=width, height=height, rate=Fraction(FPS)) as writer:
        for number, frame in enumerate(raw):
            writer.write(paste(to_uint8(frame)), Fraction(number, FPS))
    seconds = time.perf_counter() - start_s
    latents = made.latents.swapaxes(1, 2).reshape(-1, *noise.shape[1:2], *noise.shape[3:])
    return Outcome(seconds=seconds, shared_s=seconds - network_s, latents=latents, frames=raw)


def animate_exact(runtime: Runtime, inputs: Inputs) -> Outcome:
    """`Runtime.animate`, and what its graphs gave: copies that cost microseconds a frame."""
    usual = dict(runtime.graphs.sessions)
    roles = runtime.model.roles(runtime.profile)
    loop = _Watched(usual[roles["stitch"]], runtime.backend, "next_latents")
    decoder = _Watched(usual[roles["decoder"]], runtime.backend, "frames")
    sampling, clip = inputs.sampling, runtime.bundle.manifest.frames
    options: Any = {name: value for name, value in vars(sampling).items() if name != "scaling_factor"}  # no option
    options["join"] = False  # the released program has none of it
    start_s = time.perf_counter()
    try:
        runtime.graphs.sessions.update({roles["stitch"]: loop, roles["decoder"]: decoder})
        done = runtime.animate(inputs.portrait, out=inputs.out, audio=inputs.audio, provenance=NOTHING, **options)
    finally:
        runtime.graphs.sessions.update(usual)
    seconds = time.perf_counter() - start_s
    shared_s = sum(span.seconds for span in done.stages.spans if span.stage in SHARED)
    # Of a clip its last m frames are decoded first.
    decoded = np.concatenate(decoder.outputs)
    clips = decoded.reshape(-1, clip, *decoded.shape[1:])
    tail = min(runtime.bundle.manifest.geometry["motion_frames"], clip)
    frames = np.concatenate([clips[:, tail:], clips[:, :tail]], axis=1).reshape(decoded.shape)
    latents = np.concatenate([output for n, output in enumerate(loop.outputs, 1) if n % sampling.steps == 0])
    # The released program's frames end at black and white, and so do those of a video.
    return Outcome(seconds=seconds, shared_s=shared_s, latents=latents, frames=np.clip(frames[: done.frames], -1, 1))


def _features(runtime: Runtime, audio: Path) -> tuple[np.ndarray, int]:
    """(K F, layers, hidden) of the whole sound with the silence that fills the last clip, and the frames to save."""
    plan, parts = AudioPlan(clip=runtime.bundle.manifest.frames), []
    for wave, piece in planned(plan, Sound(audio)):
        session = runtime.graphs.sessions[runtime.model.roles(runtime.profile)["speech_encoder"]]
        ready = normalised(wave, piece.encoded_samples)
        parts.append(encoded(runtime.backend, session, ready, piece.encoded_frames, what="speech features"))
    assert plan.frames is not None, "the plan knows its frames once the last piece has come"
    return np.concatenate(parts), plan.frames


def _noise(runtime: Runtime, seed: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise and fields of every clip, in the order in which the stream gives them."""
    frames, channels, *cells = (
        runtime.bundle.spec(runtime.model.roles(runtime.profile)["denoiser"]).input("latents").dims
    )
    side, stream, noise, fields = runtime.bundle.manifest.geometry["crop_px"], TorchStream(seed), [], []
    for _ in range(clips):
        fields.append(stream.uniform((side, side)))
        noise.append(stream.normal((int(channels), int(frames), *map(int, cells))))
    return np.stack(noise), np.stack(fields)


def _masks(crop: TalkPortrait) -> dict[str, tuple[np.ndarray, ...]]:
    return {name: tuple(level[row] for level in crop.masks.levels) for row, name in enumerate(("full", "face", "lip"))}


class _Watched:
    """A session that keeps copies of one output, and asks for it where nobody else does."""

    def __init__(self, session: Session, backend: Backend, output: str) -> None:
        self.spec = session.spec
        self.outputs: deque[np.ndarray] = deque()
        self._session, self._backend, self._output = session, backend, output

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        wanted = dict(outputs or {})
        if self._output not in wanted:
            wanted |= decoder_buffers(self._backend, self.spec, inputs["latents"].shape[0], (self._output,))
        results = self._session.run(inputs, wanted)
        self.outputs.append(self._backend.download(results[self._output]))
        return results

    def close(self) -> None:
        """The session is its runtime's to close."""
