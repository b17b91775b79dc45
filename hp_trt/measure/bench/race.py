"""The bench's race: the exact path against the released algorithm in eager PyTorch, from file to file.

Reading, face finding, crops, paste-back and writing are the same code on both sides; between them runs
`export.hunyuanportrait.reference` in fp32, with the bundle's weights, the same noise and as many threads. The two take
turns, so that whatever else the machine does falls on both.

Needs export and torch, once it runs.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import InputError
from engines.manifest import OWN_SOURCE
from hp_trt.api import Runtime
from hp_trt.faces.locators import open_locator
from hp_trt.hunyuanportrait.driving import DrivingCrops, first_face
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.media.images import load_image
from hp_trt.media.paste import PasteBack
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from runtime.decode import to_uint8
from runtime.hunyuanportrait import noise
from runtime.hunyuanportrait.sampling import Sampling

if TYPE_CHECKING:
    from export.hunyuanportrait.reference.sample import SamplingOptions

SHARED = ("portrait_crop", "first_face", "read", "crop", "write", "finish")  # stages that are the same code


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """One clip to animate."""

    portrait: Path
    driving: Path
    out: Path  # written anew by each run
    sampling: Sampling


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run of either side gave."""

    seconds: float
    shared_s: float  # of them, in code that both sides share
    latents: np.ndarray  # (T, 4, h, w) as the loop ends with them
    frames: np.ndarray  # (N, 3, S, S) raw decoder output


@dataclass(frozen=True, kw_only=True)
class Race:
    """Both sides' times, turn by turn, and how far their results are apart."""

    frames: int
    steps: int
    threads: int
    torch: str
    exact_s: tuple[float, ...]  # from the call to the finished file
    reference_s: tuple[float, ...]
    exact_network_s: tuple[float, ...]  # of them, from the crops to the raw frames
    reference_network_s: tuple[float, ...]
    latents_error: float  # the largest difference over the reference's rms
    frames_error: float  # the same for raw decoder output
    levels_error: int  # the largest difference of an 8-bit value

    def to_json(self) -> dict[str, Any]:
        """The report's `reference`; a ratio says how many times the reference's frames/s."""
        ratios = _ratios(self.reference_s, self.exact_s)
        return {
            **asdict(self),
            "ratios": ratios,
            "ratio": statistics.median(ratios),
            "network_ratio": statistics.median(_ratios(self.reference_network_s, self.exact_network_s)),
            "exact_frames_per_s": self.frames / statistics.median(self.exact_s),
            "reference_frames_per_s": self.frames / statistics.median(self.reference_s),
        }


class Reference:
    """The released program, loaded. Raises InputError when `weights` are not the bundle's, CheckpointError."""

    def __init__(self, runtime: Runtime, *, weights: Path | None = None) -> None:
        manifest = runtime.bundle.manifest
        own = manifest.weights["kind"] == "trained" and manifest.weights["source"] == OWN_SOURCE
        if weights is None and manifest.weights["kind"] != "random" and not own:
            raise InputError(
                f"the bundle has {manifest.weights['kind']} weights and comparing needs them too; add --weights "
                + ("DIR" if manifest.weights["kind"] == "published" else "FILE.safetensors")
            )
        import torch

        from export.hunyuanportrait.reference.weights import released_networks
        from export.weights.source import own_weights

        if own and weights is None:
            weights = own_weights(manifest.preset)

        self.threads: int = getattr(runtime.backend, "threads", None) or torch.get_num_threads()
        self.torch = str(torch.__version__)
        self._geometry = manifest.geometry
        self._latent_shape = tuple(int(d) for d in runtime.bundle.spec("vae_encoder").output("mean").dims[1:])
        self._networks = released_networks(manifest.preset, manifest.weights["fingerprint"], weights)

    def animate(self, inputs: Inputs) -> Outcome:
        """What `Runtime.animate` does, the released way."""
        import torch

        from export.hunyuanportrait.reference.program import run_program

        torch.set_num_threads(self.threads)
        start_s = time.perf_counter()
        sampling, crop_px = inputs.sampling, self._geometry["crop_px"]
        locator, reader, image = open_locator("haar"), VideoReader(inputs.driving), load_image(inputs.portrait)
        portrait = portrait_crop(image, locator, crop_px=crop_px, appearance_px=self._geometry["appearance_px"])
        face = first_face(iter(reader), locator)
        cropper = DrivingCrops(locator, face, crop_px=crop_px, size=self._geometry["motion_px"])
        timed = list(reader.timed())
        crops = list(cropper.crops(frame.image for frame in timed))
        padded = len(crops) + 2 * sampling.pad_frames
        network_s = time.perf_counter()
        result = run_program(
            self._networks,
            _released_options(sampling),
            pad_frames=sampling.pad_frames,
            reference_image=torch.from_numpy(portrait.reference),
            transformed_image=torch.from_numpy(portrait.transformed),
            id_embedding=torch.zeros(512),
            face_images=torch.from_numpy(np.stack([crop.face_image for crop in crops])),
            pose_images=torch.from_numpy(np.stack([crop.pose_image for crop in crops])),
            landmarks=torch.from_numpy(np.stack([crop.landmarks for crop in crops])),
            noise_aug=torch.from_numpy(noise.noise_aug(sampling.seed, crop_px, crop_px)[0]),
            initial_noise=torch.from_numpy(
                noise.initial_noise(sampling.seed, (padded, *self._latent_shape), crop_px, crop_px)
            ),
        )
        network_s = time.perf_counter() - network_s
        decoded = result.loop.decoded[sampling.pad_frames :][: len(crops)].numpy()
        paste = PasteBack(image, portrait.box)
        with VideoWriter(inputs.out, width=image.shape[1], height=image.shape[0], driving=reader.info) as writer:
            for frame, raw in zip(timed, decoded, strict=True):
                writer.write(paste(to_uint8(raw)), frame.time_s)
        seconds = time.perf_counter() - start_s
        shared_s = seconds - network_s
        return Outcome(seconds=seconds, shared_s=shared_s, latents=result.loop.final_latents.numpy(), frames=decoded)


def animate_exact(runtime: Runtime, inputs: Inputs) -> Outcome:
    """`Runtime.animate`, and what its graphs gave: copies that cost microseconds a frame."""
    usual = dict(runtime.sessions)
    loop = _Watched(usual["stitch"], runtime.backend, last=1)
    decoder = _Watched(usual["vae_decoder"], runtime.backend)
    sampling = inputs.sampling
    start_s = time.perf_counter()
    try:
        runtime.sessions.update(stitch=loop, vae_decoder=decoder)
        done = runtime.animate(inputs.portrait, inputs.driving, inputs.out, **vars(sampling))
    finally:
        runtime.sessions.update(usual)
    seconds = time.perf_counter() - start_s
    shared_s = sum(span.seconds for span in done.stages.spans if span.stage in SHARED)
    in_front = sampling.pad_frames % sampling.decode_chunk  # whole chunks of padding are not decoded
    frames = np.concatenate(decoder.outputs)[in_front:][: done.frames]
    return Outcome(seconds=seconds, shared_s=shared_s, latents=loop.outputs[-1], frames=frames)


def race(
    runtime: Runtime, reference: Reference, inputs: Inputs, *, turns: int, tell: Callable[[str, int, int], None]
) -> Race:
    """One turn each that is not timed, for the comparison and to warm up; then `turns` more."""
    tell("race, warm up", 0, 1 + turns)
    exact, released = animate_exact(runtime, inputs), reference.animate(inputs)
    times: list[tuple[float, ...]] = []
    for turn in range(turns):
        tell("race", 1 + turn, 1 + turns)
        mine, other = animate_exact(runtime, inputs), reference.animate(inputs)
        times.append((mine.seconds, other.seconds, mine.seconds - mine.shared_s, other.seconds - other.shared_s))
    exact_s, reference_s, exact_network_s, reference_network_s = zip(*times, strict=True)
    return Race(
        frames=len(released.frames),
        steps=inputs.sampling.executed_steps,
        threads=reference.threads,
        torch=reference.torch,
        exact_s=exact_s,
        reference_s=reference_s,
        exact_network_s=exact_network_s,
        reference_network_s=reference_network_s,
        latents_error=_relative(exact.latents, released.latents),
        frames_error=_relative(exact.frames, released.frames),
        levels_error=max(_levels(*pair) for pair in zip(exact.frames, released.frames, strict=True)),
    )


def _ratios(reference_s: Sequence[float], exact_s: Sequence[float]) -> list[float]:
    return [reference / exact for reference, exact in zip(reference_s, exact_s, strict=True)]


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.sqrt(np.mean(np.square(expected, dtype=np.float64))))


def _levels(frame: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(to_uint8(frame).astype(int) - to_uint8(other)).max())


def _released_options(sampling: Sampling) -> SamplingOptions:
    from export.hunyuanportrait.reference.sample import SamplingOptions

    return SamplingOptions(
        window=sampling.window,
        overlap=sampling.overlap,
        shift_offset=sampling.shift,
        num_inference_steps=sampling.steps,
        strength=sampling.strength,
        guidance_appearance=sampling.guidance_appearance,
        guidance_motion=sampling.guidance_motion,
        noise_aug_strength=sampling.noise_aug_strength,
        decode_chunk_size=sampling.decode_chunk,
        fps=sampling.fps,
        motion_bucket_id=sampling.motion_bucket_id,
    )


class _Watched:
    """A session that keeps copies of its one output: of the `last` few runs, or of all."""

    def __init__(self, session: Session, backend: Backend, *, last: int | None = None) -> None:
        self.spec = session.spec
        self.outputs: deque[np.ndarray] = deque(maxlen=last)
        self._session, self._backend = session, backend

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        results = self._session.run(inputs, outputs)
        self.outputs.extend(self._backend.download(result) for result in results.values())
        return results

    def close(self) -> None:
        """The session is its runtime's to close."""
