"""The two sides of the bench's race: one clip from file to file, the exact way and the released way.

Reading, face finding, crops, paste-back and writing are the same code on both sides; between them the released side
calls the released program, which its caller loads and gives: PyTorch is not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Protocol

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.manifest import Manifest
from hp_trt.api import Runtime
from hp_trt.faces.locators import open_locator
from hp_trt.hunyuanportrait.driving import DrivingCrops, first_face
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.measure.bench.race import Outcome
from hp_trt.media.images import load_image
from hp_trt.media.paste import PasteBack
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from hp_trt.provenance.options import NOTHING
from runtime.decode import decoder_buffers, to_uint8
from runtime.hunyuanportrait import noise
from runtime.hunyuanportrait.sampling import Sampling

SHARED = ("portrait_crop", "first_face", "read", "crop", "write", "finish")  # stages that are the same code


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """One clip to animate."""

    portrait: Path
    driving: Path
    out: Path  # written anew by each run
    sampling: Sampling


@dataclass(frozen=True, kw_only=True)
class Crops:
    """What the released program takes of a clip of N frames, all float32."""

    reference_image: np.ndarray  # (3, S, S) in [-1, 1]
    transformed_image: np.ndarray  # (3, s, s), normalised as ImageNet
    face_images: np.ndarray  # (N, 3, P, P) in [0, 1]
    pose_images: np.ndarray  # (N, 3, P, P) in [0, 1]
    landmarks: np.ndarray  # (N, 5, 2) in pixels of the driving frames
    noise_aug: np.ndarray  # (3, S, S)
    initial_noise: np.ndarray  # (T, 4, h, w): N frames and those made up at both ends


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the released program gives."""

    latents: np.ndarray  # (T, 4, h, w) as the loop ends with them
    frames: np.ndarray  # (N, 3, S, S) raw decoder output


class Released(Protocol):
    """The released program, loaded with a bundle's weights."""

    threads: int
    torch: str  # its version

    def __call__(self, crops: Crops, sampling: Sampling) -> Made: ...


# A bundle's manifest, and how many threads its backend has where that is known.
OpenReleased = Callable[[Manifest, int | None], Released]


def animate_released(runtime: Runtime, released: Released, inputs: Inputs) -> Outcome:
    """What `Runtime.animate` does, the released way."""
    start_s = time.perf_counter()
    sampling, geometry = inputs.sampling, runtime.bundle.manifest.geometry
    crop_px = geometry["crop_px"]
    latent_shape = tuple(int(d) for d in runtime.bundle.spec("vae_encoder").output("mean").dims[1:])
    locator, reader, image = open_locator("haar"), VideoReader(inputs.driving), load_image(inputs.portrait)
    portrait = portrait_crop(image, locator, crop_px=crop_px, appearance_px=geometry["appearance_px"])
    face = first_face(iter(reader), locator)
    cropper = DrivingCrops(locator, face, crop_px=crop_px, size=geometry["motion_px"])
    timed = list(reader.timed())
    crops = list(cropper.crops(frame.image for frame in timed))
    padded = len(crops) + 2 * sampling.pad_frames
    network_s = time.perf_counter()
    made = released(
        Crops(
            reference_image=portrait.reference,
            transformed_image=portrait.transformed,
            face_images=np.stack([crop.face_image for crop in crops]),
            pose_images=np.stack([crop.pose_image for crop in crops]),
            landmarks=np.stack([crop.landmarks for crop in crops]),
            noise_aug=noise.noise_aug(sampling.seed, crop_px, crop_px)[0],
            initial_noise=noise.initial_noise(sampling.seed, (padded, *latent_shape), crop_px, crop_px),
        ),
        sampling,
    )
    network_s = time.perf_counter() - network_s
    paste = PasteBack(image, portrait.box)
    with VideoWriter(inputs.out, width=image.shape[1], height=image.shape[0], driving=reader.info) as writer:
        for frame, raw in zip(timed, made.frames, strict=True):
            writer.write(paste(to_uint8(raw)), frame.time_s)
    seconds = time.perf_counter() - start_s
    latents = made.latents[sampling.pad_frames :][: len(crops)]
    return Outcome(seconds=seconds, shared_s=seconds - network_s, latents=latents, frames=made.frames)


def animate_exact(runtime: Runtime, inputs: Inputs) -> Outcome:
    """`Runtime.animate`, and what its graphs gave: copies that cost microseconds a frame."""
    sampling, profile = inputs.sampling, runtime.profile
    start_s = time.perf_counter()
    watched = partial(_Watched, backend=runtime.backend)
    with runtime.graphs.replaced(profile, runtime.model.roles(profile), "decoder", watched) as decoder:
        done = runtime.animate(inputs.portrait, inputs.driving, inputs.out, provenance=NOTHING, **vars(sampling))
    seconds = time.perf_counter() - start_s
    shared_s = sum(span.seconds for span in done.stages.spans if span.stage in SHARED)
    in_front = sampling.pad_frames % sampling.decode_chunk  # whole chunks of padding are not decoded
    latents, frames = (
        np.concatenate([seen[number] for number in sorted(seen)])[in_front:][: done.frames]
        for seen in (decoder.latents, decoder.frames)
    )
    return Outcome(seconds=seconds, shared_s=shared_s, latents=latents, frames=frames)


class _Watched:
    """A decoder that keeps copies of its latents and of its raw frames, which nobody else asks for, by the calls'
    numbers: two may run at one time, and the later one may be done first."""

    def __init__(self, session: Session, backend: Backend) -> None:
        self.spec = session.spec
        self.latents: dict[int, np.ndarray] = {}
        self.frames: dict[int, np.ndarray] = {}
        self._numbers = count()
        self._session, self._backend = session, backend

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        number = next(self._numbers)  # calls begin in the order of their chunks
        raw = decoder_buffers(self._backend, self.spec, inputs["latents"].shape[0], ("frames",))
        results = self._session.run(inputs, {**raw, **(outputs or {})})
        self.latents[number] = self._backend.download(inputs["latents"])
        self.frames[number] = self._backend.download(results["frames"])
        return results

    def close(self) -> None:
        """The session is its runtime's to close."""
